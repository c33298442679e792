// Sums over the tokens of a tile, where several threads have a column: each sums up some tokens, and then all of them add up the parts
// in one order.

#if SPLIT
var<workgroup> parts: array<vec4<f32>, $WORKGROUP_SIZE>;
#end

// The sum of the parts that the threads of a column have.
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
