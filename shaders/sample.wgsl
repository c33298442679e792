// Chooses the next token of each completion: of the tokens that top-k and top-p leave, the one with the largest logit / temperature − ln e,
// where e has an exponential distribution (the Gumbel-max trick). A workgroup has a completion. Each token of the vocabulary has its own
// random number by completion and place, so nothing depends on how many completions there are. A threshold is found digit by digit: first the
// two highest bits of the smallest logit that stays, then the next two, and so on. A thread has $UNROLL groups of four logits per iteration,
// because lavapipe ends a thread's loops after 65,535 of them.
#include sampling
#include chacha
#include logits

struct Params$ { row_vec4s: u32, ids: u32, rows: u32, first_token: u32, softcap: f32, logits_row_modulus: u32 }

@group(0) @binding(logits$) var<storage, read_write> logits$: array<vec4<f32>>; // (C×V)
@group(0) @binding(sampling$) var<storage, read> sampling$: Sampling;
@group(0) @binding(input_ids$) var<storage, read_write> input_ids$: array<u32>; // (tokens of the roll-out)
@group(0) @binding(log_probs$) var<storage, read_write> log_probs$: array<f32>; // (M·G)

const LOWEST$: f32 = -1e30;

var<workgroup> found$: array<vec4<f32>, $WORKGROUP_SIZE>;
var<workgroup> found_ids$: array<u32, $WORKGROUP_SIZE>;

// Of what each thread has found: the largest of four numbers, and the sum.
fn largest_of_all$(values: vec4<f32>, local_invocation_index: u32) -> f32 {
  found$[local_invocation_index] = values;
  workgroupBarrier();
  var largest = found$[0];
  for (var i = 1u; i < $WORKGROUP_SIZEu; i++) { largest = max(largest, found$[i]); }
  workgroupBarrier();
  return max(max(largest.x, largest.y), max(largest.z, largest.w));
}

fn sum_of_all$(values: vec4<f32>, local_invocation_index: u32) -> vec4<f32> {
  found$[local_invocation_index] = values;
  workgroupBarrier();
  var sum = vec4(0.0);
  for (var i = 0u; i < $WORKGROUP_SIZEu; i++) { sum += found$[i]; }
  workgroupBarrier();
  return sum;
}

// Numbers that are in the same order as the floats.
fn ordered$(values: vec4<f32>) -> vec4<u32> {
  let bits = bitcast<vec4<u32>>(values);
  return bits ^ select(vec4(0x80000000u), vec4(0xffffffffu), bits >= vec4(0x80000000u));
}

// Four logits of a row; past its end some that are none of the vocabulary's.
fn raw_at$(start: u32, col: u32) -> vec4<f32> {
  return logits$[start + min(col, params$.row_vec4s - 1u)];
}

// The same, capped if the model caps them.
fn logits_at$(start: u32, col: u32) -> vec4<f32> {
  return capped$(raw_at$(start, col));
}

fn total$(values: vec4<f32>) -> f32 {
  return (values.x + values.y) + (values.z + values.w);
}

// A draw from the exponential distribution for each of four random words: −ln(1 − w), where w is uniform and fine near 0.
fn exponential$(words: vec4<u32>) -> vec4<f32> {
  let word = vec4<f32>(words) + 0.5;
  let w = word * 2.3283064365386963e-10;
  let rest = fma(word, vec4(-2.3283064365386963e-10), vec4(1.0));
  // The series, where the difference from 1 would lose digits.
  var series = vec4(1.0 / 9.0);
#for i in 0..8
  series = fma(series, w, vec4(1.0 / (8.0 - $i.0)));
#end
  return select(min(-log(max(rest, vec4(1e-10))), vec4(23.0)), series * w, w < vec4(0.125));
}

// The weights of four logits, as far as they are from `least` on: 1 each, or e to the power of what they are more than `top`.
fn weights$(values: vec4<f32>, col: u32, least: u32, top: f32, is_mass: bool) -> vec4<f32> {
  let each = select(vec4(1.0), exp(min(values - top, vec4(0.0))), is_mass);
  return select(vec4(0.0), each, is_id$(col) & (ordered$(values) >= vec4(least)));
}

