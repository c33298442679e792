// out = 0.

struct Params { vec4s: u32 }

@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) workgroups: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
  let i = flat_workgroup(workgroup, workgroups) * LANES + lane;
  if i < params.vec4s { out[i] = vec4(0.0); }
}
