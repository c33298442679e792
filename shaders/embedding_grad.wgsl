// d_weight[v − first_id] += scale · sum of d_out[i] over the tokens i whose id is v, from last to first. A thread owns four columns of a
// row of d_weight, so no two threads add to the same element, and the host's order of the tokens is the order of the sum. The tokens of a
// tile are summed on their own. A dispatch is for some of the tokens, and goes on from what those behind them have given.

struct Params$ { row_vec4s: u32, first_id: u32, ids: u32, scale: f32, d_out_row_modulus: u32 }

@group(0) @binding(d_out$) var<storage, read_write> d_out$: array<vec4<f32>>; // (N×D)
@group(0) @binding(token_order$) var<storage, read> token_order$: array<u32>; // (N)
@group(0) @binding(token_start$) var<storage, read> token_start$: array<u32>; // (V+1)
@group(0) @binding(d_weight$) var<storage, read_write> d_weight$: array<vec4<f32>>; // (a slice of V×D)

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let i = flat_workgroup(workgroup_id, num_workgroups) * WORKGROUP_SIZE + local_invocation_index;
  let row = i / params$.row_vec4s;
  let col = i % params$.row_vec4s;
  if row >= params$.ids { return; }
  let id = params$.first_id + row;
  var sum = d_weight$[i];
  var part = vec4(0.0);
  var tile = 0u;
  let end = token_start$[id + 1u];
  for (var at = token_start$[id]; at < end; at++) {
    let token = token_order$[at];
    if token >= chunk.start + chunk.count { continue; }
    if token < chunk.start { break; }
    if token / TOKEN_TILE != tile {
      sum += part;
      part = vec4(0.0);
      tile = token / TOKEN_TILE;
    }
    part = fma(vec4(params$.scale), d_out$[row_of(token, params$.d_out_row_modulus) * params$.row_vec4s + col], part);
  }
  d_weight$[i] = sum + part;
}
