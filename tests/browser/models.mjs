// Models in the layout of Hugging Face: written by the tests, broken by tests/broken_models.json, and served as by hosts.

import { mkdir, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';

/** The shapes of a Llama's tensors, in the order in which they are split into shards. */
export function llama({ hidden, intermediate, layers, heads, keyHeads, headDim, vocab, tied = false }) {
  const config = {
    architectures: ['LlamaForCausalLM'], model_type: 'llama', hidden_size: hidden, intermediate_size: intermediate,
    num_hidden_layers: layers, num_attention_heads: heads, num_key_value_heads: keyHeads, head_dim: headDim, vocab_size: vocab,
    rms_norm_eps: 1e-6, rope_theta: 10000, tie_word_embeddings: tied, max_position_embeddings: 4096, hidden_act: 'silu',
  };
  const tensors = [['model.embed_tokens.weight', [vocab, hidden]]];
  for (let layer = 0; layer < layers; layer++) {
    const at = (name, ...shape) => tensors.push([`model.layers.${layer}.${name}.weight`, shape]);
    at('input_layernorm', hidden);
    at('self_attn.q_proj', heads * headDim, hidden);
    at('self_attn.k_proj', keyHeads * headDim, hidden);
    at('self_attn.v_proj', keyHeads * headDim, hidden);
    at('self_attn.o_proj', hidden, heads * headDim);
    at('post_attention_layernorm', hidden);
    at('mlp.gate_proj', intermediate, hidden);
    at('mlp.up_proj', intermediate, hidden);
    at('mlp.down_proj', hidden, intermediate);
  }
  tensors.push(['model.norm.weight', [hidden]]);
  if (!tied) tensors.push(['lm_head.weight', [vocab, hidden]]);
  return { config, tensors };
}

/** Writes a model, in one file or in shards. Its values depend only on names. */
export async function writeModel(directory, { config, tensors }, { dtype = 'F32', shards = 1 } = {}) {
  await mkdir(directory, { recursive: true });
  await writeFile(path.join(directory, 'config.json'), JSON.stringify(config));
  if (shards === 1) return writeFile(path.join(directory, 'model.safetensors'), safetensors(tensors, dtype));
  const each = Math.ceil(tensors.length / shards);
  const map = {};
  for (let shard = 0; shard < shards; shard++) {
    const name = `model-${String(shard + 1).padStart(5, '0')}-of-${String(shards).padStart(5, '0')}.safetensors`;
    const own = tensors.slice(shard * each, (shard + 1) * each);
    own.forEach(([tensor]) => { map[tensor] = name; });
    await writeFile(path.join(directory, name), safetensors(own, dtype));
  }
  await writeFile(path.join(directory, 'model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: map }));
}

/** Writes adapters in the layout of PEFT. */
export async function writeAdapter(directory, { config, tensors }, { rank, targets }) {
  await mkdir(directory, { recursive: true });
  const adapters = tensors.filter(([name]) => targets.some((target) => name.endsWith(`${target}.weight`))).flatMap(([name, [rows, cols]]) => {
    const base = `base_model.model.${name.slice(0, -'.weight'.length)}`;
    return [[`${base}.lora_A.weight`, [rank, cols]], [`${base}.lora_B.weight`, [rows, rank]]];
  });
  const settings = { peft_type: 'LORA', r: rank, lora_alpha: 2 * rank, target_modules: targets, bias: 'none', base_model_name_or_path: config.model_type };
  await writeFile(path.join(directory, 'adapter_config.json'), JSON.stringify(settings));
  await writeFile(path.join(directory, 'adapter_model.safetensors'), safetensors(adapters, 'F32'));
}

function safetensors(tensors, dtype) {
  const size = dtype === 'F32' ? 4 : 2;
  const sorted = [...tensors].sort(([a], [b]) => (a < b ? -1 : 1));
  const header = { __metadata__: { format: 'pt' } };
  const parts = [];
  let end = 0;
  for (const [name, shape] of sorted) {
    const bytes = encode(values(name, shape), dtype);
    header[name] = { dtype, shape, data_offsets: [end, end + size * shape.reduce((a, b) => a * b)] };
    end += bytes.length;
    parts.push(bytes);
  }
  return withHeader(header, Buffer.concat(parts));
}

function withHeader(header, tensors) {
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.concat([text, Buffer.alloc((8 - (text.length % 8)) % 8, ' ')]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));
  return Buffer.concat([length, padded, tensors]);
}

/** Ones for norms, small pseudo-random numbers for matrices. */
function values(name, shape) {
  const count = shape.reduce((a, b) => a * b);
  if (shape.length === 1) return new Float32Array(count).fill(1);
  let state = [...name].reduce((hash, c) => Math.imul(hash ^ c.charCodeAt(0), 16777619), 2166136261);
  return Float32Array.from({ length: count }, () => {
    state = Math.imul(state, 1664525) + 1013904223 | 0;
    return (state / 2 ** 31) * 0.05;
  });
}

function encode(values, dtype) {
  if (dtype === 'F32') return Buffer.from(values.buffer);
  // A bf16 is the upper half of an f32.
  const halves = Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16);
  return Buffer.from(halves.buffer);
}

/** Breaks a file by an entry of tests/broken_models.json. */
export async function edit(directory, change) {
  const file = path.join(directory, change.file);
  if (change.write !== undefined) return writeFile(file, change.write);
  if (change.remove) return rm(file);
  const bytes = await readFile(file);
  return writeFile(file, edited(bytes, change));
}

function edited(bytes, change) {
  const place = (at) => (at < 0 ? bytes.length + at : at);
  if (change.truncate !== undefined) return bytes.subarray(0, place(change.truncate));
  if (change.append !== undefined) return Buffer.concat([bytes, Buffer.alloc(change.append)]);
  if (change.bytes) {
    Buffer.from(change.bytes[1]).copy(bytes, place(change.bytes[0]));
    return bytes;
  }
  if (change.json) return Buffer.from(JSON.stringify(changed(JSON.parse(bytes), change.json)));
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, 8 + length));
  if (change.rename) {
    const [from, to] = change.rename;
    header[to] = header[from];
    delete header[from];
  } else {
    changed(header, change.header);
  }
  return withHeader(header, bytes.subarray(8 + length));
}

