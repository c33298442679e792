// The model worker with an instrument: it tells how many bytes of a file were asked for at once, at most.

import './start-model-worker-itself.js';

let largest = 0;
const { arrayBuffer } = Blob.prototype;
Blob.prototype.arrayBuffer = function measured() {
  largest = Math.max(largest, this.size);
  return arrayBuffer.call(this);
};

const channel = new BroadcastChannel('model-worker');
channel.onmessage = ({ data }) => data === 'largest' && channel.postMessage(largest);
