// out = softmax(q · kᵀ · scale) · v for a token of each completion (C×H·E), over the keys of the prompt (0), which all completions share, and
// those of the completion itself (1). A workgroup has a query head of a token. Tile after tile of keys, its threads first compute the scores
// of some keys each, and then sum up some columns of the values each, with a running maximum as in attention.wgsl. With SPLIT there are more
// threads than columns: each has a part of the keys of a tile. The tiles of a completion's keys do not depend on how many others there are.
#include sampling

struct Params$ {
  heads: u32,
  num_key_value_groups: u32,
  keys_row_vec4s: u32,
  scale: f32,
  window: u32,
  rows: u32,
  first_token: u32,
  q_row_modulus: u32,
  k0_row_modulus: u32,
  k1_row_modulus: u32,
  out_row_modulus: u32,
}

#tensor q // (C×H·E)
#tensor k0 // (P×K·E, or a ring)
#tensor v0 // (P×K·E, or a ring)
#tensor k1 // (M·G×K·E, or a ring)
#tensor v1 // (M·G×K·E, or a ring)
@group(0) @binding(sampling$) var<storage, read> sampling$: Sampling;
@group(0) @binding(out$) var<storage, read_write> out$: array<vec4<f32>>; // (C×H·E)

const LOWEST$: f32 = -1e30;

var<workgroup> scores$: array<f32, $KEYS>;
var<workgroup> weights$: array<f32, $KEYS>;
#if SPLIT
var<workgroup> sums$: array<vec4<f32>, $WORKGROUP_SIZE>;
#end

// Four scores, or weights, of the tile.
fn scores_at$(i: u32) -> vec4<f32> {
  return vec4(scores$[i], scores$[i + 1u], scores$[i + 2u], scores$[i + 3u]);
}

fn weights_at$(i: u32) -> vec4<f32> {
  return vec4(weights$[i], weights$[i + 1u], weights$[i + 2u], weights$[i + 3u]);
}

// Where the head of a key of the prompt begins, and that of a key of the completion, by its place.
fn key0$(key: u32, row: u32, head_offset: u32) -> u32 {
  return key % params$.k0_row_modulus * params$.keys_row_vec4s + head_offset;
}

fn key1$(key: u32, row: u32, head_offset: u32) -> u32 {
  return (params$.first_token + key * params$.rows + row) % params$.k1_row_modulus * params$.keys_row_vec4s + head_offset;
}

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  let workgroup = flat_workgroup(workgroup_id, num_workgroups);
  let row = workgroup / params$.heads;
  let head = workgroup % params$.heads;
  if row >= chunk.count { return; }
  let q_at = ((first_row(params$.q_row_modulus) + row) * params$.heads + head) * $HEAD_VEC4Su;
  let head_offset = head / params$.num_key_value_groups * $HEAD_VEC4Su;
  // Keys are counted by their positions. The completion begins with the last token of the prompt.
  let prefix = sampling$.prefix;
  let place = (chunk.start - params$.first_token) / params$.rows;
  let position = prefix + place;
  let first = position - min(position, params$.window - 1u);
  let first0 = min(first, prefix);
  let end0 = opaque_bound(prefix, workgroup_id);
  let first1 = max(first, prefix) - prefix;
  let end1 = opaque_bound(place + 1u, workgroup_id);

  let part = local_invocation_index / $HEAD_VEC4Su * 4u;
  var row_max = LOWEST$;
  var row_sum = 0.0;
#for c in 0..$COLS
  let col$c = min(local_invocation_index + $cu * $WORKGROUP_SIZEu, $HEAD_VEC4Su * $PARTSu - 1u) % $HEAD_VEC4Su;
  var o$c = vec4(0.0);
#end
#for which in 0..2
  if first$which < end$which {
  for (var tile = first$which / $KEYSu * $KEYSu; tile < end$which; tile += $KEYSu) {
    for (var i = local_invocation_index; i < $KEYSu; i += $WORKGROUP_SIZEu) {
      // Keys that are not seen are masked, and others are loaded in their place: nobody may have written theirs.
      let key = clamp(tile + i, first$which, end$which - 1u);
      let at = key$which$(key, row, head_offset);
      var product = 0.0;
#for e in 0..$HEAD_VEC4S
      product = multiply_add(load_q$(q_at + $eu), load_k$which$(at + $eu), product);
#end
      scores$[i] = select(LOWEST$, product * params$.scale, key == tile + i);
    }
    workgroupBarrier();
    var tops = scores_at$(0u);
#for i in 0..$QUADS
    tops = max(tops, scores_at$(4u * $iu));
#end
    let new_row_max = max(row_max, max(max(tops.x, tops.y), max(tops.z, tops.w)));
    let rescale = exp(row_max - new_row_max);
    row_max = new_row_max;
    for (var i = local_invocation_index; i < $KEYSu; i += $WORKGROUP_SIZEu) {
      let sees = tile + i >= first$which && tile + i < end$which;
      weights$[i] = select(0.0, exp(scores$[i] - row_max), sees);
    }
    workgroupBarrier();
    var of_keys = vec4(0.0);
#for i in 0..$QUADS
    of_keys += weights_at$(4u * $iu);
#end
    row_sum = fma(row_sum, rescale, (of_keys.x + of_keys.y) + (of_keys.z + of_keys.w));
#for c in 0..$COLS
    o$c *= rescale;
#end
    for (var i = part; i < $KEYSu; i += $STRIDEu) {
      let p = weights_at$(i);
#for j in 0..4
      let at$j = key$which$(clamp(tile + i + $ju, first$which, end$which - 1u), row, head_offset);
#end
#for c in 0..$COLS
      o$c = fma(vec4(p.x), load_v$which$(at0 + col$c), o$c);
      o$c = fma(vec4(p.y), load_v$which$(at1 + col$c), o$c);
      o$c = fma(vec4(p.z), load_v$which$(at2 + col$c), o$c);
      o$c = fma(vec4(p.w), load_v$which$(at3 + col$c), o$c);
#end
    }
  }
  }
#end

  let out_at = ((first_row(params$.out_row_modulus) + row) * params$.heads + head) * $HEAD_VEC4Su;
#if SPLIT
  sums$[local_invocation_index] = o0;
  workgroupBarrier();
  if local_invocation_index < $HEAD_VEC4Su {
    var sum = vec4(0.0);
#for p in 0..$PARTS
    sum += sums$[local_invocation_index + $pu * $HEAD_VEC4Su];
#end
    out$[out_at + local_invocation_index] = sum / row_sum;
  }
#else
#for c in 0..$COLS
  if local_invocation_index + $cu * $WORKGROUP_SIZEu < $HEAD_VEC4Su { out$[out_at + col$c] = o$c / row_sum; }
#end
#end
}
