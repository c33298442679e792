// Overwrites gate and up (C×F) with their gradients: d_gate = d_out · up · act'(gate), d_up = d_out · act(gate). With TILE_VEC4S
// the workgroup goes on with its tile of d_out, which it has just computed.
#include activation

struct Params$ { row_vec4s: u32, d_out_row_modulus: u32, gate_row_modulus: u32, up_row_modulus: u32 }

@group(0) @binding(d_out$) var<storage, read_write> d_out$: array<vec4<f32>>; // (C×F)
#tensor gate // (C×F)
#tensor up // (C×F)

fn at$(i: u32) {
  let gate_at = first_row(params$.gate_row_modulus) * params$.row_vec4s + i;
  let up_at = first_row(params$.up_row_modulus) * params$.row_vec4s + i;
  let d = d_out$[first_row(params$.d_out_row_modulus) * params$.row_vec4s + i];
  let g = load_gate$(gate_at);
  let u = load_up$(up_at);
  store_gate$(gate_at, d * u * activation_slope(g));
  store_up$(up_at, d * activation(g));
}

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
#if TILE_VEC4S
  if is_left_out(labelled_only$, workgroup_id.x * TOKEN_TILE) { return; }
  for (var i = local_invocation_index; i < TOKEN_TILE * $TILE_VEC4Su; i += $TILE_THREADSu) {
    let row = workgroup_id.x * TOKEN_TILE + i / $TILE_VEC4Su;
    let col = workgroup_id.y * $TILE_VEC4Su + i % $TILE_VEC4Su;
    if row < chunk.count && col < params$.row_vec4s { at$(row * params$.row_vec4s + col); }
  }
#else
  let i = flat_workgroup(workgroup_id, num_workgroups) * WORKGROUP_SIZE + local_invocation_index;
  if i < chunk.count * params$.row_vec4s && !is_left_out(labelled_only$, i / params$.row_vec4s) { at$(i); }
#end
}
