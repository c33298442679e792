// Sums and maxima over a workgroup, in a fixed order on a device. A workgroup that is one subgroup needs no barrier.

#if SUBGROUP
fn workgroup_sum(value: f32, local_invocation_index: u32) -> f32 {
  return subgroupAdd(value);
}

fn workgroup_max(value: f32, local_invocation_index: u32) -> f32 {
  return subgroupMax(value);
}
#else
var<workgroup> partial: array<f32, $WORKGROUP_SIZE>;

fn workgroup_sum(value: f32, local_invocation_index: u32) -> f32 {
  partial[local_invocation_index] = value;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < $WORKGROUP_SIZEu; i++) { sum += partial[i]; }
  workgroupBarrier();
  return sum;
}

fn workgroup_max(value: f32, local_invocation_index: u32) -> f32 {
  partial[local_invocation_index] = value;
  workgroupBarrier();
  var largest = partial[0];
  for (var i = 1u; i < $WORKGROUP_SIZEu; i++) { largest = max(largest, partial[i]); }
  workgroupBarrier();
  return largest;
}
#end
