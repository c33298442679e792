// out[i] = scale · weight[input_ids[i] − first_id] (C×D), for the tokens whose id is among the rows of weight.
#include weight

struct Params$ { in_vec4s: u32, first_id: u32, ids: u32, scale: f32, out_row_modulus: u32 }

@group(0) @binding(input_ids$) var<storage, read> input_ids$: array<u32>; // (N)
@group(0) @binding(weight$) var<storage, read> weight$: array<Stored$>; // (a slice of V×D)
#tensor out // (C×D)

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let i = flat_workgroup(workgroup_id, num_workgroups) * WORKGROUP_SIZE + local_invocation_index;
  let row = i / params$.in_vec4s;
  let col = i % params$.in_vec4s;
  if row < chunk.count {
    // For ids below the first one the unsigned difference wraps to more than `ids`.
    let id = input_ids$[chunk.start + row] - params$.first_id;
    if id < params$.ids {
      store_out$((first_row(params$.out_row_modulus) + row) * params$.in_vec4s + col, params$.scale * weight_at$(weight_row$(id), col));
    }
  }
}
