// The decoder in jax-js: a whole step, its gradient and AdamW, is one compiled function.

import { defaultDevice, init, jit, nn, numpy as np, tree, valueAndGrad } from '/node_modules/@jax-js/jax/dist/index.js';
import { rotations } from './task.mjs';

/** Opens a run. It has no variants. */
export async function open(task) {
  await init('webgpu');
  defaultDevice('webgpu');
  return new Trainer(task);
}

// A function consumes its arguments: `.ref` says that an array is used again.

class Trainer {
  constructor(task) {
    const matrix = (values, shape) => np.array(values).reshape(shape);
    const weights = Object.fromEntries([...task.weights].map(([name, { shape, values }]) => [name, matrix(values, shape)]));
    const zeros = () => tree.map((weight) => np.zeros(weight.shape), weights);
    this.state = { weights, first: zeros(), second: zeros() };
    const { cos, sin } = rotations(task);
    const half = [task.length, 1, task.head_dim / 2];
    this.batch = { ids: np.array(task.ids), labels: np.array(task.labels), cos: matrix(cos, half), sin: matrix(sin, half) };
    this.steps = 0;
    this.task = task;
    this.compiled = jit((state, batch, corrections) => train(task, state, batch, corrections));
  }

  async step() {
    this.steps += 1;
    const corrections = np.array([1 - this.task.beta1 ** this.steps, 1 - this.task.beta2 ** this.steps]);
    const { loss, ...state } = this.compiled(this.state, tree.ref(this.batch), corrections);
    this.state = state;
    const [number] = await loss.data();
    return number;
  }
}

/** One step of AdamW: the loss, and what learns as it is then. */
function train(task, { weights, first, second }, batch, corrections) {
  const [loss, gradients] = valueAndGrad((weights) => lossOf(task, weights, batch))(tree.ref(weights));
  const state = { weights: {}, first: {}, second: {}, loss };
  const [correction1, correction2] = np.split(corrections, 2);
  for (const [name, gradient] of Object.entries(gradients)) {
    const decay = gradient.ndim === 2 ? 1 - task.learning_rate * task.weight_decay : 1;
    const moment1 = first[name].mul(task.beta1).add(gradient.ref.mul(1 - task.beta1));
    const moment2 = second[name].mul(task.beta2).add(np.square(gradient).mul(1 - task.beta2));
    const root = np.sqrt(moment2.ref.div(correction2.ref)).add(task.epsilon);
    const change = moment1.ref.div(correction1.ref).div(root).mul(task.learning_rate);
    state.weights[name] = weights[name].mul(decay).sub(change);
    state.first[name] = moment1;
    state.second[name] = moment2;
  }
  tree.dispose([correction1, correction2]);
  return state;
}

function lossOf(task, weights, { ids, labels, cos, sin }) {
  const model = new Model(task, weights, cos, sin);
  const logits = model.logits(ids);
  const right = nn.oneHot(labels, task.vocab_size);
  const loss = nn.logSoftmax(logits).mul(right).sum().div(-task.length);
  model.dispose();
  return loss;
}

class Model {
  constructor(task, weights, cos, sin) {
    Object.assign(this, { task, weights, cos, sin });
  }

  dispose() {
    tree.dispose([this.weights, this.cos, this.sin]);
  }

  weight(name) {
    return this.weights[`model.${name}.weight`].ref;
  }

  logits(ids) {
    let hidden = np.take(this.weight('embed_tokens'), ids, 0);
    for (let layer = 0; layer < this.task.num_hidden_layers; layer++) {
      hidden = hidden.ref.add(this.attention(layer, this.norm(hidden, `layers.${layer}.input_layernorm`)));
      hidden = hidden.ref.add(this.mlp(layer, this.norm(hidden, `layers.${layer}.post_attention_layernorm`)));
    }
    return this.project(this.norm(hidden, 'norm'), 'embed_tokens');
  }

  attention(layer, x) {
    const { length, head_dim: headDim, num_attention_heads: heads, num_key_value_heads: groups } = this.task;
    const project = (input, name, count) => this.project(input, `layers.${layer}.self_attn.${name}`).reshape([length, count, headDim]);
    const query = this.rotate(project(x.ref, 'q_proj', heads));
    const key = this.rotate(project(x.ref, 'k_proj', groups));
    const value = project(x, 'v_proj', groups);
    const mixed = nn.dotProductAttention(query, key, value, { isCausal: true });
    return this.project(mixed.reshape([length, heads * headDim]), `layers.${layer}.self_attn.o_proj`);
  }

  mlp(layer, x) {
    const gate = nn.silu(this.project(x.ref, `layers.${layer}.mlp.gate_proj`));
    const up = this.project(x, `layers.${layer}.mlp.up_proj`);
    return this.project(gate.mul(up), `layers.${layer}.mlp.down_proj`);
  }

  norm(x, name) {
    const mean = np.square(x.ref).mean(-1, { keepdims: true });
    return x.div(np.sqrt(mean.add(this.task.rms_norm_eps))).mul(this.weight(name));
  }

  rotate(x) {
    const [first, second] = np.split(x, 2, -1);
    const turned = first.ref.mul(this.cos.ref).sub(second.ref.mul(this.sin.ref));
    return np.concatenate([turned, second.mul(this.cos.ref).add(first.mul(this.sin.ref))], -1);
  }

  project(x, name) {
    return np.matmul(x, np.transpose(this.weight(name)));
  }
}
