// out[i] = scale · weight[input_ids[i]], for the tokens whose word is one of those that weight holds.
#include weight

struct Params { in_vec4s: u32, first_id: u32, ids: u32, scale: f32, out_period: u32 }

@group(0) @binding(2) var<storage, read> input_ids: array<u32>;
@group(0) @binding(3) var<storage, read> weight: array<Stored>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

fn main(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, place: u32) {
  let i = flat_workgroup(workgroup, workgroups) * LANES + lane;
  let row = i / params.in_vec4s;
  let col = i % params.in_vec4s;
  if row < chunk.count {
    // Below the first id the difference is beyond all of them.
    let id = input_ids[chunk.start + row] - params.first_id;
    if id < params.ids {
      out[(first_row(params.out_period) + row) * params.in_vec4s + col] = params.scale * weight_at(weight_row(id), col);
    }
  }
}
