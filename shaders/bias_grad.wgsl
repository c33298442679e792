// d_bias += sum of d_out[i] over tokens, from the last to the first. A thread owns four columns.

struct Params { row_vec4s: u32, d_out_period: u32 }

@group(0) @binding(2) var<storage, read_write> d_out: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> d_bias: array<vec4<f32>>;

fn main(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, place: u32) {
  let col = workgroup.x * $LANESu + lane;
  if col >= params.row_vec4s { return; }
  let d_out_row = first_row(params.d_out_period);
  var sum = d_bias[col];
  for (var tile = (chunk.count + TOKEN_TILE - 1u) / TOKEN_TILE; tile > 0u; tile--) {
    // Always a whole tile, so that the loop is the same code for every tile; what lies behind the end counts as zero.
    for (var i = 1u; i <= TOKEN_TILE; i++) {
      let token = tile * TOKEN_TILE - i;
      let row = min(token, chunk.count - 1u);
      sum += select(vec4(0.0), d_out[(d_out_row + row) * params.row_vec4s + col], token < chunk.count);
    }
  }
  d_bias[col] = sum;
}
