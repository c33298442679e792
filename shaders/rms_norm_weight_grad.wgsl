// d_weight += sum of d_out[i] · x[i] · rstd[i] over tokens and groups, tile by tile from last to first. A few threads have four columns and
// split a tile's tokens.
#include token_threads

struct Params$ { row_vec4s: u32, groups: u32, x_row_modulus: u32, rstd_row_modulus: u32, d_out_row_modulus: u32 }

#tensor x // (C×D)
@group(0) @binding(rstd$) var<storage, read_write> rstd$: array<f32>; // (C×groups)
@group(0) @binding(d_out$) var<storage, read_write> d_out$: array<vec4<f32>>; // (C×D)
@group(0) @binding(d_weight$) var<storage, read_write> d_weight$: array<vec4<f32>>; // (D, or the size of a group)

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let wanted = workgroup_id.x * $COL_THREADSu + local_invocation_index % $COL_THREADSu;
  let col = min(wanted, params$.row_vec4s - 1u);
  let x_row = first_row(params$.x_row_modulus);
  let rstd_row = first_row(params$.rstd_row_modulus);
  let d_out_row = first_row(params$.d_out_row_modulus);
  let groups = opaque_bound(params$.groups, workgroup_id);
  var sum = d_weight$[col];
  var tile = tiles_with_work(labelled_only$, opaque_bound(token_tiles(), workgroup_id));
  for (; tile > 0u; tile = tiles_with_work(labelled_only$, tile - 1u)) {
    var part = vec4(0.0);
    // Always a whole tile, so that every tile runs the same code; tokens past the end count as zero.
    for (var i = 1u + local_invocation_index / $COL_THREADSu; i <= TOKEN_TILE; i += $UNROLLu * $TOKEN_THREADSu) {
#for u in 0..$UNROLL
      let token$u = tile * TOKEN_TILE - i - $uu * $TOKEN_THREADSu;
      let row$u = min(token$u, chunk.count - 1u);
      var of_token$u = vec4(0.0);
#end
      for (var first_group = 0u; first_group < groups; first_group += $GROUPS_TOGETHERu) {
#for u in 0..$UNROLL
#for g in 0..$GROUPS_TOGETHER
        {
          let group = first_group + $gu;
          let x_at = (x_row + row$u) * params$.groups + group;
          let d_out_at = (d_out_row + row$u) * params$.groups + group;
          let rstd = rstd$[(rstd_row + row$u) * params$.groups + group];
          of_token$u = fma(d_out$[d_out_at * params$.row_vec4s + col], load_x$(x_at * params$.row_vec4s + col) * rstd, of_token$u);
        }
#end
#end
      }
#for u in 0..$UNROLL
      part += select(vec4(0.0), of_token$u, token$u < chunk.count);
#end
    }
    sum += over_token_threads(part, local_invocation_index);
  }
  if local_invocation_index < $COL_THREADSu && wanted < params$.row_vec4s { d_weight$[col] = sum; }
}
