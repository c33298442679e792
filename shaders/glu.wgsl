// out = act(gate) · up (C×F).
#include activation

struct Params$ { row_vec4s: u32, gate_row_modulus: u32, up_row_modulus: u32, out_row_modulus: u32 }

#tensor gate // (C×F)
#tensor up // (C×F)
#tensor out // (C×F)

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let i = flat_workgroup(workgroup_id, num_workgroups) * WORKGROUP_SIZE + local_invocation_index;
  if i >= chunk.count * params$.row_vec4s || is_left_out(labelled_only$, i / params$.row_vec4s) { return; }
  let g = load_gate$(first_row(params$.gate_row_modulus) * params$.row_vec4s + i);
  let u = load_up$(first_row(params$.up_row_modulus) * params$.row_vec4s + i);
  store_out$(first_row(params$.out_row_modulus) * params$.row_vec4s + i, activation(g) * u);
}
