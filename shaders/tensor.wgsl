// An operand that stands as `#tensor NAME` in a shader: four columns at a time, each a float of the tensor's dtype. With ROUNDED an f32 tensor
// holds values as a bf16 tensor would.
#if BF16
@group(0) @binding(NAME$) var<storage, read_write> NAME$: array<Pair>;
#else
@group(0) @binding(NAME$) var<storage, read_write> NAME$: array<Quad>;
#end

fn load_NAME$(at: u32) -> vec4<f32> {
#if BF16
  return floats_of_bf16(NAME$[at]);
#else
  return floats(NAME$[at]);
#end
}

fn store_NAME$(at: u32, values: vec4<f32>) {
#if BF16
  NAME$[at] = bf16_of(values);
#else
#if ROUNDED
  NAME$[at] = quad(bitcast<vec4<f32>>(rounded_to_bf16(values)));
#else
  NAME$[at] = quad(values);
#end
#end
}
