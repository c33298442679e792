// The drawing of a step: its grid, its timeline, slow motion, and the account of every byte.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';

import { BROWSERS } from './browsers.mjs';
import { actUntil } from './pointing.mjs';
import { serveInstrumented } from './server.mjs';
import { pause, TINY, visit } from './visit.mjs';

let server;

before(async () => {
  assert(process.env.PAGE, 'PAGE is not set: run these tests with `cargo xtask test --only browser`');
  server = await serveInstrumented(process.env.PAGE);
});
after(() => server?.close());

for (const { name, launch } of BROWSERS) {
  describe(`${name}: the step`, () => {
    let browser;
    before(async () => { browser = await launch({ webgpu: true, scheme: 'light' }); });
    after(() => browser?.close());

    test('adds up to the byte at the peak', () => visit(browser, server.url, addsUp, { view: 'step' }));
    test('stops behind every stride, and shows the numbers there', () => visit(browser, server.url, stepsByEveryStride, { view: 'step' }));
    test('plays and pauses in slow motion, by keyboard alone', () => visit(browser, server.url, playsByKeyboard, { view: 'step' }));
    test('shows any moment that is pointed at', () => visit(browser, server.url, pointsAtMoments, { view: 'step' }));
    test('has a budget that stands where its axis says', () => visit(browser, server.url, placesTheBudget, { settings: TINY, view: 'step' }));
    test('has a budget that can be dragged', () => visit(browser, server.url, dragsTheBudget, { settings: TINY, view: 'step' }));
    test('is a film that agrees with the device at any moment', () => visit(browser, server.url, playsTheFilm, { view: 'step' }));
    test('goes back in slow motion, to the same bits', () => visit(browser, server.url, goesBack, { view: 'step' }));
    test('is filled from below and emptied from the right', () => visit(browser, server.url, fillsAndEmpties, { settings: TINY, view: 'step' }));
  });
}

/** The contents of the inspector, read at once. */
function inspector(trainer) {
  return trainer.page.evaluate(() => {
    const table = document.querySelector('#inspector');
    const rows = Array.from(table.querySelectorAll('tbody tr'));
    const bytes = (row) => Number(row.dataset.bytes);
    return {
      turn: Number(table.dataset.turn),
      total: Number(table.dataset.totalBytes),
      sum: rows.reduce((sum, row) => sum + bytes(row), 0),
      sorted: rows.filter((row) => row.dataset.tensor).every((row, at, all) => at === 0 || bytes(all[at - 1]) >= bytes(row)),
      names: rows.map((row) => row.querySelector('th').textContent.trim()),
    };
  });
}

function bytesOf(trainer, id) {
  return trainer.page.$eval(`#${id}`, ({ dataset }) => Number(dataset.bytes));
}

/** Goes to a program point by the slider, as with the keyboard. */
async function goTo(trainer, turn) {
  await trainer.page.$eval('#moment', (slider, turn) => {
    slider.value = turn;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
  }, turn);
  await trainer.page.waitForFunction((turn) => document.querySelector('#inspector').dataset.turn === String(turn), {}, turn);
}

/** Does one stride, and waits until the page shows where it stopped. */
async function stride(trainer, name) {
  const { page } = trainer;
  const before = await page.$eval('#inspector', ({ dataset }) => dataset.turn);
  await trainer.press(name);
  // Until the worker hears of it, the page shows the state of before.
  await page.waitForFunction((before) => document.querySelector('#inspector').dataset.turn !== before, {}, before);
  await trainer.waitForState('paused');
}

async function addsUp(trainer) {
  await trainer.press('start');
  await trainer.waitForLosses(1);
  await pause(trainer);
  const [planned, created] = [await bytesOf(trainer, 'planned'), await bytesOf(trainer, 'created')];
  assert.equal(planned, created);
  const peak = await trainer.page.$eval('#timeline', ({ dataset }) => Number(dataset.peakTurn));
  await goTo(trainer, peak);
  const list = await inspector(trainer);
  assert.equal(list.sum, created, 'what is listed at the peak is not what was created');
  assert.equal(list.total, created);
  assert(list.sorted, `the largest is not first: ${list.names}`);

  // The package wraps WebGPU from outside, independent of the plan.
  const { memory } = await trainer.webgpuMemory();
  const counted = await trainer.page.$eval('.planned', ({ dataset }) => Number(dataset.totalBytes));
  assert.equal(memory.buffer, counted, 'webgpu-memory counts something else than the page names');
  assert(counted >= created);
}

