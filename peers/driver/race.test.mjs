import assert from 'node:assert/strict';
import { test } from 'node:test';

import { OverLimit, checkLosses, ending, isDone, limitOf, median, race, survive, within } from './race.mjs';

const silent = () => {};
const step = (loss, seconds = 1) => ({ loss, seconds });

function runner(entry, step = async () => ({ loss: 5, seconds: 1 })) {
  return { entry: { name: 'somebody', ...entry }, steps: [], end: null, step, close: async () => {} };
}

test('the step that compiles is not timed', () => {
  assert.equal(median([step(5, 100)]), null);
  assert.equal(median([step(5, 100), step(5, 3), step(5, 1), step(5, 2)]), 2);
  assert.equal(median([step(5, 100), step(5, 1), step(5, 2)]), 1.5);
});

test('long steps are taken as often as they must be, short ones more often', () => {
  const done = (least, seconds, count) => isDone({ steps: Array.from({ length: count }, () => step(5, seconds)), end: null }, least);
  assert.deepEqual([done(2, 60, 2), done(2, 60, 3)], [false, true]);
  assert.deepEqual([done(1, 60, 1), done(1, 60, 2)], [false, true]);
  assert.deepEqual([done(1, 0.1, 4), done(1, 0.1, 5)], [false, true]);
  assert(isDone({ steps: [], end: 'it failed' }, 1));
});

test('ours runs beside every peer, and who fails leaves the race', async () => {
  const turns = [];
  const named = (name, entry, failAt) => {
    const one = runner({ name, ...entry });
    one.step = async () => {
      turns.push(name);
      if (one.steps.length === failAt) throw new Error('out of\n  memory');
      return step(5);
    };
    return one;
  };
  const runners = [named('ours', { ours: true }), named('a', {}), named('b', {}, 1)];
  await race(runners, silent);
  assert.deepEqual(turns.slice(0, 9), ['a', 'ours', 'b', 'ours', 'ours', 'a', 'ours', 'b', 'ours']);
  assert.equal(runners[2].end, 'out of memory');
  assert.deepEqual(runners.slice(1).map(({ steps }) => steps.length), [5, 1]);
});

test('a step that takes too long is given up', async () => {
  await assert.rejects(within(0.01, new Promise(() => {})), OverLimit);
  assert.equal(await within(10, Promise.resolve(1)), 1);
});

test('only a first step that tunes has more time', () => {
  assert(limitOf({ tunes: true }, 0) > limitOf({ tunes: true }, 1));
  assert.equal(limitOf({}, 0), limitOf({}, 1));
});

test('losses of the same decoder have to agree', () => {
  const ours = { entry: { name: 'ours', ours: true, same: true }, steps: [step(5.5), step(5.2), step(5)] };
  const peer = (...losses) => ({ entry: { name: 'peer', same: true }, steps: losses.map((loss) => step(loss)) });
  assert.deepEqual(checkLosses([ours, peer(5.5005, 5.2)], 256), []);
  for (const losses of [[5.502], [5.5, 5.2, 5.01], [NaN]]) assert.equal(checkLosses([ours, peer(...losses)], 256).length, 1, String(losses));
  assert.equal(checkLosses([peer(5.5)], 256).length, 1, 'there is nothing to compare with');
});

test('losses of another decoder have to start at the logarithm of the vocabulary and to fall', () => {
  const ours = { entry: { name: 'ours', ours: true, same: true }, steps: [step(5.5)] };
  const peer = (...losses) => ({ entry: { name: 'peer', same: false }, steps: losses.map((loss) => step(loss)) });
  assert.deepEqual(checkLosses([ours, peer(5.56, 5.4)], 256), []);
  for (const losses of [[5.7], [5.5, 5.6], [NaN]]) assert.notEqual(checkLosses([ours, peer(...losses)], 256).length, 0, String(losses));
});

test('the longest sequence is the last one that is survived', async () => {
  const go = (attempt, seconds = 1) => survive({ survived: 512, seconds, longest: 4096, limit: 10, attempt, log: silent });
  assert.deepEqual(await go(async () => 1), { survived: 4096, end: 'the longest that was tried' });
  const breaks = async (length) => (length > 1024 ? Promise.reject(new Error('device lost')) : 1);
  assert.deepEqual(await go(breaks), { survived: 1024, end: 'device lost' });
  assert.deepEqual(await go(async () => 6), { survived: 1024, end: 'more than 10 s a step' });
  assert.deepEqual(await go(async () => Promise.reject(new OverLimit('late'))), { survived: 512, end: 'more than 10 s a step' });
});

test('reasons fit a cell of a table', () => {
  assert.equal(ending(new Error('a\n b')), 'a b');
  assert.equal(ending(new Error('x'.repeat(500))).length, 160);
});
