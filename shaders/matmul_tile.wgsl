// The tile of a product in workgroup memory: eight terms of the sums of 64 rows and of up to 32 groups of four columns. What a kernel calls
// rows and columns are those of its result. Each group of four lies in a vec4, so a thread multiplies what it loads without taking it apart.

// Terms of a tile, in groups of four.
const TILE_VEC4S: u32 = 2u;
// Groups of four rows.
const TILE_ROW_VEC4S: u32 = 16u;

// A vec4 more than needed in each line, so that the two groups of terms that neighbouring threads store lie in different banks.
var<workgroup> rows_tile: array<array<vec4<f32>, 17>, 8>;
var<workgroup> cols_tile: array<array<vec4<f32>, 33>, 8>;

// Four terms of four rows or columns, which a thread stages: its group of terms, its group of rows or columns, and which of
// the two; or neither, if there are more threads than groups.
struct Staged { terms: u32, group: u32, is_of_cols: bool, is_of_rows: bool }

fn staged_by(col_vec4s: u32, local_invocation_index: u32) -> Staged {
  let group = local_invocation_index / TILE_VEC4S;
  let is_of_cols = group < col_vec4s;
  let is_of_rows = !is_of_cols && group < col_vec4s + TILE_ROW_VEC4S;
  return Staged(local_invocation_index % TILE_VEC4S, select(group - col_vec4s, group, is_of_cols), is_of_cols, is_of_rows);
}

// Puts them there: a vec4 of `values` for each term.
fn stage(what: Staged, values: mat4x4<f32>) {
//: load
  if what.is_of_cols {
#for e in 0..4
    cols_tile[4u * what.terms + $eu][what.group] = values[$e];
#end
  }
  if what.is_of_rows {
#for e in 0..4
    rows_tile[4u * what.terms + $eu][what.group] = values[$e];
#end
  }
//:
}
