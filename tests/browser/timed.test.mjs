// Measurements: `cargo xtask test --only timed` runs this file alone, on a machine that does nothing else.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { BROWSERS } from './browsers.mjs';
import { serve } from './server.mjs';
import { TINY, visit } from './visit.mjs';

const MOST_DELAY_MILLIS = 200;
/** The three mountains are painted so soon after navigation, and moved so soon after a step of the slider. */
const PAINTED_MILLIS = 1000;
const MOVED_MILLIS = 50;

let server;

before(async () => {
  assert(process.env.PAGE, 'PAGE is not set: run these tests with `cargo xtask test --only timed`');
  server = await serve(process.env.PAGE);
});
after(() => server?.close());

for (const { name, launch } of BROWSERS) {
  describe(`${name}, measured`, () => {
    let browser;
    before(async () => { browser = await launch({ webgpu: true, scheme: 'light' }); });
    after(() => browser?.close());

    test('paints the mountains at once, and moves them with the slider', () => paintsAndMovesMountains(launch));
    test('answers at once while it trains', () => visit(browser, server.url, answersAtOnce, { settings: { ...TINY, 'seq-len': 512 } }));
    test('adds the times of all operations up', () => visit(browser, server.url, addsOperationsUp, { settings: TINY }));
  });
}

/** The mark after the first paint, and the time from a step of the slider to the frame after it: each without a GPU, in a new browser. */
async function paintsAndMovesMountains(launch) {
  const painted = [];
  const moved = [];
  for (let visits = 0; visits < 3; visits++) {
    const browser = await launch({ webgpu: false, scheme: 'light' });
    try {
      const page = await browser.newPage();
      await page.setViewport({ width: 1280, height: 720 });
      await page.goto(server.url);
      const mark = await page.waitForFunction(() => performance.getEntriesByName('mountains-painted')[0]?.startTime);
      painted.push(await mark.jsonValue());
      await page.waitForSelector('#see-length');
      // What the start of the page is still busy with is not the slider's.
      await setTimeout(1000);
      moved.push(...await page.evaluate(moveSlider));
    } finally {
      await browser.close();
    }
  }
  const median = (times) => times.toSorted((a, b) => a - b)[times.length >> 1];
  console.log(`mountains painted after ${painted.map(Math.round)} ms, moved within ${median(moved).toFixed(1)} ms, at most ${Math.max(...moved).toFixed(1)}`);
  assert(median(painted) < PAINTED_MILLIS, `painted after ${painted} ms`);
  assert(median(moved) < MOVED_MILLIS, `moved within ${moved.map(Math.round)} ms`);
}

/** Runs in the page: the milliseconds from each step of the slider to the frame after the one that shows it. */
async function moveSlider() {
  const slider = document.querySelector('#see-length');
  const frame = () => new Promise((resolve) => { requestAnimationFrame(() => resolve()); });
  const times = [];
  for (let place = Number(slider.min); place <= Number(slider.max); place += Number(slider.step)) {
    const before = document.querySelector('.mountains').innerHTML;
    await frame();
    const start = performance.now();
    slider.value = place;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    await frame();
    if (document.querySelector('.mountains').innerHTML === before) throw new Error(`nothing moved at place ${place}`);
    times.push(performance.now() - start);
  }
  return times;
}

/**
 * The latency of the page's response to input while the device is busy. When the browser paints the response is up to the browser: without a
 * GPU, Firefox composes its windows in the thread that runs the shaders.
 */
async function answersAtOnce(trainer) {
  const { page } = trainer;
  await trainer.press('start');
  await trainer.waitForLosses(1);
  await trainer.show('step');
  await page.evaluate(() => {
    globalThis.delays = [];
    for (const kind of ['pointerdown', 'keydown']) {
      addEventListener(kind, ({ timeStamp }) => setTimeout(() => globalThis.delays.push(performance.now() - timeStamp)), true);
    }
  });
  for (let i = 0; i < 12; i++) {
    await page.mouse.click(5, 5);
    await page.focus('#moment');
    await page.keyboard.press(i % 2 ? 'ArrowLeft' : 'ArrowRight');
    await setTimeout(150);
  }
  const delays = await page.evaluate(() => globalThis.delays);
  assert(delays.length >= 20, `${delays.length} inputs were seen`);
  const longest = Math.max(...delays);
  console.log(`longest input delay: ${longest.toFixed(0)} ms, of ${delays.length}`);
  assert(longest < MOST_DELAY_MILLIS, `an input waited for ${longest} ms: ${delays.map(Math.round)}`);
  assert.equal(await page.$eval('#status', ({ dataset }) => dataset.state), 'training');
}

/** The times of all operations add up to that of the whole. */
async function addsOperationsUp(trainer) {
  const shares = [];
  for (let i = 0; i < 3; i++) {
    const { whole, sum } = await trainer.profile();
    console.log(`a batch's gradients take ${whole} s, one operation at a time ${sum} s`);
    shares.push(sum / whole);
  }
  // Other load on the machine slows down one or the other, but hardly all three times.
  assert(shares.some((share) => share > 0.5 && share < 2), `the sums of all operations are ${shares} of the whole`);
}
