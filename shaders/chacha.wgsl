// Random words: blocks of ChaCha with eight rounds (Bernstein 2008), the same as those of the crate rand_chacha.

fn rotated(x: vec4<u32>, bits: u32) -> vec4<u32> {
  return (x << vec4(bits)) | (x >> vec4(32u - bits));
}

// The 16 words of a block, by key, number of the block and stream.
fn chacha_block(key: array<u32, 8>, block: u32, stream: vec2<u32>) -> array<vec4<u32>, 4> {
  let a0 = vec4(0x61707865u, 0x3320646eu, 0x79622d32u, 0x6b206574u);
  let b0 = vec4(key[0], key[1], key[2], key[3]);
  let c0 = vec4(key[4], key[5], key[6], key[7]);
  let d0 = vec4(block, 0u, stream);
  var a = a0;
  var b = b0;
  var c = c0;
  var d = d0;
#for rounds in 0..4
  // A round on columns, and one on diagonals, for which the rows turn, and turn back.
  a += b; d = rotated(d ^ a, 16u);
  c += d; b = rotated(b ^ c, 12u);
  a += b; d = rotated(d ^ a, 8u);
  c += d; b = rotated(b ^ c, 7u);
  b = b.yzwx; c = c.zwxy; d = d.wxyz;
  a += b; d = rotated(d ^ a, 16u);
  c += d; b = rotated(b ^ c, 12u);
  a += b; d = rotated(d ^ a, 8u);
  c += d; b = rotated(b ^ c, 7u);
  b = b.wxyz; c = c.zwxy; d = d.yzwx;
#end
  return array(a + a0, b + b0, c + c0, d + d0);
}
