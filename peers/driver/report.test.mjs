import assert from 'node:assert/strict';
import { test } from 'node:test';

import { toJson, toMarkdown } from './report.mjs';
import { lockedVersion } from './versions.mjs';

const step = (seconds) => ({ loss: 5, seconds, bytes: 2 ** 20 });
const results = [
  { entry: { name: 'ours', place: 'native', ours: true, same: true }, adapter: 'a driver', detail: 'standard', rows: [{ length: 512, steps: [step(9), step(1)] }] },
  { entry: { name: 'peer', place: 'native', same: false }, adapter: '', detail: '', rows: [{ length: 512, steps: [step(9), step(3)] }], survived: 512, end: 'a | b' },
  { entry: { name: 'other', place: 'native', same: true }, adapter: '', detail: '', rows: [] },
];
const facts = { versions: { burn: '1.2.3' }, chromium: '', minutes: 20, failures: [] };

test('ratios are against ours of the same place and length', () => {
  const [ours, peer, other] = toJson(results, facts).contestants;
  assert.equal(ours.rows[0].times_as_long_as_ours, 1);
  assert.deepEqual([peer.rows[0].times_as_long_as_ours, peer.rows[0].peak_bytes], [3, 2 ** 20]);
  assert.deepEqual(other.rows, []);
});

test('the table has a line for each contestant', () => {
  const text = toMarkdown(toJson(results, facts));
  const lines = text.split('\n');
  assert(lines.includes('| ours (standard) | 1.00 s, 1.0 ×, 1 MiB | — | — |'), text);
  assert(lines.includes('| peer ¹ | 3.00 s, 3.0 ×, 1 MiB | 512 | a \\| b |'), text);
  assert(lines.includes('| other | — | — | — |'), text);
  assert(text.includes('on a driver') && text.includes('\nburn 1.2.3.\n') && text.includes('\n¹ ') && !text.includes('**'));
});

test('losses that are wrong stand out', () => {
  assert(toMarkdown(toJson(results, { ...facts, failures: ['peer: wrong'] })).includes('- peer: wrong'));
});

test('versions are those of the lock file', () => {
  const lock = 'name = "burn-core"\nversion = "9.9.9"\n\n[[package]]\nname = "burn"\nversion = "1.2.3"\n';
  assert.equal(lockedVersion(lock, 'burn'), '1.2.3');
  assert.equal(lockedVersion(lock, 'none'), 'unknown');
});
