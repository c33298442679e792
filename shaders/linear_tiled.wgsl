// out[i, n] (+)= scale · sum over k of x[i, k] · weight[n, k] (+ bias[n]) (+ residual[i, n]), as linear.wgsl. For GPUs: a workgroup has a tile
// of 64 tokens and 4 · $COL_VEC4S · $COL_THREADS columns of out, and stages both operands in workgroup memory, eight terms at a time. While
// it multiplies, each thread has the next of them on their way.
#include linear_operands
#include matmul_tile

// Four terms from 4 · k on of the tokens or of the columns that a thread stages.
fn load$(what: Staged, first_token: u32, first_col: u32, k: u32) -> mat4x4<f32> {
  var rows = mat4x4<f32>();
  let at = min(k, params$.in_vec4s - 1u);
//: load
  if what.is_of_cols {
#for c in 0..4
    rows[$c] = weight_at$(weight_row$(params$.first_row + min(4u * (first_col + what.group) + $cu, 4u * params$.vec4s - 1u)), at);
#end
  }
  if what.is_of_rows {
    let x_row = first_row(params$.x_row_modulus);
#for c in 0..4
    rows[$c] = load_x$((x_row + min(first_token + 4u * what.group + $cu, chunk.count - 1u)) * params$.in_vec4s + at);
#end
  }
//:
  if k >= params$.in_vec4s { return mat4x4<f32>(); }
  return transpose(rows);
}

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  if is_left_out(labelled_only$, workgroup_id.x * TOKEN_TILE) { return; }
  let all_terms = params$.in_vec4s;
#insert matmul_tile_blocks
  let out_row = first_row(params$.out_row_modulus);
  let residual_row = first_row(params$.residual_row_modulus);
#for r in 0..$ROW_VEC4S
#for c in 0..4
  {
    let row = first_token + 4u * ($ru * $ROW_THREADSu + row_thread) + $cu;
    if row < chunk.count {
      let out_start = (out_row + row) * params$.out_vec4s;
      let residual_start = (residual_row + row) * params$.out_vec4s;
#for q in 0..$COL_VEC4S
      let col$q = first_col + $qu * $COL_THREADSu + col_thread;
//: store
      if col$q < params$.vec4s {
#if HELD
        let before = held$r_$c_$q;
#else
        const before = vec4(0.0);
#end
        let sum = store$(before, sum$r_$c_$q, out_start, residual_start, params$.first_col_vec4 + col$q, block == 0u, end == params$.in_vec4s);
#if HELD
        held$r_$c_$q = sum;
#end
      }
//:
#end
    }
  }
#end
#end
#if BLOCKED
  }
#end
}
