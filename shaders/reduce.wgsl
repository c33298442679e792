// Sums and maxima over a workgroup, in one order on a device. A workgroup that is one subgroup needs no barrier.

#if SUBGROUP
fn workgroup_sum(value: f32, lane: u32) -> f32 {
  return subgroupAdd(value);
}

fn workgroup_max(value: f32, lane: u32) -> f32 {
  return subgroupMax(value);
}
#else
var<workgroup> partial: array<f32, $LANES>;

fn workgroup_sum(value: f32, lane: u32) -> f32 {
  partial[lane] = value;
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < $LANESu; i++) { sum += partial[i]; }
  workgroupBarrier();
  return sum;
}

fn workgroup_max(value: f32, lane: u32) -> f32 {
  partial[lane] = value;
  workgroupBarrier();
  var most = partial[0];
  for (var i = 1u; i < $LANESu; i++) { most = max(most, partial[i]); }
  workgroupBarrier();
  return most;
}
#end
