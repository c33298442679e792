// out = x (C×D).

struct Params$ { row_vec4s: u32, x_row_modulus: u32, out_row_modulus: u32 }

#tensor x // (C×D)
#tensor out // (C×D)

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let i = flat_workgroup(workgroup_id, num_workgroups) * WORKGROUP_SIZE + local_invocation_index;
  if i >= chunk.count * params$.row_vec4s { return; }
  store_out$(first_row(params$.out_row_modulus) * params$.row_vec4s + i, load_x$(first_row(params$.x_row_modulus) * params$.row_vec4s + i));
}
