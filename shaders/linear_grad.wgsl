// d_x[i, k] (+)= scale · sum over n of d_out[i, n] · weight[n, k]. A thread has $TOKENS tokens and $VEC4S · 4 columns, and some rows of
// the matrix may be at work, as in linear.wgsl. A sum that goes on starts from what d_x holds, so where a matrix is cut does not show.
#include weight

struct Params {
  in_vec4s: u32,
  out_vec4s: u32,
  vec4s: u32,
  first_row: u32,
  first_col_vec4: u32,
  scale: f32,
  d_out_period: u32,
  d_x_period: u32,
}

@group(0) @binding(2) var<storage, read_write> d_out: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> weight: array<Stored>;
@group(0) @binding(4) var<storage, read_write> d_x: array<vec4<f32>>;

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let d_out_row = first_row(params.d_out_period);
  let d_x_row = first_row(params.d_x_period);
#for t in 0..$TOKENS
  let token$t = workgroup.x * TOKEN_TILE + $tu * $LANESu + lane;
  let row$t = min(token$t, chunk.count - 1u);
  let d_out$t = (d_out_row + row$t) * params.out_vec4s + params.first_col_vec4;
  let d_x$t = (d_x_row + row$t) * params.in_vec4s;
#end
  let first = workgroup.y * $VEC4Su;
#for j in 0..$VEC4S
  let col$j = min(first + $ju, params.in_vec4s - 1u);
#for t in 0..$TOKENS
#if ACCUMULATE
  var sum$t_$j = d_x[d_x$t + col$j];
#else
  var sum$t_$j = vec4(0.0);
#end
#end
#end
  for (var n = 0u; n < params.vec4s; n++) {
#for t in 0..$TOKENS
#if SCALED
    let a$t = params.scale * d_out[d_out$t + n];
#else
    let a$t = d_out[d_out$t + n];
#end
#end
#for c in 0..4
    let w$c = weight_row(params.first_row + 4u * n + $cu);
#for j in 0..$VEC4S
    let b$j_$c = weight_at(w$c, col$j);
#for t in 0..$TOKENS
    sum$t_$j = fma(vec4(a$t[$cu]), b$j_$c, sum$t_$j);
#end
#end
#end
  }
#for t in 0..$TOKENS
  if token$t < chunk.count {
#for j in 0..$VEC4S
    if first + $ju < params.in_vec4s {
      d_x[d_x$t + col$j] = sum$t_$j;
    }
#end
  }
#end
}