async function stepsByEveryStride(trainer) {
  let before = -1;
  for (const size of ['operation', 'operation', 'chunk', 'layer', 'pass', 'operation', 'chunk']) {
    await stride(trainer, `by-${size}`);
    const list = await inspector(trainer);
    assert.equal(list.sum, list.total, size);
    assert(list.turn > before, `${list.turn} is not after ${before}`);
    before = list.turn;
  }
  const clear = (await inspector(trainer)).names;
  await stride(trainer, 'by-pass');
  assert.notDeepEqual((await inspector(trainer)).names, clear, 'the list of living tensors does not change');

  await trainer.page.click('button.look');
  await trainer.page.waitForSelector('#values');
  const values = await trainer.page.$eval('#values', ({ textContent }) => textContent);
  assert.match(values, /Smallest-?\d.*Largest-?\d.*Mean-?\d/);
  assert(await trainer.page.$eval('#values canvas', ({ width, height }) => width > 1 && height > 1));

  // The rest of the step, at full speed.
  await trainer.press('step');
  const losses = await trainer.waitForLosses(1);
  assert(losses.length === 1 && Number.isFinite(losses[0]));
}

async function playsByKeyboard(trainer) {
  const { page } = trainer;
  await page.focus('#memory');
  for (const key of ['ArrowRight', 'ArrowUp']) {
    await page.keyboard.press(key);
    await trainer.waitForState('paused');
  }
  await page.keyboard.down('Shift');
  for (const key of ['ArrowRight', 'ArrowUp']) {
    await page.keyboard.press(key);
    await trainer.waitForState('paused');
  }
  await page.keyboard.up('Shift');
  const at = (await inspector(trainer)).turn;
  await page.keyboard.press(' ');
  await trainer.waitForState('stepping');
  await page.waitForFunction((at) => Number(document.querySelector('#inspector').dataset.turn) > at + 2, {}, at);
  await page.keyboard.press(' ');
  await trainer.waitForState('paused');
  const stood = (await inspector(trainer)).turn;
  await setTimeout(1500);
  assert.equal((await inspector(trainer)).turn, stood, 'it went on');
}

async function pointsAtMoments(trainer) {
  const { page } = trainer;
  const picture = await page.$('.timeline .picture');
  await picture.scrollIntoView();
  const { x, y, width, height } = await picture.boundingBox();
  const turns = new Set();
  for (const share of [0.1, 0.5, 0.9]) {
    await page.mouse.move(x + share * width, y + height / 2);
    await setTimeout(300);
    const list = await inspector(trainer);
    assert.equal(list.sum, list.total);
    turns.add(list.turn);
  }
  assert.equal(turns.size, 3, `it does not follow the pointer: ${[...turns]}`);
}

/** Reads a height off the labels of a chart, as a person does: the bytes there. */
function readOff(page, chart, mark) {
  return page.evaluate((chart, mark) => {
    const units = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };
    const middle = ({ top, height }) => top + height / 2;
    const ticks = Array.from(document.querySelectorAll(`${chart} .tick`), (tick) => {
      const [number, unit] = tick.textContent.split(' ');
      return { y: middle(tick.getBoundingClientRect()), bytes: Number(number) * (units[unit] ?? 1) };
    });
    const [low, high] = [ticks[0], ticks.at(-1)];
    const y = middle(document.querySelector(`${chart} ${mark}`).getBoundingClientRect());
    return low.bytes + (high.bytes - low.bytes) * (low.y - y) / (low.y - high.y);
  }, chart, mark);
}

async function placesTheBudget(trainer) {
  const { page } = trainer;
  const marks = [['step', '.timeline', '#budget-line'], ['lab', '.small-timeline', '.budget-mark']];
  const peak = (await trainer.peaks()).stream;
  // Just over the peak and just under it, the line stands where the axis says.
  for (const share of [0.6, 1.2, 1.9]) {
    await trainer.type('budget', (share * peak / 2 ** 20).toFixed(3));
    for (const [view, chart, mark] of marks) {
      const shown = await trainer.inView(view, () => readOff(page, chart, mark));
      assert(Math.abs(shown / (share * peak) - 1) < 0.03, `${chart} shows ${shown} of ${share * peak} bytes`);
    }
  }
  // A budget far above is an arrow with its value, not a line in a wrong place.
  await trainer.type('budget', 4096);
  await page.waitForSelector('#budget-line.above');
  assert.match(await page.$eval('#budget-line', ({ textContent }) => textContent), /^↑ .*4\.00 GiB/);
  assert.equal(await page.$eval('#budget-line', (line) => getComputedStyle(line, '::before').content), 'none');
  assert.equal((await page.$$('.budget-mark')).length, 0);
  assert.equal((await page.$$('.budget-above')).length, 3);
  // The three small timelines have one axis.
  const labels = await page.$$eval('.small-timeline', (charts) => charts.map((chart) => (
    Array.from(chart.querySelectorAll('.tick'), ({ textContent, style }) => `${textContent} at ${style.top}`).join(', '))));
  assert(labels.length === 3 && new Set(labels).size === 1 && /MiB/.test(labels[0]), labels.join(' / '));
}

