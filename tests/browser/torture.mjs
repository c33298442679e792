// Torture of the page: its device is lost at random moments, and adapters come late. Every run must end with the losses of an undisturbed
// one. It runs for SECONDS in BROWSER; SEED makes it repeatable.

import assert from 'node:assert/strict';
import { setTimeout } from 'node:timers/promises';

import { BROWSERS } from './browsers.mjs';
import { serveInstrumented } from './server.mjs';
import { openTrainer } from './trainer.mjs';
import { SMALL } from './visit.mjs';

const STEPS = 60;
/** The longest time between two losses, in milliseconds. */
const LONGEST_MS = 2500;
/** So many requests in a row find no adapter, at most. */
const MOST_WITHHELD = 3;
/** A run that is not over by then hangs. */
const LIMIT_MS = 600_000;

const [{ launch }] = BROWSERS;
const random = generator(Number(process.env.SEED ?? 0));
const end = Date.now() + 1000 * Number(process.env.SECONDS ?? 60);
const server = await serveInstrumented(process.env.PAGE);
const browser = await launch({ webgpu: true, scheme: 'light' });
try {
  const { losses: expected } = await train(false);
  let lost = 0;
  let late = 0;
  let paused = 0;
  let finished = 0;
  while (Date.now() < end) {
    const run = await train(true);
    assert.deepEqual(run.losses, expected, 'a run whose device was lost has other losses');
    lost += run.lost;
    late += run.late;
    paused += run.paused;
    finished += 1;
    console.log(`${finished} runs, ${lost} lost devices`);
  }
  const asked = paused > 0 ? `, and ${paused} pauses until the run was continued` : '';
  console.log(`report: ${lost} lost, ${late} of them with an adapter that came late${asked}; ${finished} runs ended with the losses of an undisturbed one`);
} finally {
  await browser.close();
  server.close();
}

/** Trains to the end, and loses the device from time to time if that is wanted. */
async function train(isDisturbed) {
  const trainer = await openTrainer(browser, `${server.url}#/train?${new URLSearchParams({ ...SMALL, steps: STEPS })}`);
  try {
    await trainer.waitForState('ready');
    for (const { id } of await trainer.savedRuns()) await trainer.forget(id);
    await trainer.press('start');
    let lost = 0;
    let late = 0;
    let before = 0;
    let paused = 0;
    for (const limit = Date.now() + LIMIT_MS; Date.now() < limit;) {
      await setTimeout(LONGEST_MS * random());
      const state = await trainer.page.$eval('#status', ({ dataset }) => dataset.state);
      const losses = await trainer.waitForLosses(0);
      if (state === 'paused' && losses.length < STEPS) {
        // The browser told too late that the device was lost: for the page it was broken, and the visitor is asked.
        await trainer.press('start');
        paused += 1;
        continue;
      }
      if (state === 'paused') {
        await trainer.press('reset');
        await trainer.waitForState('ready');
        assert.deepEqual(trainer.problems, []);
        return { losses, lost, late, paused };
      }
      assert(['training', 'waiting', 'paused'].includes(state), [`the page is in the state ${state}`, ...trainer.problems].join('\n'));
      // A slow machine has to come further before it loses its device again, or it would never be done.
      if (!isDisturbed || state !== 'training' || losses.length <= before) continue;
      before = losses.length;
      const withheld = Math.floor((MOST_WITHHELD + 1) * random());
      await trainer.withholdAdapters(withheld);
      await trainer.destroyDevice();
      lost += 1;
      late += Math.min(withheld, 1);
    }
    throw new Error(`a run of ${STEPS} steps is not over after ${LIMIT_MS / 1000} s, ${lost} lost devices and ${before} steps`);
  } finally {
    await trainer.close();
  }
}

/** Random numbers from 0 to 1, the same for the same seed (mulberry32). */
function generator(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
