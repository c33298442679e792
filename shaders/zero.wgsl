// out = 0: the chunk's rows, or all rows if rows are not tokens.

#if TOKENS
struct Params$ { row_vec4s: u32, out_row_modulus: u32 }
#else
struct Params$ { vec4s: u32 }
#end

@group(0) @binding(out$) var<storage, read_write> out$: array<vec4<f32>>; // any shape

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let i = flat_workgroup(workgroup_id, num_workgroups) * WORKGROUP_SIZE + local_invocation_index;
#if TOKENS
  if i < chunk.count * params$.row_vec4s { out$[first_row(params$.out_row_modulus) * params$.row_vec4s + i] = vec4(0.0); }
#else
  if i < params$.vec4s { out$[i] = vec4(0.0); }
#end
}
