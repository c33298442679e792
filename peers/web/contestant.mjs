// A page with one contestant: `?peer=NAME` says which. The driver calls `contestant.open`, `contestant.step` and `contestant.memory`.

// It wraps WebGPU, so it comes before anything that asks for a device.
import { getWebGPUMemoryUsage } from '/node_modules/webgpu-memory/dist/1.x/webgpu-memory.module.js';
import { loadTask } from './task.mjs';

const devices = [];
let adapter = '';
const { requestDevice } = GPUAdapter.prototype;
GPUAdapter.prototype.requestDevice = async function (...descriptor) {
  const device = await requestDevice.apply(this, descriptor);
  const { vendor, architecture, device: name, description } = this.info;
  adapter = [vendor, architecture, name, description].filter(Boolean).join(' ');
  devices.push(device);
  device.lost.then(({ message }) => (lost = message || 'the device was lost'));
  device.addEventListener('uncapturederror', ({ error }) => (broken ??= error.message));
  return device;
};
let lost;
let broken;

const peer = new URLSearchParams(location.search).get('peer');
const { open } = await import(`./${peer}.mjs`);
let trainer;

/** Fails with what the device said outside of any call: some libraries go on with zeros. */
function check() {
  if (lost) throw new Error(`device lost: ${lost}`);
  if (broken) throw new Error(broken);
}

globalThis.contestant = {
  /** Makes the model and its batch, and tells what came of it. */
  async open(length, variant) {
    trainer = await open(await loadTask(length), variant);
    check();
    return { adapter, detail: trainer.detail ?? '' };
  },
  /** One step, from the call until its loss is known here. */
  async step() {
    const started = performance.now();
    const loss = await trainer.step();
    const seconds = (performance.now() - started) / 1000;
    check();
    return { loss, seconds, bytes: peakBytes() };
  },
};

/** The most bytes that were on the device at once. */
function peakBytes() {
  return Math.max(0, ...devices.map((device) => getWebGPUMemoryUsage(device).memory.maxTotal));
}
