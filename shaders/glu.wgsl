// out = act(gate) · up.
#include activation

struct Params { row_vec4s: u32, gate_period: u32, up_period: u32, out_period: u32 }

@group(0) @binding(2) var<storage, read_write> gate: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> up: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;

fn main(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, place: u32) {
  let i = flat_workgroup(workgroup, workgroups) * LANES + lane;
  if i >= chunk.count * params.row_vec4s { return; }
  let g = gate[first_row(params.gate_period) * params.row_vec4s + i];
  let u = up[first_row(params.up_period) * params.row_vec4s + i];
  out[first_row(params.out_period) * params.row_vec4s + i] = activation(g) * u;
}