async function dragsTheBudget(trainer) {
  const { page } = trainer;
  const budget = () => page.$eval('#budget-line', (line) => Number(line.getAttribute('aria-valuenow')));
  const line = await page.$('#budget-line');
  await line.scrollIntoView();
  const track = await (await page.$('.budget-track')).boundingBox();
  const { x, y, width, height } = await line.boundingBox();
  const before = await budget();
  await page.mouse.move(x + width / 2, y + height / 2);
  await page.mouse.down();
  await page.mouse.move(x + width / 2, y + height / 2 + track.height * 0.6, { steps: 4 });
  await page.mouse.up();
  const dragged = await budget();
  assert(dragged < before, `${dragged} is no less than ${before}`);
  assert(await page.$eval('#budget-line', ({ classList }) => classList.contains('over')), 'the plan is over the budget');

  await line.focus();
  await page.keyboard.press('ArrowUp');
  assert(await budget() > dragged, 'a key does not move it');

  // A step that does not fit is refused, with a suggestion that fits.
  await trainer.type('budget', 14.5);
  await trainer.choose({ sequenceLength: 2048, chunk: 512 });
  await trainer.press('start');
  assert.match(await trainer.waitForError(), /more than the/);
  await trainer.press('apply-suggestion');
  await trainer.press('start');
  await trainer.waitForState('training');
}

/** Moments of the run: on the device, and in the film. */
const MOMENTS = 20;

async function playsTheFilm(trainer) {
  const { page } = trainer;
  const turn = () => page.$eval('#inspector', ({ dataset }) => Number(dataset.turn));
  // Without a device at work it plays forward and back.
  await page.click('#film-next');
  const start = await turn();
  await page.select('#film-stride', 'operation');
  await page.$eval('#film-speed', (slider) => {
    slider.value = slider.max;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
  });
  await actUntil(async () => await turn() > start + 3, () => page.click('#film-play'));
  let far;
  await actUntil(async () => await turn() < far - 3, async () => {
    far = await turn();
    await page.click('#film-back');
  });
  // It may have come to the first moment, and stopped there.
  await page.evaluate(() => document.querySelector('#film-back[aria-pressed="true"]')?.click());
  // On the device: strides of a fixed sequence that looks like chance, from a seed.
  let seed = 7;
  const strides = ['operation', 'chunk', 'operation', 'layer', 'operation', 'pass'];
  for (let moment = 0; moment < MOMENTS; moment++) {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    await stride(trainer, `by-${strides[seed % strides.length]}`);
    const onDevice = await inspector(trainer);
    await goTo(trainer, onDevice.turn);
    assert.deepEqual(await inspector(trainer), onDevice, `at ${onDevice.turn}`);
    await page.click('#live');
  }
}

/** The numbers of a tensor, as the device has them now. */
async function numbers(trainer) {
  const { page } = trainer;
  await page.evaluate(() => document.querySelector('#values')?.remove());
  await page.evaluate(() => Array.from(document.querySelectorAll('button.look')).find(({ textContent }) => textContent === 'hidden').click());
  await page.waitForSelector('#values');
  return page.$eval('#values dl', ({ textContent }) => textContent);
}

async function goesBack(trainer) {
  const { page } = trainer;
  await stride(trainer, 'by-pass');
  await stride(trainer, 'by-pass');
  const before = [await page.$eval('#inspector', ({ dataset }) => dataset.turn), await numbers(trainer)];
  await page.select('#stride', 'chunk');
  await stride(trainer, 'by-chunk');
  await stride(trainer, 'by-chunk');
  assert.notEqual(await page.$eval('#inspector', ({ dataset }) => dataset.turn), before[0]);
  await stride(trainer, 'back');
  await stride(trainer, 'back');
  assert.deepEqual([await page.$eval('#inspector', ({ dataset }) => dataset.turn), await numbers(trainer)], before);
  // The step and those after it are as if it had gone straight on.
  await trainer.show('train');
  await trainer.press('step');
  await trainer.waitForState('paused');
  await trainer.press('step');
  const wound = (await trainer.waitForLosses(2)).slice(0, 2);
  await trainer.waitForState('paused');
  await trainer.press('reset');
  await trainer.waitForState('ready');
  await trainer.press('start');
  const straight = (await trainer.waitForLosses(2)).slice(0, 2);
  assert.deepEqual(wound, straight);
}

async function fillsAndEmpties(trainer) {
  const { page } = trainer;
  const passes = await page.$$eval('.passes span', (spans) => spans.map(({ dataset }) => dataset.tip.split(':')[0]));
  assert.deepEqual(passes, ['clear', 'forward', 'loss', 'backward', 'update']);
  const turns = await page.$eval('#timeline', ({ dataset }) => Number(dataset.turns));
  const filled = () => page.$$eval('.memory-bar', (bars) => bars.filter(({ dataset }) => Number(dataset.bytes) > 0).length);
  const lit = () => page.$$eval('.cell.lit', (cells) => cells.length);
  const counts = [];
  for (const share of [0.08, 0.2, 0.34, 0.6, 0.8, 0.97]) {
    await goTo(trainer, Math.floor(share * turns));
    counts.push(await filled());
  }
  const [start, early, full, later, late, end] = counts;
  assert(start < early && early <= full && full > later && later >= late && late > end, `${counts}`);
  await goTo(trainer, Math.floor(0.6 * turns));
  assert.equal(await lit(), 1, 'one cell is at work');
}
