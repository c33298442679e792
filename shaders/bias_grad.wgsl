// d_bias += sum of d_out[i] over tokens, tile by tile from last to first. A few threads have four columns and split a tile's tokens.
#include token_threads

struct Params$ { row_vec4s: u32, d_out_row_modulus: u32 }

#tensor d_out // (C×M)
@group(0) @binding(d_bias$) var<storage, read_write> d_bias$: array<vec4<f32>>; // (M)

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let wanted = workgroup_id.x * $COL_THREADSu + local_invocation_index % $COL_THREADSu;
  let col = min(wanted, params$.row_vec4s - 1u);
  let d_out_row = first_row(params$.d_out_row_modulus);
  var sum = d_bias$[col];
  var tile = tiles_with_work(labelled_only$, opaque_bound(token_tiles(), workgroup_id));
  for (; tile > 0u; tile = tiles_with_work(labelled_only$, tile - 1u)) {
    var part = vec4(0.0);
    // Always a whole tile, so that every tile runs the same code; tokens past the end count as zero.
    for (var i = 1u + local_invocation_index / $COL_THREADSu; i <= TOKEN_TILE; i += $UNROLLu * $TOKEN_THREADSu) {
#for u in 0..$UNROLL
      {
        let token = tile * TOKEN_TILE - i - $uu * $TOKEN_THREADSu;
        let row = min(token, chunk.count - 1u);
        part += select(vec4(0.0), load_d_out$((d_out_row + row) * params$.row_vec4s + col), token < chunk.count);
      }
#end
    }
    sum += over_token_threads(part, local_invocation_index);
  }
  if local_invocation_index < $COL_THREADSu && wanted < params$.row_vec4s { d_bias$[col] = sum; }
}
