// out[i, n] = sum over k of x[i, k] · weight[n, k] (+ residual[i, n]). A thread has one token and $VEC4S · 4 columns: the
// weights that a workgroup reads are the same for all of its threads, so they are read once and shared without a barrier.

struct Params { in_vec4s: u32, out_vec4s: u32, x_absolute: u32, out_absolute: u32, residual_absolute: u32 }

@group(0) @binding(2) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;
#if RESIDUAL
@group(0) @binding(5) var<storage, read_write> residual: array<vec4<f32>>;
#end

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let token = workgroup.x * TOKEN_TILE + lane;
  let row = min(token, chunk.count - 1u);
  let x_start = (first_row(params.x_absolute) + row) * params.in_vec4s;
  let first = workgroup.y * $VEC4Su;
#for j in 0..$VEC4S
  // Columns behind the last one are computed again and not stored.
  let col$j = min(first + $ju, params.out_vec4s - 1u);
  var w$j = 4u * col$j * params.in_vec4s;
  var sum$j = vec4(0.0);
#end
  for (var k = 0u; k < params.in_vec4s; k++) {
    let a = x[x_start + k];
#for j in 0..$VEC4S
#for c in 0..4
    let b$j_$c = weight[w$j + $cu * params.in_vec4s];
#end
    sum$j = fma(vec4(a.x), vec4(b$j_0.x, b$j_1.x, b$j_2.x, b$j_3.x), sum$j);
    sum$j = fma(vec4(a.y), vec4(b$j_0.y, b$j_1.y, b$j_2.y, b$j_3.y), sum$j);
    sum$j = fma(vec4(a.z), vec4(b$j_0.z, b$j_1.z, b$j_2.z, b$j_3.z), sum$j);
    sum$j = fma(vec4(a.w), vec4(b$j_0.w, b$j_1.w, b$j_2.w, b$j_3.w), sum$j);
    w$j += 1u;
#end
  }
  if token >= chunk.count { return; }
  let out_start = (first_row(params.out_absolute) + row) * params.out_vec4s;
#if RESIDUAL
  let residual_start = (first_row(params.residual_absolute) + row) * params.out_vec4s;
#end
#for j in 0..$VEC4S
  if first + $ju < params.out_vec4s {
#if RESIDUAL
    sum$j += residual[residual_start + col$j];
#end
    out[out_start + col$j] = sum$j;
  }
#end
}
