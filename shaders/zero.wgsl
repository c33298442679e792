// out = 0: the chunk's rows, or all if rows are no tokens.

#if TOKENS
struct Params { row_vec4s: u32, out_period: u32 }
#else
struct Params { vec4s: u32 }
#end

@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

fn main(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, place: u32) {
  let i = flat_workgroup(workgroup, workgroups) * LANES + lane;
#if TOKENS
  if i < chunk.count * params.row_vec4s { out[first_row(params.out_period) * params.row_vec4s + i] = vec4(0.0); }
#else
  if i < params.vec4s { out[i] = vec4(0.0); }
#end
}
