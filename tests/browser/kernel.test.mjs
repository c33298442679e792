// The kernel at work: the shader of the operation that is shown, its numbers, and what its lines do.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { BROWSERS } from './browsers.mjs';
import { serveInstrumented } from './server.mjs';
import { TINY, visit } from './visit.mjs';

let server;

before(async () => {
  assert(process.env.PAGE, 'PAGE is not set: run these tests with `cargo xtask test --only browser`');
  server = await serveInstrumented(process.env.PAGE);
});
after(() => server?.close());

for (const { name, launch } of BROWSERS) {
  describe(`${name}: the kernel at work`, () => {
    let browser;
    before(async () => { browser = await launch({ webgpu: true, scheme: 'light' }); });
    after(() => browser?.close());

    const look = { settings: TINY, view: 'step' };
    test('has the numbers of the chunk and the device', () => visit(browser, server.url, hasItsNumbers, look));
    test('says what its lines do, in two languages', () => visit(browser, server.url, explainsItsLines, look));
    test('is that of a GPU where there is none', () => visit(browser, server.url, isOfGpu, { ...look, state: 'error', fault: 'no-adapter' }));
  });
}

/** Goes to an operation by its name, as with the keyboard. */
async function goToKernel(trainer, op) {
  await trainer.page.select('#kernel-op', op);
  await trainer.page.waitForFunction((op) => document.querySelector('#kernel').dataset.op === op, {}, op);
}

/** What the panel says of a kernel. */
function kernel(trainer) {
  return trainer.page.evaluate(() => {
    const texts = (selector) => Array.from(document.querySelectorAll(selector), ({ textContent }) => textContent.trim());
    const { workgroups, workgroupSize } = document.querySelector('#kernel-facts').dataset;
    const constants = texts('#kernel [data-constant]').map((text) => text.split(' = '));
    return {
      file: texts('#kernel-source-title')[0],
      workgroups: JSON.parse(workgroups),
      workgroupSize: Number(workgroupSize),
      facts: texts('#kernel-facts dd'),
      constants: Object.fromEntries(constants.map(([name, value]) => [name, Number(value)])),
      conditions: texts('#kernel [data-condition]'),
      bindings: Array.from(document.querySelectorAll('#kernel-bindings tbody tr'), (row) => Array.from(row.cells, (cell) => cell.textContent)),
      marks: Array.from(document.querySelectorAll('#kernel-marks li'), ({ dataset }) => dataset.mark),
      sentences: texts('#kernel-marks span'),
      marked: [...new Set(Array.from(document.querySelectorAll('#kernel-source [data-mark]'), ({ dataset }) => dataset.mark))],
      source: document.querySelector('#kernel-source').textContent,
      values: Array.from(document.querySelectorAll('#kernel-source .constant'), ({ textContent, dataset }) => [textContent, Number(dataset.value)]),
    };
  });
}

const MARKS = ['load', 'multiply', 'reduce', 'store'];
const MARKED = [
  'rms_norm', 'linear', 'attention', 'cross_entropy', 'linear_grad', 'linear_weight_grad', 'attention_query_grad', 'attention_key_value_grad',
];

/** Tokens of a tile, in all kernels. */
const TOKEN_TILE = 64;

