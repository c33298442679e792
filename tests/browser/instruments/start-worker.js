// Starts the worker with instruments: a test can ask what is in the device's memory, destroy the device, withhold adapters, and fill the
// storage. What is to be broken from the start stands behind the `#` of the worker's address.

import { destroy } from './native-webgpu.js';
// It has to wrap WebGPU before there is a device, so it comes before the worker itself.
import { getWebGPUMemoryUsage } from './webgpu-memory.js';
import './start-worker-itself.js';

let device;
const { requestDevice } = GPUAdapter.prototype;
GPUAdapter.prototype.requestDevice = async function (...descriptor) {
  device = await requestDevice.apply(this, descriptor);
  return device;
};

/** How many requests for an adapter find none. */
let withheld = 0;
const { requestAdapter } = GPU.prototype;
GPU.prototype.requestAdapter = async function (...options) {
  if (location.hash === '#no-adapter') return null;
  if (withheld > 0) {
    withheld -= 1;
    return null;
  }
  return requestAdapter.apply(this, options);
};

// Some compilers take sums of numbers for sums of real ones. This one rounds otherwise where a chunk is long.
const { createShaderModule } = GPUDevice.prototype;
GPUDevice.prototype.createShaderModule = function (descriptor) {
  if (location.hash !== '#other-rounding') return createShaderModule.call(this, descriptor);
  const code = descriptor.code.replaceAll('inverseSqrt(', 'select(1.0, 1.0000002, chunk.count > 64u) * inverseSqrt(');
  return createShaderModule.call(this, { label: descriptor.label, code });
};

let isFull = false;
const { write } = FileSystemSyncAccessHandle.prototype;
FileSystemSyncAccessHandle.prototype.write = function (...content) {
  if (isFull) throw new DOMException('no room is left', 'QuotaExceededError');
  return write.apply(this, content);
};

const SLOW_MS = 2000;
let isSlow = location.hash === '#slow-storage';
const { getDirectory } = StorageManager.prototype;
StorageManager.prototype.getDirectory = async function () {
  if (location.hash === '#no-storage') throw new DOMException('storage is switched off', 'SecurityError');
  if (isSlow) await new Promise((resolve) => { setTimeout(resolve, SLOW_MS); });
  isSlow = false;
  return getDirectory.call(this);
};

const answers = {
  memory: () => getWebGPUMemoryUsage(device),
  // The counter would forget the device, and throw where WebGPU does not: when a buffer is created before the loss is known.
  destroy: () => destroy.call(device),
  withhold: (count) => { withheld = count; },
  fill: (full) => { isFull = full; },
};
const channel = new BroadcastChannel('instruments');
channel.onmessage = ({ data: { question, value } }) => {
  // The planner has no device.
  if (device && question in answers) channel.postMessage({ to: question, answer: answers[question](value) });
};
