// Updates stats[i] = (largest logit m, sum of exp(logit − m), logit of the label) (C×4) with a range of the vocabulary. A workgroup has a
// row. It reduces the range tile by tile and adds each tile's sum to the running sum, so the result does not depend on the ranges.
#include reduce
#include logits

struct Params$ { row_vec4s: u32, first_id: u32, ids: u32, tile_vec4s: u32, softcap: f32, temperature: f32, logits_row_modulus: u32, stats_row_modulus: u32 }

const LOWEST$: f32 = -1e30;

@group(0) @binding(logits$) var<storage, read_write> logits$: array<vec4<f32>>; // (C×range)
@group(0) @binding(labels$) var<storage, read> labels$: array<u32>; // (N)
@group(0) @binding(stats$) var<storage, read_write> stats$: array<vec4<f32>>; // (C×4)

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let row = flat_workgroup(workgroup_id, num_workgroups);
  if row >= chunk.count || is_left_out(labelled_only$, row) { return; }
  let start = (first_row(params$.logits_row_modulus) + row) * params$.row_vec4s;
  let stats_at = first_row(params$.stats_row_modulus) + row;
  let before = select(vec4(LOWEST$, 0.0, 0.0, 0.0), stats$[stats_at], params$.first_id > 0u);
  var row_max = before.x;
  var row_sum = before.y;
  var label_logit = before.z;
  // For labels below the first id, and for ignored labels, the unsigned difference is more than `ids`.
  let label = labels$[chunk.start + row] - params$.first_id;
  if label < params$.ids { label_logit = capped$(logits$[start + label / 4u])[label % 4u]; }

  let row_vec4s = opaque_bound(params$.row_vec4s, workgroup_id);
  for (var tile = 0u; tile < row_vec4s; tile += params$.tile_vec4s) {
    let end = min(tile + params$.tile_vec4s, params$.row_vec4s);
    var tops = vec4(LOWEST$);
    for (var col = tile + local_invocation_index; col < end; col += $WORKGROUP_SIZEu) {
      tops = max(tops, select(vec4(LOWEST$), capped$(logits$[start + col]), is_id$(col)));
    }
    let top = workgroup_max(max(max(tops.x, tops.y), max(tops.z, tops.w)), local_invocation_index);
    var part = 0.0;
    for (var col = tile + local_invocation_index; col < end; col += $WORKGROUP_SIZEu) {
      let terms = select(vec4(0.0), exp(capped_less$(logits$[start + col], top)), is_id$(col));
      part += (terms.x + terms.y) + (terms.z + terms.w);
    }
    let total = workgroup_sum(part, local_invocation_index);
    let new_max = max(row_max, top);
    row_sum = fma(row_sum, exp(row_max - new_max), total * exp(top - new_max));
    row_max = new_max;
  }
  if local_invocation_index == 0u { stats$[stats_at] = vec4(row_max, row_sum, label_logit, 0.0); }
}
