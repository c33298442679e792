// out[i] = weight[input_ids[i]].

struct Params { row_vec4s: u32, out_absolute: u32 }

@group(0) @binding(2) var<storage, read> input_ids: array<u32>;
@group(0) @binding(3) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = flat_workgroup(workgroup, workgroups) * LANES + lane;
  let row = i / params.row_vec4s;
  let col = i % params.row_vec4s;
  if row < chunk.count {
    let id = input_ids[chunk.start + row];
    out[(first_row(params.out_absolute) + row) * params.row_vec4s + col] = weight[id * params.row_vec4s + col];
  }
}
