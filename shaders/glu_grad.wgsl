// gate and up are overwritten by their gradients: d_gate = d_out · up · act'(gate), d_up = d_out · act(gate).
#include activation

struct Params { row_vec4s: u32, d_out_period: u32, gate_period: u32, up_period: u32 }

@group(0) @binding(2) var<storage, read_write> d_out: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> gate: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> up: array<vec4<f32>>;

fn main(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, place: u32) {
  let i = flat_workgroup(workgroup, workgroups) * LANES + lane;
  if i >= chunk.count * params.row_vec4s { return; }
  let gate_at = first_row(params.gate_period) * params.row_vec4s + i;
  let up_at = first_row(params.up_period) * params.row_vec4s + i;
  let d = d_out[first_row(params.d_out_period) * params.row_vec4s + i];
  let g = gate[gate_at];
  let u = up[up_at];
  gate[gate_at] = d * u * activation_slope(g);
  up[up_at] = d * activation(g);
}
