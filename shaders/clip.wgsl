// Reduces the partial sums of squares to the global gradient norm, the factor that clips it, and whether it is finite.
#include reduce
#include adamw_params

struct Params$ { partials: u32 }

@group(0) @binding(partials$) var<storage, read_write> partials$: array<f32>; // (slots×256)
@group(0) @binding(adamw_params$) var<storage, read> adamw_params$: AdamWParams; // (8)
@group(0) @binding(metrics$) var<storage, read_write> metrics$: array<f32>; // (4)

// The exponent bits of infinities and NaN are all ones. Compilers may assume that a comparison never sees either.
fn has_value$(number: f32) -> bool {
  return (bitcast<u32>(number) & 0x7f800000u) != 0x7f800000u;
}

fn main$(workgroup_id: vec3<u32>, num_workgroups: vec3<u32>, local_invocation_index: u32, subgroup_invocation_id: u32) {
  var sum = 0.0;
  for (var block = local_invocation_index; block < params$.partials; block += $BLOCKu) {
    var part = 0.0;
    for (var i = block; i < min(block + $BLOCKu, params$.partials); i += $WORKGROUP_SIZEu) { part += partials$[i]; }
    sum += part;
  }
  let total = workgroup_sum(sum, local_invocation_index);
  if local_invocation_index != 0u { return; }
  let norm = sqrt(total);
  // Checks the loss too: logits that overflow can give a NaN loss with a gradient of ordinary size.
  let is_finite = has_value$(total) && has_value$(metrics$[0]);
  metrics$[1] = norm;
  metrics$[2] = select(0.0, min(1.0, adamw_params$.max_grad_norm / (norm + 1e-6)), is_finite);
  metrics$[3] = select(1.0, 0.0, is_finite);
}
