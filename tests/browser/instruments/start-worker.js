// Starts a worker with instruments: a test can ask what is in the device's memory, destroy the device, and ask how many bytes of a
// file the librarian read at once, at most.

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

if (name === 'librarian') {
  let largest = 0;
  const { arrayBuffer } = Blob.prototype;
  Blob.prototype.arrayBuffer = function measured() {
    largest = Math.max(largest, this.size);
    return arrayBuffer.call(this);
  };
  const asked = new BroadcastChannel('librarian');
  asked.onmessage = ({ data }) => data === 'largest' && asked.postMessage(largest);
}
