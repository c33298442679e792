// The decoder in TensorFlow.js on WebGPU: its operators, its automatic differentiation, its Adam.

import { rotations } from './task.mjs';

/** Loads TensorFlow.js and opens a run. It has no variants. */
export async function open(task) {
  // As scripts they share one core; as modules each would bundle its own.
  await script('/node_modules/@tensorflow/tfjs/dist/tf.min.js');
  await script('/node_modules/@tensorflow/tfjs-backend-webgpu/dist/tf-backend-webgpu.min.js');
  const { tf } = globalThis;
  await tf.setBackend('webgpu');
  await tf.ready();
  return new Trainer(tf, task);
}

function script(src) {
  return new Promise((resolve, reject) => {
    const element = Object.assign(document.createElement('script'), { src, onload: resolve });
    element.onerror = () => reject(new Error(`${src} cannot be loaded`));
    document.head.append(element);
  });
}

class Trainer {
  constructor(tf, task) {
    this.tf = tf;
    this.task = task;
    this.weights = new Map([...task.weights].map(([name, { shape, values }]) => [name, tf.variable(tf.tensor(values, shape), true, name)]));
    this.ids = tf.tensor1d(task.ids, 'int32');
    this.labels = tf.tidy(() => tf.oneHot(tf.tensor1d(task.labels, 'int32'), task.vocab_size).toFloat());
    const { cos, sin } = rotations(task);
    this.cos = tf.tensor(cos, [task.length, 1, task.head_dim / 2]);
    this.sin = tf.tensor(sin, [task.length, 1, task.head_dim / 2]);
    this.mask = tf.tidy(() => {
      const position = tf.range(0, task.length, 1, 'int32');
      return tf.greater(position.expandDims(0), position.expandDims(1)).toFloat().mul(-1e9);
    });
    this.optimizer = tf.train.adam(task.learning_rate, task.beta1, task.beta2, task.epsilon);
  }

  async step() {
    const { tf } = this;
    const loss = tf.tidy(() => {
      const { value, grads } = tf.variableGrads(() => this.loss());
      this.decay();
      this.optimizer.applyGradients(grads);
      return value;
    });
    const [number] = await loss.data();
    loss.dispose();
    return number;
  }

  /** AdamW's decay, of matrices alone, which its Adam lacks. */
  decay() {
    const factor = 1 - this.task.learning_rate * this.task.weight_decay;
    this.weights.forEach((weight) => weight.rank === 2 && weight.assign(weight.mul(factor)));
  }

  loss() {
    const { tf, task } = this;
    const embedding = this.weight('embed_tokens');
    let hidden = tf.gather(embedding, this.ids);
    for (let layer = 0; layer < task.num_hidden_layers; layer++) {
      hidden = tf.add(hidden, this.attention(layer, this.norm(hidden, `layers.${layer}.input_layernorm`)));
      hidden = tf.add(hidden, this.mlp(layer, this.norm(hidden, `layers.${layer}.post_attention_layernorm`)));
    }
    const logits = tf.matMul(this.norm(hidden, 'norm'), embedding, false, true);
    return tf.losses.softmaxCrossEntropy(this.labels, logits);
  }

  /** Heads of a group lie behind one another, so that keys and values need no copies. */
  attention(layer, x) {
    const { tf, task } = this;
    const { length, head_dim: headDim, num_attention_heads: heads, num_key_value_heads: groups } = task;
    const project = (name, count) => this.project(x, `layers.${layer}.self_attn.${name}`).reshape([length, count, headDim]);
    const query = this.rotate(project('q_proj', heads).mul(headDim ** -0.5)).transpose([1, 0, 2]);
    const key = this.rotate(project('k_proj', groups)).transpose([1, 0, 2]);
    const value = project('v_proj', groups).transpose([1, 0, 2]);
    const grouped = [groups, (heads / groups) * length];
    const scores = tf.matMul(query.reshape([...grouped, headDim]), key, false, true);
    const shares = tf.softmax(scores.reshape([heads, length, length]).add(this.mask));
    const mixed = tf.matMul(shares.reshape([...grouped, length]), value).reshape([heads, length, headDim]);
    return this.project(mixed.transpose([1, 0, 2]).reshape([length, heads * headDim]), `layers.${layer}.self_attn.o_proj`);
  }

  mlp(layer, x) {
    const gate = this.project(x, `layers.${layer}.mlp.gate_proj`);
    const up = this.project(x, `layers.${layer}.mlp.up_proj`);
    return this.project(gate.mul(gate.sigmoid()).mul(up), `layers.${layer}.mlp.down_proj`);
  }

  norm(x, name) {
    const scale = x.square().mean(-1, true).add(this.task.rms_norm_eps).rsqrt();
    return x.mul(scale).mul(this.weight(name));
  }

  rotate(x) {
    const [first, second] = this.tf.split(x, 2, -1);
    const turned = [first.mul(this.cos).sub(second.mul(this.sin)), second.mul(this.cos).add(first.mul(this.sin))];
    return this.tf.concat(turned, -1);
  }

  project(x, name) {
    return this.tf.matMul(x, this.weight(name), false, true);
  }

  weight(name) {
    return this.weights.get(`model.${name}.weight`);
  }
}
