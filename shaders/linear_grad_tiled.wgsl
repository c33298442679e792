// d_x[i, k] (+)= scale · sum over n of d_out[i, n] · weight[n, k], as linear_grad.wgsl. For GPUs: a workgroup has a tile of 64 tokens and
// 4 · $COL_VEC4S · $COL_THREADS columns of d_x, and stages both operands as linear_tiled.wgsl.
#include linear_grad_operands
#include matmul_tile

// Four terms from 4 · n on of the tokens or of the columns that a thread stages.
fn load$(what: Staged, first_token: u32, first_col: u32, n: u32) -> mat4x4<f32> {
  var values = mat4x4<f32>();
  let at = min(n, params$.vec4s - 1u);
//: load
  if what.is_of_cols {
    let col = min(first_col + what.group, params$.in_vec4s - 1u);
#for c in 0..4
    values[$c] = weight_at$(weight_row$(params$.first_row + 4u * at + $cu), col);
#end
  }
  if what.is_of_rows {
    let d_out_row = first_row(params$.d_out_row_modulus);
#for c in 0..4
    let row$c = min(first_token + 4u * what.group + $cu, chunk.count - 1u);
    values[$c] = load_d_out$((d_out_row + row$c) * params$.out_vec4s + params$.first_col_vec4 + at);
//:
#if SCALED
//: multiply
    values[$c] *= params$.scale;
//:
#end
#end
    values = transpose(values);
  }
  if n >= params$.vec4s { return mat4x4<f32>(); }
  return values;
}

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  if is_left_out(labelled_only$, workgroup_id.x * TOKEN_TILE) { return; }
  let all_terms = params$.vec4s;
#insert matmul_tile_blocks
  let d_x_row = first_row(params$.d_x_row_modulus);
#for r in 0..$ROW_VEC4S
#for c in 0..4
  {
    let row = first_token + 4u * ($ru * $ROW_THREADSu + row_thread) + $cu;
    if row < chunk.count {
      let d_x_start = (d_x_row + row) * params$.in_vec4s;
#for q in 0..$COL_VEC4S
      let col$q = first_col + $qu * $COL_THREADSu + col_thread;
      if col$q < params$.in_vec4s {
//: reduce
#if ACCUMULATE
        sum$r_$c_$q += floats(d_x$[d_x_start + col$q]);
#else
        if block > 0u { sum$r_$c_$q += floats(d_x$[d_x_start + col$q]); }
#end
//: store
        d_x$[d_x_start + col$q] = quad(sum$r_$c_$q);
//:
      }
#end
    }
  }
#end
#end
#if BLOCKED
  }
#end
}
