// The comparison of strategies, verification, memory against sequence length, and the reports of a run.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { BROWSERS } from './browsers.mjs';
import { serve } from './server.mjs';
import { tooltip } from './trainer.mjs';
import { catchDownloads, caught, pause, SMALL_LAYERS, TINY, visit } from './visit.mjs';

const LONG_MS = 180_000;
const STRATEGIES = ['standard', 'checkpoint', 'stream'];

let server;

before(async () => {
  assert(process.env.PAGE, 'PAGE is not set: run these tests with `cargo xtask test --only browser`');
  server = await serve(process.env.PAGE);
});
after(() => server?.close());

for (const { name, launch } of BROWSERS) {
  describe(`${name}: the comparison`, () => {
    let browser;
    before(async () => { browser = await launch({ webgpu: true, scheme: 'light' }); });
    after(() => browser?.close());

    test('puts three strategies side by side, and times them', () => visit(browser, server.url, comparesStrategies));
    test('looks for the fastest kernels, and keeps them', () => visit(browser, server.url, looksForKernels));
    test('proves that the gradients are the same bits', () => visit(browser, server.url, provesTheBits));
    test('times every operation, and trains on as if it had not', () => visit(browser, server.url, timesOperations));
    test('reports on the device', () => visit(browser, server.url, reportsOnTheDevice, { view: 'lab' }));
    test('says how far each strategy goes', () => visit(browser, server.url, saysHowFar, { settings: TINY, view: 'reach' }));
    test('chooses the shortest step and the longest sequence', () => visit(browser, server.url, choosesForTheBudget, { settings: TINY, view: 'reach' }));
    test('shows what is kept and what waits on the host', () => visit(browser, server.url, keepsWhatThereIsRoomFor, { settings: TINY, view: 'reach' }));
    test('plans the published models', () => visit(browser, server.url, plansPublishedModels, { view: 'reach' }));
    test('plans several machines', () => visit(browser, server.url, plansMachines, { view: 'reach' }));
    test('shows what a run does, and keeps it to be compared', () => visit(browser, server.url, keepsRuns));
  });
}

/** The rows of the table of sequence lengths. */
function reach(trainer) {
  return trainer.page.$$eval('#reach-values [data-strategy]', (rows) => Object.fromEntries(rows.map(({ dataset }) => [dataset.strategy, {
    bytes: Number(dataset.bytes), fits: dataset.fits === 'true', longest: Number(dataset.longest),
  }])));
}

/** Waits until the planner has planned the current settings. */
function planned(trainer) {
  return trainer.page.waitForFunction(() => {
    const rows = document.querySelectorAll('#reach-values [data-strategy]');
    return rows.length === 3 && !document.querySelector('.reach-picture[aria-busy=true]')
      && Array.from(rows).every(({ dataset }) => Number(dataset.bytes) > 0);
  }, { timeout: LONG_MS });
}

async function comparesStrategies(trainer) {
  const { standard, checkpoint, stream } = await trainer.peaks();
  assert(stream > 0 && stream < checkpoint && checkpoint < standard, `${stream} < ${checkpoint} < ${standard} bytes is expected`);
  assert.equal(await trainer.page.$$eval('#peaks svg[role=img]', ({ length }) => length), 3, 'there is a timeline for each');
  await trainer.press('measure');
  await trainer.page.waitForFunction(() => {
    const cards = Array.from(document.querySelectorAll('#peaks [data-strategy]'));
    return cards.length === 3 && cards.every(({ textContent }) => /\d (ms|s)/.test(textContent));
  }, { timeout: LONG_MS });
}

