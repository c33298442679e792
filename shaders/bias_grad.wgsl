// d_bias += sum of d_out[i] over tokens, tile by tile from the last to the first. Some threads have four columns and share a tile's tokens.
#include token_lanes

struct Params { row_vec4s: u32, d_out_period: u32 }

@group(0) @binding(2) var<storage, read_write> d_out: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> d_bias: array<vec4<f32>>;

fn main(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, place: u32) {
  let wanted = workgroup.x * $COL_LANESu + lane % $COL_LANESu;
  let col = min(wanted, params.row_vec4s - 1u);
  let d_out_row = first_row(params.d_out_period);
  var sum = d_bias[col];
  for (var tile = turns(token_tiles(), workgroup); tile > 0u; tile--) {
    var part = vec4(0.0);
    // Always a whole tile, so that the loop is the same code for every tile; what lies behind the end counts as zero.
    for (var i = 1u + lane / $COL_LANESu; i <= TOKEN_TILE; i += $TOKEN_LANESu) {
      let token = tile * TOKEN_TILE - i;
      let row = min(token, chunk.count - 1u);
      part += select(vec4(0.0), d_out[(d_out_row + row) * params.row_vec4s + col], token < chunk.count);
    }
    sum += over_token_lanes(part, lane);
  }
  if lane < $COL_LANESu && wanted < params.row_vec4s { d_bias[col] = sum; }
}
