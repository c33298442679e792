// rstd[i] = 1 / sqrt(mean(x[i]²) + ε), out[i] = x[i] · rstd[i] · weight (+ residual[i]). A workgroup has a group of a row, or the whole
// row.
#include reduce
#include norm_weight

struct Params$ {
  row_vec4s: u32,
  groups: u32,
  size: f32,
  epsilon: f32,
  x_row_modulus: u32,
  out_row_modulus: u32,
  rstd_row_modulus: u32,
  residual_row_modulus: u32,
}

#tensor x // (C×D)
@group(0) @binding(weight$) var<storage, read> weight$: array<vec4<f32>>; // (D, or the size of a group)
#tensor out // (C×D)
@group(0) @binding(rstd$) var<storage, read_write> rstd$: array<f32>; // (C×groups)
#if RESIDUAL
#tensor residual // (C×D)
#end

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let row = flat_workgroup(workgroup_id, num_workgroups);
  if row >= chunk.count * params$.groups || is_left_out(labelled_only$, row / params$.groups) { return; }
  let x_start = (first_row(params$.x_row_modulus) * params$.groups + row) * params$.row_vec4s;
  var squares = 0.0;
  for (var block = local_invocation_index; block < params$.row_vec4s; block += $BLOCKu) {
    var part = 0.0;
    for (var col = block; col < min(block + $BLOCKu, params$.row_vec4s); col += $WORKGROUP_SIZEu) {
//: load
      let v = load_x$(x_start + col);
//: multiply
      part = multiply_add(v, v, part);
//: reduce
    }
    squares += part;
  }
  let scale = inverseSqrt(workgroup_sum(squares, local_invocation_index) / params$.size + params$.epsilon);
//: store
  if local_invocation_index == 0u { rstd$[first_row(params$.rstd_row_modulus) * params$.groups + row] = scale; }
//:
  let out_start = (first_row(params$.out_row_modulus) * params$.groups + row) * params$.row_vec4s;
#if RESIDUAL
  let residual_start = (first_row(params$.residual_row_modulus) * params$.groups + row) * params$.row_vec4s;
#end
  for (var col = local_invocation_index; col < params$.row_vec4s; col += $WORKGROUP_SIZEu) {
//: multiply
    let of_row = load_x$(x_start + col) * scale;
//: store
#if RESIDUAL
    store_out$(out_start + col, fma(of_row, norm_weight$(col), load_residual$(residual_start + col)));
#else
    store_out$(out_start + col, of_row * norm_weight$(col));
#end
//:
  }
}