async function looksForKernels(trainer) {
  const { page } = trainer;
  await trainer.choose({ sequenceLength: 256 });
  const search = async (meanwhile) => {
    await trainer.press('search-kernels');
    await page.waitForFunction(() => /kernels of this device: \d+ %/.test(document.querySelector('#status').textContent));
    await meanwhile();
    await page.waitForFunction(() => {
      const [status, found] = ['#status', '#kernels'].map((place) => document.querySelector(place).textContent);
      return !/kernels of this device/.test(status) && /^[0-6] of 6 operations/.test(found);
    }, { timeout: LONG_MS });
  };
  await search(async () => {});
  const kept = await page.evaluate(async () => (await (await (await navigator.storage.getDirectory()).getFileHandle('kernels')).getFile()).size);
  assert(kept > 0, 'they are kept for the next visit');
  await trainer.press('start');
  const losses = await trainer.waitForLosses(2);
  assert(losses.every(Number.isFinite));
  await pause(trainer);
  await search(async () => {
    assert.equal(await page.$eval('#pause', ({ textContent }) => textContent.trim()), 'Skip');
    await trainer.press('pause');
  });
  assert.equal(await page.$eval('#pause', ({ textContent, disabled }) => `${textContent.trim()} ${disabled}`), 'Pause true');
}

async function provesTheBits(trainer) {
  await trainer.press('prove');
  await trainer.page.waitForSelector('#proof-verdict', { timeout: LONG_MS });
  const verdict = await trainer.page.$eval('#proof-verdict', ({ dataset, textContent }) => ({ ...dataset, textContent }));
  assert.equal(verdict.sameBits, 'true');
  assert.match(verdict.textContent, /same bits/i);
  const rows = await trainer.page.$$eval('#proof-parameters tbody tr', (rows) => rows.map(({ textContent }) => textContent));
  assert.equal(rows.length, 9 * SMALL_LAYERS + 2, 'a row for each parameter');
  assert(rows.every((row) => /same.*10⁻/.test(row)), rows.join('\n'));
  assert(await trainer.page.$$eval('#proof-runs tbody tr', ({ length }) => length) >= 5);
}