async function hasItsNumbers(trainer) {
  const { page } = trainer;
  await goToKernel(trainer, 'linear');
  const linear = await kernel(trainer);
  assert.match(linear.file, /linear\.wgsl$/);
  // The numbers follow from the chunk, the matrix, and the tile sizes of the device.
  const rows = Object.fromEntries(linear.bindings.map(([, variable, tensor, shape]) => [variable, { tensor, shape: shape.split(' × ').map(Number) }]));
  assert.match(rows.weight.tensor, /^model\.layers\.\d+\./);
  const { TOKENS, TOKEN_THREADS, COL_THREADS, GROUPS, QUADS } = linear.constants;
  assert.equal(rows.x.shape[0], TINY.chunk);
  assert.equal(TOKENS * TOKEN_THREADS, TOKEN_TILE);
  assert.equal(linear.workgroupSize, TOKEN_THREADS * COL_THREADS);
  assert.deepEqual(linear.workgroups, [TINY.chunk / TOKEN_TILE, Math.ceil(rows.weight.shape[0] / 4 / (GROUPS * QUADS * COL_THREADS)), 1]);
  const count = linear.workgroups.reduce((product, along) => product * along);
  assert.equal(linear.facts[0].split('= ')[1], String(count));
  assert.equal(Number(linear.facts[2].replace(/\D/g, '')), count * linear.workgroupSize);
  // A CPU driver's threads share loads in no workgroup memory.
  assert(!linear.conditions.includes('STAGED') && linear.conditions.length > 0, linear.conditions.join(', '));
  // The source is the file as it is written, with the values beside it.
  assert.match(linear.source, /^\s*\/\/ out\[i, n\]/);
  assert.match(linear.source, /#for t in 0\.\.\$TOKENS\n/);
  assert(!linear.source.includes('//:'), 'what only marks lines is not shown');
  assert(linear.values.some(([text, value]) => text === '$TOKENS' && value === TOKENS));

  await expandsByKeyboard(page, TOKENS);
  const turn = () => page.$eval('#kernel', ({ dataset }) => Number(dataset.turn));
  const first = await turn();
  await page.click('#kernel-next');
  await page.waitForFunction((first) => Number(document.querySelector('#kernel').dataset.turn) > first, {}, first);
  assert.equal(await page.$eval('#kernel', ({ dataset }) => dataset.op), 'linear');
  // It follows what is shown. Kernels without marks have no legend.
  await page.focus('#moment');
  await page.keyboard.press('End');
  await page.waitForFunction(() => document.querySelector('#kernel').dataset.op === 'adamw');
  assert.equal(await page.$('#kernel-marks'), null);
}

/** The expanded text appears and disappears by a key, and is that of the tile. */
async function expandsByKeyboard(page, tokens) {
  assert.equal(await page.$('#kernel-wgsl'), null);
  await page.focus('#kernel-expand');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#kernel-wgsl');
  const wgsl = await page.$eval('#kernel-wgsl', ({ textContent }) => textContent);
  assert.match(wgsl, /@compute @workgroup_size\(\d+\)/);
  assert(wgsl.includes(`let token${tokens - 1} =`) && !wgsl.includes(`let token${tokens} =`), 'it is not expanded for the tile');
  assert(!wgsl.includes('$') && !/^\s*#/m.test(wgsl), 'a directive is left');
  assert.equal(await page.$eval('#kernel-expand', (button) => button.getAttribute('aria-expanded')), 'true');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => !document.querySelector('#kernel-wgsl'));
}

async function explainsItsLines(trainer) {
  const { page } = trainer;
  const english = [];
  for (const op of MARKED) {
    await goToKernel(trainer, op);
    const { marks, marked, sentences } = await kernel(trainer);
    const expected = op === 'cross_entropy' ? MARKS.filter((mark) => mark !== 'reduce') : MARKS;
    assert.deepEqual(marks, expected, op);
    assert.deepEqual(marked.sort(), [...expected].sort(), op);
    assert(sentences.every((sentence) => sentence.endsWith('.')), op);
    english.push(...sentences);
  }
  const top = () => page.$eval('#kernel-source', ({ scrollTop }) => scrollTop);
  const before = await top();
  await page.click('#kernel-marks [data-mark=store] button');
  assert(await top() > before, 'it does not scroll to the lines');
  const { width, all } = await page.evaluate(() => ({ width: innerWidth, all: document.documentElement.scrollWidth }));
  assert(all <= width, 'long lines scroll the page');

  await page.select('#language', 'ko');
  await page.waitForFunction(() => /커널/.test(document.querySelector('#kernel-title')?.textContent));
  for (const op of MARKED) {
    await goToKernel(trainer, op);
    const { sentences } = await kernel(trainer);
    assert(sentences.every((sentence) => /[가-힣]/.test(sentence) && !english.includes(sentence)), op);
  }
}

async function isOfGpu(trainer) {
  await goToKernel(trainer, 'attention');
  const attention = await kernel(trainer);
  assert.match(attention.file, /attention_tiled\.wgsl$/);
  const { TILE_ROWS, ROWS, ROW_THREADS, COL_THREADS } = attention.constants;
  assert.equal(TILE_ROWS, ROWS * ROW_THREADS);
  assert.equal(attention.workgroupSize, ROW_THREADS * COL_THREADS);
  assert.deepEqual(attention.marked.sort(), MARKS);
  // Each tile of tokens has so many tiles of queries, in each head.
  const heads = await trainer.page.$eval('#num-attention-heads', ({ value }) => Number(value));
  assert.deepEqual(attention.workgroups, [TINY.chunk / TOKEN_TILE, heads * TOKEN_TILE / TILE_ROWS, 1]);
}
