// The gradient of an RMSNorm's input. A workgroup has a group of a row, or the whole row. With y = x · rstd and g = weight · d_out:
// d_x = rstd · (g − y · mean(g · y)).
// With X it is added to d_x. Without X, d_x holds x and is overwritten: the loss writes its gradient in place.
#include reduce
#include norm_weight

struct Params$ { row_vec4s: u32, groups: u32, size: f32, rstd_row_modulus: u32, d_out_row_modulus: u32, d_x_row_modulus: u32, x_row_modulus: u32 }

@group(0) @binding(rstd$) var<storage, read_write> rstd$: array<f32>; // (C×groups)
@group(0) @binding(weight$) var<storage, read> weight$: array<vec4<f32>>; // (D, or the size of a group)
@group(0) @binding(d_out$) var<storage, read_write> d_out$: array<vec4<f32>>; // (C×D)
#tensor d_x // (C×D)
#if X
#tensor x // (C×D)
#end

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let row = flat_workgroup(workgroup_id, num_workgroups);
  if row >= chunk.count * params$.groups { return; }
  let scale = rstd$[first_row(params$.rstd_row_modulus) * params$.groups + row];
  let d_out_start = (first_row(params$.d_out_row_modulus) * params$.groups + row) * params$.row_vec4s;
  let d_x_start = (first_row(params$.d_x_row_modulus) * params$.groups + row) * params$.row_vec4s;
#if X
  let x_start = (first_row(params$.x_row_modulus) * params$.groups + row) * params$.row_vec4s;
  if is_left_out(labelled_only$, row / params$.groups) { return; }
#else
  // What it does not compute is zero, and no longer x.
  if is_left_out(labelled_only$, row / params$.groups) {
    for (var col = local_invocation_index; col < params$.row_vec4s; col += $WORKGROUP_SIZEu) { store_d_x$(d_x_start + col, vec4(0.0)); }
    return;
  }
#end
  var products = 0.0;
  for (var block = local_invocation_index; block < params$.row_vec4s; block += $BLOCKu) {
    var part = 0.0;
    for (var col = block; col < min(block + $BLOCKu, params$.row_vec4s); col += $WORKGROUP_SIZEu) {
#if X
      let y = load_x$(x_start + col) * scale;
#else
      let y = load_d_x$(d_x_start + col) * scale;
#end
      part = multiply_add(d_out$[d_out_start + col] * norm_weight$(col), y, part);
    }
    products += part;
  }
  let mean = workgroup_sum(products, local_invocation_index) / params$.size;
  for (var col = local_invocation_index; col < params$.row_vec4s; col += $WORKGROUP_SIZEu) {
#if X
    let y = load_x$(x_start + col) * scale;
    let before = load_d_x$(d_x_start + col);
#else
    let y = load_d_x$(d_x_start + col) * scale;
    let before = vec4(0.0);
#end
    let d_normed = fma(y, vec4(-mean), d_out$[d_out_start + col] * norm_weight$(col));
    store_d_x$(d_x_start + col, fma(vec4(scale), d_normed, before));
  }
}
