// Methods of WebGPU as the browser has them, before the counter of its memory wraps them.

export const { destroy } = GPUDevice.prototype;
