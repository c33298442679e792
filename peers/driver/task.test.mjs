import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CONTESTANTS, taking } from './task.mjs';

const who = (words) => taking(words).map(({ place, peer, variant }) => [place, peer, variant].filter(Boolean).join(' '));

test('who is named takes part, and ours beside it', () => {
  assert.deepEqual(taking(), CONTESTANTS);
  assert.deepEqual(who(['jax']), ['browser ours fastest', 'browser ours stream', 'browser jax']);
  assert.deepEqual(who(['burn, check']), ['native ours', 'native ours', 'native burn']);
  assert.deepEqual(who(['StreamBP, stream']).length, 4);
});

test('who is unknown is told who is known', () => {
  const sentence = /^no contestant's name begins with "tfjs": --only takes StreamBP, TensorFlow.js, nanogpt, jax-js, burn$/;
  assert.throws(() => taking(['jax', 'tfjs']), { message: sentence });
});
