// d_x[i, k] (+)= sum over n of d_out[i, n] · weight[n, k]. A thread has one token and $VEC4S · 4 columns, as in linear.wgsl.

struct Params { in_vec4s: u32, out_vec4s: u32, d_out_absolute: u32, d_x_absolute: u32 }

@group(0) @binding(2) var<storage, read_write> d_out: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> d_x: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let token = workgroup.x * TOKEN_TILE + lane;
  let row = min(token, chunk.count - 1u);
  let d_out_start = (first_row(params.d_out_absolute) + row) * params.out_vec4s;
  let first = workgroup.y * $VEC4Su;
#for j in 0..$VEC4S
  let col$j = min(first + $ju, params.in_vec4s - 1u);
  var sum$j = vec4(0.0);
#end
  var w = 0u;
  for (var n = 0u; n < params.out_vec4s; n++) {
    let a = d_out[d_out_start + n];
#for c in 0..4
#for j in 0..$VEC4S
    sum$j = fma(vec4(a[$cu]), weight[w + col$j], sum$j);
#end
    w += params.in_vec4s;
#end
  }
  if token >= chunk.count { return; }
  let d_x_start = (first_row(params.d_x_absolute) + row) * params.in_vec4s;
#for j in 0..$VEC4S
  if first + $ju < params.in_vec4s {
#if ACCUMULATE
    sum$j += d_x[d_x_start + col$j];
#end
    d_x[d_x_start + col$j] = sum$j;
  }
#end
}
