// d_weight += sum of d_out[i] · x[i] · rstd[i] over tokens and their groups, tile by tile from the last to the first. Some threads
// have four columns and share a tile's tokens.
#include token_lanes

struct Params { row_vec4s: u32, groups: u32, x_period: u32, rstd_period: u32, d_out_period: u32 }

@group(0) @binding(2) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> rstd: array<f32>;
@group(0) @binding(4) var<storage, read_write> d_out: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read_write> d_weight: array<vec4<f32>>;

fn main(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, place: u32) {
  let wanted = workgroup.x * $COL_LANESu + lane % $COL_LANESu;
  let col = min(wanted, params.row_vec4s - 1u);
  let x_row = first_row(params.x_period);
  let rstd_row = first_row(params.rstd_period);
  let d_out_row = first_row(params.d_out_period);
  let groups = turns(params.groups, workgroup);
  var sum = d_weight[col];
  for (var tile = turns(token_tiles(), workgroup); tile > 0u; tile--) {
    var part = vec4(0.0);
    // Always a whole tile, so that the loop is the same code for every tile; what lies behind the end counts as zero.
    for (var i = 1u + lane / $COL_LANESu; i <= TOKEN_TILE; i += $TOKEN_LANESu) {
      let token = tile * TOKEN_TILE - i;
      let row = min(token, chunk.count - 1u);
      for (var group = 0u; group < groups; group++) {
        let x_at = (x_row + row) * params.groups + group;
        let d_out_at = (d_out_row + row) * params.groups + group;
        let term = d_out[d_out_at * params.row_vec4s + col] * (x[x_at * params.row_vec4s + col] * rstd[(rstd_row + row) * params.groups + group]);
        part += select(vec4(0.0), term, token < chunk.count);
      }
    }
    sum += over_token_lanes(part, lane);
  }
  if lane < $COL_LANESu && wanted < params.row_vec4s { d_weight[col] = sum; }
}
