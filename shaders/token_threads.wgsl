// Sums over the tokens of a tile when several threads share a column: each sums some tokens, then all add up the partial sums in the same
// order.

#if SPLIT
var<workgroup> parts: array<vec4<f32>, $WORKGROUP_SIZE>;
#end

// The sum of the partial sums of the threads of a column.
fn over_token_threads(part: vec4<f32>, local_invocation_index: u32) -> vec4<f32> {
#if SPLIT
  parts[local_invocation_index] = part;
  workgroupBarrier();
  var sum = vec4(0.0);
  for (var i = local_invocation_index % $COL_THREADSu; i < $WORKGROUP_SIZEu; i += $COL_THREADSu) { sum += parts[i]; }
  workgroupBarrier();
  return sum;
#else
  return part;
#end
}
