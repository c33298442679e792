// out[i, n] (+)= scale · sum over k of x[i, k] · weight[n, k] (+ bias[n]) (+ residual[i, n]). A thread has $TOKENS tokens and $VEC4S · 4 columns: the
// weights that a workgroup reads are the same for all of its threads, so they are read once and shared without a barrier.
// Only some rows of the matrix may be at work: `vec4s` groups of four from first_row on, for the columns of out from first_col on.
#include weight

struct Params {
  in_vec4s: u32,
  out_vec4s: u32,
  vec4s: u32,
  first_row: u32,
  first_col_vec4: u32,
  scale: f32,
  x_period: u32,
  out_period: u32,
  residual_period: u32,
}

@group(0) @binding(2) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> weight: array<Stored>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;
#if BIAS
@group(0) @binding(5) var<storage, read> bias: array<vec4<f32>>;
#end
#if RESIDUAL
@group(0) @binding($LAST_BINDING) var<storage, read_write> residual: array<vec4<f32>>;
#end

@compute @workgroup_size($LANES)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let x_row = first_row(params.x_period);
  let out_row = first_row(params.out_period);
#if RESIDUAL
  let residual_row = first_row(params.residual_period);
#end
#for t in 0..$TOKENS
  let token$t = workgroup.x * TOKEN_TILE + $tu * $LANESu + lane;
  let row$t = min(token$t, chunk.count - 1u);
  let x$t = (x_row + row$t) * params.in_vec4s;
#end
  let first = workgroup.y * $VEC4Su;
#for j in 0..$VEC4S
  // Columns behind the last one are computed again and not stored.
  let col$j = min(first + $ju, params.vec4s - 1u);
#for c in 0..4
  let w$j_$c = weight_row(params.first_row + 4u * col$j + $cu);
#end
#for t in 0..$TOKENS
  var sum$t_$j = vec4(0.0);
#end
#end
  for (var k = 0u; k < params.in_vec4s; k++) {
#for t in 0..$TOKENS
    let a$t = x[x$t + k];
#end
#for j in 0..$VEC4S
#for c in 0..4
    let b$j_$c = weight_at(w$j_$c, k);
#end
#for e in 0..4
    let e$j_$e = vec4(b$j_0[$eu], b$j_1[$eu], b$j_2[$eu], b$j_3[$eu]);
#for t in 0..$TOKENS
    sum$t_$j = fma(vec4(a$t[$eu]), e$j_$e, sum$t_$j);
#end
#end
#end
  }
#for t in 0..$TOKENS
  if token$t < chunk.count {
    let out_start = (out_row + row$t) * params.out_vec4s;
#if RESIDUAL
    let residual_start = (residual_row + row$t) * params.out_vec4s;
#end
#for j in 0..$VEC4S
    if first + $ju < params.vec4s {
      let at$j = params.first_col_vec4 + col$j;
      sum$t_$j *= params.scale;
#if BIAS
      sum$t_$j += bias[at$j];
#end
#if RESIDUAL
      sum$t_$j += residual[residual_start + at$j];
#end
#if ACCUMULATE
      sum$t_$j += out[out_start + at$j];
#end
      out[out_start + at$j] = sum$t_$j;
    }
#end
  }
#end
}
