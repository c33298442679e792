// Starts the worker with instruments: a test can ask what is in the device's memory, and destroy the device.

// It has to wrap WebGPU before there is a device, so it comes before the worker itself.
import { getWebGPUMemoryUsage } from './webgpu-memory.js';
import './start-worker-itself.js';

let device;
const { requestDevice } = GPUAdapter.prototype;
GPUAdapter.prototype.requestDevice = async function (...descriptor) {
  device = await requestDevice.apply(this, descriptor);
  return device;
};

const answers = {
  memory: () => getWebGPUMemoryUsage(device),
  destroy: () => device.destroy(),
};
const channel = new BroadcastChannel('instruments');
channel.onmessage = ({ data: question }) => {
  // The planner has no device.
  if (device && question in answers) channel.postMessage({ to: question, answer: answers[question]() });
};