function changed(document, { path: keys, value, delete: isDeleted }) {
  const parent = keys.slice(0, -1).reduce((parent, key) => parent[key], document);
  if (isDeleted) delete parent[keys.at(-1)];
  else parent[keys.at(-1)] = value;
  return document;
}

/** The paths of all files of a directory. */
export async function filesOf(directory) {
  return (await readdir(directory)).map((name) => path.join(directory, name));
}

/**
 * Serves models as hosts do, to pages of other origins. `asked` collects all requests for files; `faults` injects faults: `cut` aborts a
 * response after that many bytes, once; `noRanges` and `noCors` are hosts without range requests and without CORS.
 */
export async function serveModels(directory, faults = {}) {
  const asked = [];
  const server = createServer((request, response) => answer(directory, faults, asked, request, response));
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${server.address().port}/`, asked, faults, close };
}

async function answer(directory, faults, asked, request, response) {
  const { pathname } = new URL(request.url, 'http://127.0.0.1');
  const file = path.join(directory, pathname.replace('/resolve/main/', '/'));
  const headers = { 'Content-Type': 'application/octet-stream' };
  if (!faults.noCors) {
    Object.assign(headers, {
      'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Headers': 'range',
      'Access-Control-Expose-Headers': 'ETag, Content-Range, Accept-Ranges',
    });
  }
  const size = await stat(file).then(({ size }) => size, () => null);
  if (request.method === 'OPTIONS') return response.writeHead(204, headers).end();
  asked.push({ method: request.method, name: path.basename(file), range: request.headers.range });
  if (size === null) return response.writeHead(404, headers).end();
  headers.ETag = `"${faults.version ?? 1}-${size}"`;
  const range = !faults.noRanges && request.headers.range?.match(/^bytes=(\d+)-(\d+)$/);
  const [start, end] = range ? [Number(range[1]), Math.min(Number(range[2]) + 1, size)] : [0, size];
  if (range) headers['Content-Range'] = `bytes ${start}-${end - 1}/${size}`;
  headers['Content-Length'] = end - start;
  response.writeHead(range ? 206 : 200, headers);
  if (request.method === 'HEAD') return response.end();
  const bytes = (await readFile(file)).subarray(start, end);
  const { cut } = faults;
  if (cut && path.basename(file) === cut.name) {
    delete faults.cut;
    response.write(bytes.subarray(0, cut.after), () => setTimeout(() => response.destroy(), 500));
    return undefined;
  }
  return response.end(bytes);
}
