// The task as the native program exported it.

/** Sizes and settings, the first weights by name, and a batch of so many tokens. */
export async function loadTask(length) {
  const [sizes, weights, text] = await Promise.all([
    read('task.json').then((response) => response.json()),
    read('weights.safetensors').then((response) => response.arrayBuffer()),
    read('text.bin').then((response) => response.arrayBuffer()),
  ]);
  const ids = new Int32Array(text);
  if (length > sizes.longest) throw new Error(`the text has no more than ${sizes.longest} tokens`);
  return { ...sizes, length, weights: parseSafetensors(weights), ids: ids.slice(0, length), labels: ids.slice(1, length + 1) };
}

async function read(name) {
  const response = await fetch(`/task/${name}`);
  if (!response.ok) throw new Error(`${name} cannot be read: ${response.status}`);
  return response;
}

/** Tensors of a safetensors file that has nothing but f32: a shape and values for each name. */
function parseSafetensors(buffer) {
  const headerBytes = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, headerBytes)));
  delete header.__metadata__;
  const tensors = Object.entries(header).map(([name, { dtype, shape, data_offsets: [from, to] }]) => {
    if (dtype !== 'F32') throw new Error(`${name} is ${dtype}`);
    return [name, { shape, values: new Float32Array(buffer.slice(8 + headerBytes + from, 8 + headerBytes + to)) }];
  });
  return new Map(tensors);
}

/** Cosines and sines of every position (T×E/2), as the rotary embedding of Llama wants them. */
export function rotations({ length, head_dim: headDim, rope_theta: theta }) {
  const half = headDim / 2;
  const cos = new Float32Array(length * half);
  const sin = new Float32Array(length * half);
  for (let position = 0; position < length; position++) {
    for (let pair = 0; pair < half; pair++) {
      const angle = position * theta ** (-pair / half);
      cos[position * half + pair] = Math.cos(angle);
      sin[position * half + pair] = Math.sin(angle);
    }
  }
  return { cos, sin };
}
