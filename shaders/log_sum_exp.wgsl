// Goes on with stats[i] = (the largest logit m, the sum of exp(logit − m), the label's logit) over a block of the vocabulary. A workgroup
// has a row. The words are summed up tile by tile, and each tile's sum is added to what there is: where a block ends does not show.
#include reduce
#include logits

struct Params { row_vec4s: u32, first_word: u32, words: u32, tile_vec4s: u32, softcap: f32, logits_period: u32, stats_period: u32 }

const LOWEST: f32 = -1e30;

@group(0) @binding(2) var<storage, read_write> logits: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> labels: array<u32>;
@group(0) @binding(4) var<storage, read_write> stats: array<vec4<f32>>;

fn main(workgroup: vec3<u32>, workgroups: vec3<u32>, lane: u32, place: u32) {
  let row = flat_workgroup(workgroup, workgroups);
  if row >= chunk.count { return; }
  let start = (first_row(params.logits_period) + row) * params.row_vec4s;
  let stats_at = first_row(params.stats_period) + row;
  let before = select(vec4(LOWEST, 0.0, 0.0, 0.0), stats[stats_at], params.first_word > 0u);
  var most = before.x;
  var sum = before.y;
  var label_logit = before.z;
  // Below the first word, and for a label that is ignored, the difference is beyond all words.
  let label = labels[chunk.start + row] - params.first_word;
  if label < params.words { label_logit = capped(logits[start + label / 4u])[label % 4u]; }

  let row_vec4s = turns(params.row_vec4s, workgroup);
  for (var tile = 0u; tile < row_vec4s; tile += params.tile_vec4s) {
    let end = min(tile + params.tile_vec4s, params.row_vec4s);
    var tops = vec4(LOWEST);
    for (var col = tile + lane; col < end; col += $LANESu) {
      tops = max(tops, select(vec4(LOWEST), capped(logits[start + col]), is_word(col)));
    }
    let top = workgroup_max(max(max(tops.x, tops.y), max(tops.z, tops.w)), lane);
    var part = 0.0;
    for (var col = tile + lane; col < end; col += $LANESu) {
      part += dot(select(vec4(0.0), exp(capped(logits[start + col]) - top), is_word(col)), vec4(1.0));
    }
    let total = workgroup_sum(part, lane);
    let new_most = max(most, top);
    sum = sum * exp(most - new_most) + total * exp(top - new_most);
    most = new_most;
  }
  if lane == 0u { stats[stats_at] = vec4(most, sum, label_logit, 0.0); }
}
