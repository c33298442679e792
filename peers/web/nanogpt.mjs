// @genai-fi/nanogpt: its own model of the same sizes, with its trainer and its kernels on top of TensorFlow.js.

import { TeachableLLM, models } from '/node_modules/@genai-fi/nanogpt/dist/main.js';
import BasicTrainer from '/node_modules/@genai-fi/nanogpt/dist/training/BasicTrainer.js';

/** Opens a run; `variant` is `plain`, or `checkpointing` for a block at a time. Its weights are drawn by itself. */
export async function open(task, variant) {
  await TeachableLLM.selectBackend('webgpu');
  const model = new models.NanoGPTV1({
    modelType: 'GenAI_NanoGPT_v1',
    vocabSize: task.vocab_size,
    blockSize: task.length,
    nLayer: task.num_hidden_layers,
    nHead: task.num_attention_heads,
    nEmbed: task.hidden_size,
    mlpFactor: mlpFactor(task),
    useRope: true,
  });
  const trainer = new BasicTrainer(model, undefined, optimizer(task));
  trainer.setGradientCheckpointing(variant === 'checkpointing');
  return new Trainer(model, trainer, task);
}

/**
 * Its attention has a key and a value for every head, and its MLP two matrices instead of three: with this width a layer has as many
 * parameters as the task's, so its multiplications are as many.
 */
function mlpFactor({ hidden_size: hidden, intermediate_size: wide, num_attention_heads: heads, num_key_value_heads: groups }) {
  const theirs = 4 * hidden * hidden;
  const ours = 2 * hidden * hidden * (1 + groups / heads) + 3 * hidden * wide;
  return (ours - theirs) / (2 * hidden * hidden);
}

function optimizer({ learning_rate: learningRate, beta1, beta2, epsilon, weight_decay: weightDecay }) {
  const constant = { warmupSteps: 0, decayEpochs: 0, minLearningRate: learningRate, epochSteps: 1 };
  return { learningRate, beta1, beta2, epsilon, weightDecay, lossScaling: 1, ...constant };
}

class Trainer {
  constructor(model, trainer, { ids, labels, length }) {
    this.detail = `${model.getNumParams()} parameters`;
    this.trainer = trainer;
    // Its copy of TensorFlow.js is no export of its own, but its engine is a global, as in any copy.
    const tensor = (values) => globalThis._tfengine.makeTensor(values, [1, length], 'int32');
    this.batch = { xs: tensor(ids), ys: tensor(labels) };
  }

  async step() {
    const loss = this.trainer.trainStep({}, this.batch);
    const [number] = await loss.data();
    loss.dispose();
    return number;
  }
}
