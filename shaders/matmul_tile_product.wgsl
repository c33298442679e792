// Adds the tile's terms to the sums of a thread, in order: $ROW_VEC4S groups of four rows, $COL_VEC4S groups of four columns.
#for k in 0..8
      {
//: load
#for r in 0..$ROW_VEC4S
        let a$r = rows_tile[$k][$ru * $ROW_THREADSu + row_thread];
#end
#for q in 0..$COL_VEC4S
        let b$q = cols_tile[$k][$qu * $COL_THREADSu + col_thread];
//: multiply
#for r in 0..$ROW_VEC4S
#for c in 0..4
        sum$r_$c_$q = fma(vec4(a$r[$c]), b$q, sum$r_$c_$q);
#end
#end
#end
//:
      }
#end