// The sums of the weights of four logits from each of three numbers on.
fn weights_from$(start: u32, col: u32, temperature: f32, least: u32, top: f32, is_mass: bool, threshold: u32, step: u32) -> vec4<f32> {
  let values = logits_at$(start, col) / temperature;
  let numbers = ordered$(values);
  let each = weights$(values, col, least, top, is_mass);
  return vec4(
    total$(select(vec4(0.0), each, numbers >= vec4(threshold + step))),
    total$(select(vec4(0.0), each, numbers >= vec4(threshold + 2u * step))),
    total$(select(vec4(0.0), each, numbers >= vec4(threshold + 3u * step))),
    0.0,
  );
}

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let row = flat_workgroup(workgroup_id, num_workgroups);
  if row >= chunk.count { return; }
  let start = (first_row(params$.logits_row_modulus) + row) * params$.row_vec4s;
  let vec4s = opaque_bound(params$.row_vec4s, workgroup_id);
  let is_greedy = sampling$.temperature == 0.0;
  let temperature = select(sampling$.temperature, 1.0, is_greedy);

  var tops = vec4(LOWEST$);
  for (var first = local_invocation_index; first < vec4s; first += $UNROLLu * $WORKGROUP_SIZEu) {
#for u in 0..$UNROLL
    let col$u = first + $uu * $WORKGROUP_SIZEu;
    tops = max(tops, select(vec4(LOWEST$), logits_at$(start, col$u), is_id$(col$u)));
#end
  }
  let top = largest_of_all$(tops, local_invocation_index);
  var sums = vec4(0.0);
  for (var first = local_invocation_index; first < vec4s; first += $UNROLLu * $WORKGROUP_SIZEu) {
#for u in 0..$UNROLL
    let col$u = first + $uu * $WORKGROUP_SIZEu;
    sums += select(vec4(0.0), exp(min(capped_less$(raw_at$(start, col$u), top), vec4(0.0))), is_id$(col$u));
#end
  }
  let log_sum = top + log(total$(sum_of_all$(sums, local_invocation_index)));

  // First by how many they are, then by their probabilities.
  var least = 0u;
  for (var stage = 0u; stage < 2u; stage++) {
    let is_mass = stage == 1u;
    if is_greedy || select(sampling$.top_k >= params$.ids, sampling$.top_p >= 1.0, is_mass) { continue; }
    let scaled_top = top / temperature;
    var masses = vec4(0.0);
    for (var first = local_invocation_index; first < vec4s; first += $UNROLLu * $WORKGROUP_SIZEu) {
#for u in 0..$UNROLL
      masses += weights$(logits_at$(start, first + $uu * $WORKGROUP_SIZEu) / temperature, first + $uu * $WORKGROUP_SIZEu, least, scaled_top, is_mass);
#end
    }
    let mass = total$(sum_of_all$(masses, local_invocation_index));
    let wanted = select(f32(sampling$.top_k), sampling$.top_p * mass, is_mass);
    var threshold = 0u;
    for (var shift = 32u; shift > 0u; shift -= 2u) {
      let step = 1u << (shift - 2u);
      var found = vec4(0.0);
      for (var first = local_invocation_index; first < vec4s; first += $UNROLLu * $WORKGROUP_SIZEu) {
#for u in 0..$UNROLL
        found += weights_from$(start, first + $uu * $WORKGROUP_SIZEu, temperature, least, scaled_top, is_mass, threshold, step);
#end
      }
      let all = sum_of_all$(found, local_invocation_index);
      threshold += step * (u32(all.x >= wanted) + u32(all.y >= wanted) + u32(all.z >= wanted));
    }
    least = max(threshold, least);
  }

  // The best token of each thread, and then of all: the first one, if several are as good.
  let place = (chunk.start - params$.first_token) / params$.rows;
  let stream = vec2(place, sampling$.first_completion + row);
  var best = LOWEST$;
  var best_id = 0u;
  for (var block = local_invocation_index; 4u * block < vec4s; block += $WORKGROUP_SIZEu) {
    let words = chacha_block(sampling$.key, block, stream);
#for j in 0..4
    {
      let col = 4u * block + $ju;
      let values = logits_at$(start, col) / temperature;
      let stays = is_id$(col) & (ordered$(values) >= vec4(least));
      let noise = select(log(exponential$(words[$j])), vec4(0.0), is_greedy);
      let candidates = select(vec4(LOWEST$), values - noise, stays);
#for i in 0..4
      if candidates[$i] > best {
        best = candidates[$i];
        best_id = 4u * col + $iu;
      }
#end
    }
#end
  }
  found$[local_invocation_index] = vec4(best);
  found_ids$[local_invocation_index] = best_id;
  workgroupBarrier();
  if local_invocation_index == 0u {
    for (var i = 1u; i < $WORKGROUP_SIZEu; i++) {
      let other = found$[i].x;
      if other > best || (other == best && found_ids$[i] < best_id) {
        best = other;
        best_id = found_ids$[i];
      }
    }
    input_ids$[chunk.start + params$.rows + row] = best_id;
    log_probs$[chunk.start - params$.first_token + row] = capped_less$(logits$[start + best_id / 4u], log_sum)[best_id % 4u];
  }
}