async function timesOperations(trainer) {
  const { page } = trainer;
  await trainer.press('start');
  const undisturbed = (await trainer.waitForLosses(6)).slice(0, 6);
  await pause(trainer);
  await trainer.press('reset');
  await trainer.waitForState('ready');

  // Before a run, between its steps, and during training.
  checkOperations(await trainer.profile());
  await trainer.press('step');
  await trainer.waitForLosses(1);
  await trainer.waitForState('paused');
  await trainer.profile();
  await trainer.press('start');
  await trainer.waitForLosses(3);
  await trainer.profile();
  const disturbed = (await trainer.waitForLosses(6)).slice(0, 6);
  assert.deepEqual(disturbed, undisturbed, 'it did not go on to the same bits');
  await pause(trainer);

  await trainer.show('lab');
  const dots = await page.$$eval('.roofline .where-wide circle[data-tip]', (circles) => circles.map(({ dataset }) => dataset.tip));
  assert(dots.length > 25 && dots.every((dot) => /GFLOP\/s, \d.* %$/.test(dot)), dots.join('\n'));
  await catchDownloads(page);
  await trainer.press('roofline-svg');
  const picture = await caught(page);
  assert.equal(picture.name, 'roofline.svg');
  const svg = picture.bytes.toString();
  assert(svg.startsWith('<svg') && !/var\(|NaN/.test(svg), 'a file has no style sheet');
  await trainer.press('roofline-png');
  assert.equal((await caught(page)).bytes.toString('latin1', 1, 4), 'PNG');
}

function checkOperations({ rows }) {
  assert(rows.length > 30 && rows.every(({ share, turns }) => share > 0 && turns > 0), JSON.stringify(rows));
  for (const [op, pass] of [['linear weight grad', 'backward'], ['attention', 'forward'], ['cross entropy', 'loss']]) {
    assert(rows.some(({ text }) => text.includes(op) && text.includes(`(${pass})`)), `${op} in the pass ${pass} is missing`);
  }
  assert(rows.every(({ text }) => !text.includes('(update)')), 'a measurement updates nothing');
}

async function reportsOnTheDevice(trainer) {
  const { page } = trainer;
  await trainer.press('copy-report');
  await page.waitForSelector('#report', { timeout: LONG_MS });
  const report = await page.$eval('#report', ({ value }) => value);
  for (const line of ['streambp', 'adapter', 'driver', 'limits', 'lacks', 'ceilings', 'self-check', 'kernels', 'gradients']) {
    assert.match(report, new RegExp(`^${line} `, 'm'));
  }
  assert.match(report, /^streambp .*Mozilla/m, 'the browser is named');
  assert.match(report, /^self-check +the same bits, in \d+\.\d s$/m);
  assert(report.match(/^\| .* ×? *\|$/gm).length > 25, 'a row for each operation');
  assert.equal(await page.$eval(':root', ({ dataset }) => dataset.bits), 'same');
  assert.equal(await page.$('#other-bits'), null);
  console.log(report.match(/^self-check.*$/m)[0]);
}

async function saysHowFar(trainer) {
  await planned(trainer);
  const before = await reach(trainer);
  assert.deepEqual(Object.keys(before).sort(), [...STRATEGIES].sort());
  assert(before.standard.longest < before.checkpoint.longest && before.checkpoint.longest < before.stream.longest);
  // The plan and the chart show the same.
  const peaks = await trainer.peaks();
  for (const strategy of STRATEGIES) {
    const { bytes } = before[strategy];
    assert(Math.abs(bytes / peaks[strategy] - 1) < 0.05, `${strategy}: ${bytes} against ${peaks[strategy]}`);
  }
  await trainer.page.focus('#reach-length');
  for (let i = 0; i < 12; i++) await trainer.page.keyboard.press('PageUp');
  await trainer.page.waitForFunction(() => Number(document.querySelector('#seq-len').value) > 10_000);
  await planned(trainer);
  const after = await reach(trainer);
  assert(STRATEGIES.every((strategy) => after[strategy].bytes > before[strategy].bytes));
  assert(!after.standard.fits, 'the longest sequence does not fit the standard way');
  await predictsTimes(trainer.page);
}

/** Times of a step are predicted for devices, a laptop's first. In short chunks a large GPU is hardly faster. */
async function predictsTimes(page) {
  const times = async () => {
    await page.waitForSelector('#reach-times[aria-busy=false]', { timeout: LONG_MS });
    return page.$$eval('#reach-times td', (cells) => cells.map(({ textContent }) => {
      const [, value, unit] = textContent.match(/^([\d.]+) (ms|s)$/);
      return Number(value) * (unit === 's' ? 1000 : 1);
    }));
  };
  const slow = await times();
  await page.select('#reach-device', 'h100');
  const fast = await times();
  assert(slow.length === 3 && fast.every((time, at) => time < slow[at]) && 4 * fast[1] < slow[1], `${fast} against ${slow} ms`);
}

async function choosesForTheBudget(trainer) {
  await planned(trainer);
  await trainer.press('longest');
  await trainer.page.waitForSelector('#choice');
  await trainer.page.waitForFunction(() => Number(document.querySelector('#seq-len').value) > 10_000, { timeout: LONG_MS });
  const { stream } = await trainer.peaks();
  assert(stream <= 64 * 2 ** 20, `${stream} bytes are over the budget`);
  await trainer.choose({ sequenceLength: 512, strategy: 'stream' });
  await trainer.press('shortest');
  await trainer.page.waitForFunction(() => document.querySelector('#strategy').value === 'standard', { timeout: LONG_MS });
  await choosesFromTheFrontier(trainer.page);
}

/** Ways to compute the step, from the smallest to the fastest; one of them is put into the form. */
async function choosesFromTheFrontier(page) {
  await page.waitForFunction(() => document.querySelector('#frontier[aria-busy="false"] tbody tr'), { timeout: LONG_MS });
  const names = await page.$$eval('#frontier tbody th', (cells) => cells.map(({ textContent }) => textContent));
  assert(names.length > 2 && names.at(-1) === 'standard', `${names}`);
  assert.equal(await page.$$eval('#frontier-chart .point', ({ length }) => length), names.length);
  const at = names.findIndex((name) => /^stream, chunks of 128/.test(name));
  await page.$$eval('#frontier .take', (buttons, at) => buttons[at].click(), at);
  await page.waitForFunction(() => document.querySelector('#strategy').value === 'stream' && document.querySelector('#chunk').value === '128');
}

async function keepsWhatThereIsRoomFor(trainer) {
  const { page } = trainer;
  await trainer.choose({ sequenceLength: 1024, strategy: 'stream' });
  await trainer.type('logits-chunk', 64);
  const { stream, checkpoint } = await trainer.peaks();
  await planned(trainer);
  const choose = async (bytes) => {
    await trainer.type('budget', bytes / 2 ** 20);
    await planned(trainer);
    await trainer.press('shortest');
    await page.waitForFunction(() => /^Set: /.test(document.querySelector('#choice').textContent), { timeout: LONG_MS });
    return page.$eval('#choice', ({ textContent }) => textContent);
  };
  assert.match(await choose(stream + 0.3 * (checkpoint - stream)), /Kept beside .*Attention's output \d\/4/);
  assert(await page.$eval('#keep-attention', ({ value }) => Number(value)) > 0, 'the form shows what was chosen');
  assert(!await page.$eval('#offload', ({ checked }) => checked) && !await page.$('#on-host'));
  assert.match(await choose(stream - 1), /wait in the host's memory/);
  assert(await page.$eval('#offload', ({ checked }) => checked));
  // Tokens × hidden_size numbers of four bytes for each layer but the first, whose input is looked up again.
  assert.equal(await page.$eval('#on-host', ({ dataset }) => Number(dataset.bytes)), 3 * 1024 * 128 * 4);

  await trainer.showSettings();
  await page.click('#offload');
  await trainer.unfold('keep-mlp');
  const before = (await trainer.peaks()).stream;
  await page.focus('#keep-mlp');
  await page.keyboard.press('End');
  await page.waitForFunction(() => /Their product 4\/4/.test(document.querySelector('#beside-inputs').textContent));
  assert((await trainer.peaks()).stream > before, 'what is kept takes memory');
  await trainer.press('copy-link');
  await page.waitForFunction(() => /save_activations=.*mlp/.test(location.hash) && !/offload/.test(location.hash));
}

/** Shows a published model, and waits for its chart. */
async function showModel({ page }, name) {
  const models = await page.$$eval('#reach-model option', (options) => options.map(({ value, textContent }) => [value, textContent]));
  await page.select('#reach-model', models.find(([, text]) => text.includes(name))[0]);
}

/** Waits until the chart has so many of the paper's lengths, and is up to date. */
function marked(trainer, count) {
  return trainer.page.waitForFunction((count) => document.querySelectorAll('#reach-chart .pin').length === count
    && document.querySelector('.reach-picture[aria-busy=false]'), { timeout: LONG_MS }, count);
}

/** Published models fit, because they are planned as the paper trains them; its lengths stand beside ours. */
async function plansPublishedModels(trainer) {
  const { page } = trainer;
  const reported = [30_600, 142_400];
  await showModel(trainer, 'Qwen3 8B');
  await marked(trainer, 2);
  const { standard, checkpoint, stream } = await reach(trainer);
  assert(0 < standard.longest && standard.longest < checkpoint.longest && checkpoint.longest < stream.longest, 'the model fits');
  assert(standard.bytes > stream.bytes);
  const cells = await page.$$eval('#reach-values .reported', (cells) => cells.map(({ textContent }) => Number(textContent.replace(/\D/g, ''))));
  assert.deepEqual(cells, [0, ...reported]);
  // From left to right: checkpointing in the paper, checkpointing here, StreamBP here, StreamBP in the paper.
  const centre = ({ left, width }) => left + width / 2;
  const places = await page.$$eval('#reach-chart .point', (points) => Object.fromEntries(points.map((point) => {
    const { left, width } = point.getBoundingClientRect();
    return [`${point.dataset.strategy} ${point.classList.contains('pin') ? 'reported' : 'here'}`, { left, width }];
  })));
  const order = ['checkpoint reported', 'checkpoint here', 'stream here', 'stream reported'].map((place) => centre(places[place]));
  assert.deepEqual([...order].sort((a, b) => a - b), order);
  // The table of the paper's models says the same as the chart.
  const row = await page.$eval('#paper-lengths [data-model="Qwen3 8B"][data-gib="80"]', ({ textContent }) => textContent.replace(/\u202f/g, ''));
  for (const tokens of [checkpoint.longest, stream.longest, ...reported]) assert(row.includes(String(tokens)), `${tokens} in ${row}`);

  // Whoever goes by keyboard sees what has the focus.
  await page.keyboard.press('Tab');
  await page.focus('.pin.of-stream');
  assert.match(await tooltip(page), /142\u202f400 tokens in the paper/);

  // Everything in f32 takes more than the memory for the weights alone.
  await page.select('#reach-trainable', 'all');
  await marked(trainer, 0);
  assert((await reach(trainer)).stream.bytes > 2 ** 36);
  assert.match(await page.$eval('.reach .note', ({ textContent }) => textContent), /alone take/);

  // A row of the table shows its model, as the paper trains it.
  await page.click('#paper-lengths [data-gib="24"] button');
  await marked(trainer, 1);
  assert.equal(await page.$eval('#reach-values [data-strategy=stream]', ({ dataset }) => dataset.longest), '13125');
  assert.equal(await page.$eval('[data-gib="24"][aria-pressed]', (button) => button.getAttribute('aria-pressed')), 'true');

  // A budget that makes no sense is said beside it, and the chart stays.
  await trainer.type('reach-budget', 'many');
  await page.waitForSelector('#reach-budget[aria-invalid=true]');
  assert.notEqual(await page.$eval('#reach-budget-wrong', ({ textContent }) => textContent), '');
  await marked(trainer, 1);
  await trainer.type('reach-budget', '40');
  await marked(trainer, 0);
  assert((await reach(trainer)).stream.longest > 13_125);
}

/** Between several machines a sequence is split: each holds less, so all reach further, and a step takes less time and more waiting. */
async function plansMachines(trainer) {
  const { page } = trainer;
  await showModel(trainer, 'Qwen3 4B');
  await marked(trainer, 2);
  const alone = await reach(trainer);
  assert(await page.$eval('#of-machines', ({ offsetParent }) => offsetParent === null), 'one machine is not split');
  await page.select('#reach-machines', '4');
  await page.waitForFunction((longest) => Number(document.querySelector('#reach-values [data-strategy=stream]').dataset.longest) > longest
    && document.querySelector('.reach-picture[aria-busy=false]'), { timeout: LONG_MS }, alone.stream.longest);
  const four = await reach(trainer);
  for (const strategy of STRATEGIES) assert(four[strategy].longest > alone[strategy].longest, strategy);
  await page.waitForSelector('#reach-times[aria-busy=false]', { timeout: LONG_MS });
  const rows = await page.$$eval('#of-machines tbody tr', (rows) => rows.map((row) => [...row.cells].map(({ textContent }) => textContent)));
  assert.deepEqual(rows.map(([machine]) => machine), ['1', '2', '3', '4']);
  const tokens = rows.map((row) => Number(row[1].replace(/\D/g, '')));
  const length = await page.$eval('#reach-number', ({ value }) => Number(value));
  assert.equal(tokens.reduce((sum, count) => sum + count), length);
  // Late tokens see more keys. The frontier is that of one machine, and the paper's GPU is one.
  assert(tokens[0] >= tokens[3]);
  assert(await page.$eval('#frontier-title', ({ offsetParent }) => offsetParent === null));
  await marked(trainer, 0);
  await page.select('#reach-machines', '1');
  await marked(trainer, 2);
  assert.deepEqual(await reach(trainer), alone);
}

/** The attention map has square cells for all tokens of the sequence, with positions and texts, and says each weight. */
async function readsTheMap(page) {
  const map = await page.$eval('#attention-cells', (map) => {
    const { width, height } = map.querySelector('canvas').getBoundingClientRect();
    const ticks = (kind) => Array.from(map.querySelectorAll(`.${kind}`), (tick) => [parseInt(tick.firstChild.textContent), tick.querySelector('small').textContent]);
    return { width, height, side: Number(map.parentElement.dataset.side), rows: ticks('tick'), columns: ticks('tick-x') };
  });
  assert(Math.abs(map.width / map.height - 1) < 0.01, `${map.width}×${map.height}`);
  assert.equal(map.side, TINY['seq-len'], 'a row for every token');
  for (const ticks of [map.rows, map.columns]) {
    assert(ticks.length >= 4 && ticks.every(([position, text]) => position >= 1 && position <= map.side && text.length > 0), JSON.stringify(ticks));
  }
  // By pointer: the first token sees only itself.
  const { x, y, width, height } = await (await page.$('#attention-cells')).boundingBox();
  const said = () => page.$eval('#pattern [role=status]', ({ textContent }) => textContent);
  await page.mouse.move(x + 1, y + 1);
  assert.match(await said(), /^Token 1 .* token 1 .*: 100 %$/);
  assert.match(await page.$eval('#pattern .tip', ({ textContent }) => textContent), /100 %/);
  await page.mouse.move(x + width - 1, y + height / 4);
  assert.match(await said(), /: 0 %$/, 'no token sees a later one');
  // By keys, from the strongest cell of the last row.
  await page.mouse.move(0, 0);
  await page.focus('#attention-cells');
  await page.keyboard.press('ArrowUp');
  assert.match(await said(), new RegExp(`^Token ${map.side - 1} `));
}

async function keepsRuns(trainer) {
  const { page } = trainer;
  await trainer.choose({ sampleEvery: 3 });
  await trainer.type('validate-every', 2);
  await trainer.press('start');
  await trainer.waitForLosses(4);
  await trainer.waitForSample();
  const steps = await pause(trainer);
  const written = await page.$$eval('.written span', (spans) => spans.map(({ dataset }) => dataset.tip));
  assert(written.length > 50 && written.every((tip) => /\d %/.test(tip)), 'every character has its probability');
  assert.match(await page.$eval('.numbers', ({ textContent }) => textContent), /GFLOP\/s/);
  assert(await page.$$eval('.curve polyline', ({ length }) => length) >= 3, 'raw, smoothed and validation');
  const ticks = (axis) => page.$$eval(`.curve ${axis}`, (labels) => labels.map(({ textContent }) => Number(textContent)));
  for (const axis of ['.tick', '.tick-x']) assert((await ticks(axis)).length >= 3, `${axis}: ${await ticks(axis)}`);
  // The validation tells labels by the number of tokens before them, in powers of two.
  const positions = await page.$$eval('#by-position tbody th', (cells) => cells.map(({ textContent }) => textContent));
  assert.deepEqual(positions.slice(0, 3), ['1', '2–3', '4–7']);
  await page.select('#quantity', 'grad-norm');
  await page.click('#log-scale');
  assert.match(await page.$eval('.curve', (curve) => curve.getAttribute('aria-label')), /Gradient norm/);
  await trainer.press('look');
  await page.waitForSelector('#pattern canvas');
  await readsTheMap(page);

  await trainer.press('reset');
  await trainer.waitForState('ready');
  const row = await page.$eval('#runs tbody tr', ({ textContent }) => textContent);
  assert.match(row, new RegExp(`stream 64, 256.*${steps}`), row);
  await page.click('#runs input[type=checkbox]');
  assert.equal(await page.$$eval('.curve polyline.line-past', ({ length }) => length), 1);
}
