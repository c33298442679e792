// rstd[i] = 1 / sqrt(mean(x[i]²) + ε), out[i] = x[i] · rstd[i] · weight (+ residual[i]). A workgroup has a row, or one of its groups.
#include reduce
#include norm_weight

struct Params {
  row_vec4s: u32,
  groups: u32,
  size: f32,
  epsilon: f32,
  x_period: u32,
  out_period: u32,
  rstd_period: u32,
  residual_period: u32,
}

@group(0) @binding(2) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> out: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> rstd: array<f32>;
#if RESIDUAL
@group(0) @binding(6) var<storage, read_write> residual: array<vec4<f32>>;
#end

fn main(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, place: u32) {
  let row = flat_workgroup(workgroup, workgroups);
  if row >= chunk.count * params.groups { return; }
  let x_start = (first_row(params.x_period) * params.groups + row) * params.row_vec4s;
  var squares = 0.0;
  for (var col = lane; col < params.row_vec4s; col += $LANESu) {
    let v = x[x_start + col];
    squares += dot(v, v);
  }
  let scale = inverseSqrt(workgroup_sum(squares, lane) / params.size + params.epsilon);
  if lane == 0u { rstd[first_row(params.rstd_period) * params.groups + row] = scale; }
  let out_start = (first_row(params.out_period) * params.groups + row) * params.row_vec4s;
#if RESIDUAL
  let residual_start = (first_row(params.residual_period) * params.groups + row) * params.row_vec4s;
#end
  for (var col = lane; col < params.row_vec4s; col += $LANESu) {
    let normed = x[x_start + col] * scale * norm_weight(col);
#if RESIDUAL
    out[out_start + col] = residual[residual_start + col] + normed;
#else
    out[out_start + col] = normed;
#end
  }
}
