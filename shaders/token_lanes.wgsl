// Sums over the tokens of a tile, where several threads have a column: each sums up some tokens, and then all of them add up the parts
// in one order.

#if SPLIT
var<workgroup> parts: array<vec4<f32>, $LANES>;
#end

// The sum of the parts that the threads of a column have.
fn over_token_lanes(part: vec4<f32>, lane: u32) -> vec4<f32> {
#if SPLIT
  parts[lane] = part;
  workgroupBarrier();
  var sum = vec4(0.0);
  for (var i = lane % $COL_LANESu; i < $LANESu; i += $COL_LANESu) { sum += parts[i]; }
  workgroupBarrier();
  return sum;
#else
  return part;
#end
}
