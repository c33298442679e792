// How the page handles events: a lost device, a reload, too large a plan, a hidden tab, quick input.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { BROWSERS, newPage } from './browsers.mjs';
import { actUntil, centre } from './pointing.mjs';
import { serveInstrumented } from './server.mjs';
import { audit, tooltip } from './trainer.mjs';
import { catchDownloads, caught, file, ownSources, pause, TINY, visit } from './visit.mjs';

let server;
let directory;

before(async () => {
  assert(process.env.PAGE, 'PAGE is not set: run these tests with `cargo xtask test --only browser`');
  server = await serveInstrumented(process.env.PAGE);
  directory = await mkdtemp(path.join(tmpdir(), 'streambp-'));
});
after(async () => {
  server?.close();
  if (directory) await rm(directory, { recursive: true });
});

for (const { name, launch } of BROWSERS) {
  describe(`${name}: the page`, () => {
    let browser;
    before(async () => { browser = await launch({ webgpu: true, scheme: 'light' }); });
    after(() => browser?.close());

    test('goes on when the device is lost', () => visit(browser, server.url, survivesALostDevice));
    test('offers what fits when too much is asked for', () => visit(browser, server.url, offersWhatFits, { settings: TINY }));
    test('gives its model away and takes it back with the same loss', () => visit(browser, server.url, takesItsModelBack));
    test('trains on in a hidden tab', () => visit(browser, server.url, trainsOnHidden));
    test('speaks Korean, and is light or dark as it is told', () => visit(browser, server.url, changesLanguageAndTheme));
    test('carries its settings in its link', () => visit(browser, server.url, carriesSettings));
    test('says what is missing where there is no GPU', () => visit(browser, server.url, saysThatNoGpu, { state: 'error', fault: 'no-adapter' }));
    test('says where gradients are not the same bits', () => saysWhereBitsDiffer(launch));
    test('fits chunks to the device', () => visit(browser, server.url, fitsChunks, { settings: { 'seq-len': 512 } }));
    test('has an address for what it shows', () => visit(browser, server.url, followsTheAddress));
    test('fetches a text, and learns a task', () => visit(browser, server.url, fetchesAText));
    test('gives pictures, traces and metrics', () => visit(browser, server.url, givesFiles));
    test('says what it waits for, and what is pointed at', () => visit(browser, server.url, saysWhatIsPointedAt, { view: 'step' }));
    test('is used by keyboard alone', () => visit(browser, server.url, usedByKeyboard));
    test('has no serious hindrance in any state', () => visit(browser, server.url, hasNoHindrance));
  });
}

async function survivesALostDevice(trainer) {
  await trainer.press('start');
  const losses = await trainer.waitForLosses(3);
  await trainer.destroyDevice();
  await trainer.page.waitForSelector('#notice', { timeout: 60_000 });
  assert.match(await trainer.page.$eval('#notice', ({ textContent }) => textContent), /lost.*goes on from step \d/);
  const again = await trainer.waitForLosses(losses.length + 1);
  assert.deepEqual(again.slice(0, 3), losses.slice(0, 3), 'it did not go on to the same bits');
  assert.equal(await trainer.page.$('#error'), null);
  await pause(trainer);
}

/** What was found is kept for an origin, so this has one of its own. */
async function saysWhereBitsDiffer(launch) {
  const own = await serveInstrumented(process.env.PAGE);
  const browser = await launch({ webgpu: true, scheme: 'light' });
  try {
    await visit(browser, own.url, claimsNoEquality, { fault: 'other-rounding' });
  } finally {
    await browser.close();
    own.close();
  }
}

async function claimsNoEquality(trainer) {
  const { page } = trainer;
  const isClaimed = () => page.$eval('html', ({ dataset }) => dataset.bits);
  assert.equal(await isClaimed(), undefined);
  await trainer.press('start');
  await trainer.waitForLosses(1);
  assert.match(await page.$eval('#other-bits', ({ textContent }) => textContent), /^On .+ gradients differ in some bits/);
  assert.equal(await isClaimed(), 'other');
  await pause(trainer);
  await trainer.press('prove');
  await page.waitForSelector('#proof-verdict', { timeout: 120_000 });
  assert.equal(await page.$eval('#proof-verdict', ({ dataset }) => dataset.sameBits), 'false');
  assert(await page.$$eval('#proof-parameters tr[data-same-bits=false]', ({ length }) => length) > 0, 'the parameters that differ are named');
}

async function fitsChunks(trainer) {
  const { page } = trainer;
  const hint = (words) => page.waitForFunction((words) => new RegExp(words).test(document.querySelector('#chunk-hint').textContent), {}, words);
  await trainer.showSettings();
  assert.equal(await page.$eval('#chunk', ({ value }) => value), 'auto');
  await hint('^Now 128: in so short a batch');
  assert.equal((await trainer.memoryBars()).length, 16, 'four chunks in four layers');
  await trainer.choose({ sequenceLength: 1024 });
  await hint('^Now (256: in so short|128: longer)');
  await trainer.type('budget', 25.4);
  await trainer.choose({ sequenceLength: 4096 });
  await hint('^Now 64: longer chunks are over the budget');
  assert.match(await page.$eval('#logits-chunk-hint', ({ textContent }) => textContent), /^Now 64, as in the layers/);
  await trainer.choose({ strategy: 'checkpoint' });
  await hint('^Only the strategy stream');
  await trainer.choose({ strategy: 'stream', sequenceLength: 512, chunk: 64 });
  await hint('^Tokens at work at once');
  assert.equal((await trainer.memoryBars()).length, 32);
  await page.waitForFunction(() => /[?&]chunk=64/.test(location.hash));
  await trainer.choose({ chunk: 'auto' });
  await page.waitForFunction(() => !/[?&]chunk=/.test(location.hash));
  await trainer.choose({ chunk: 'long' });
  assert.match(await page.$eval('#chunk-problem', ({ textContent }) => textContent), /must be 1 or more, or auto/);
}

/** A browser with WebGPU on a machine without a GPU. What is only planned is shown all the same. */
async function saysThatNoGpu(trainer) {
  const { page } = trainer;
  const sentence = await trainer.waitForError();
  assert.match(sentence, /has WebGPU, but no GPU/);
  const buttons = await page.$$eval('#start, #step', (buttons) => buttons.map(({ disabled }) => disabled));
  assert.deepEqual(buttons, [true, true]);
  assert.match(await page.$eval('#why-not', ({ textContent }) => textContent), /needs a GPU/);
  await trainer.show('step');
  assert(await page.$$eval('.memory-bar', ({ length }) => length) > 0);
  await trainer.show('reach');
  await page.waitForFunction(() => document.querySelectorAll('#reach-values [data-strategy]').length === 3, { timeout: 60_000 });
}

async function offersWhatFits(trainer) {
  await trainer.type('budget', 100_000);
  // Tensors of all tokens lie in pieces. Those of such a chunk are larger than a binding of any of these adapters.
  await trainer.choose({ source: 'copy', sequenceLength: 3_000_000, strategy: 'stream', chunk: 1_000_000 });
  await trainer.press('start');
  assert.match(await trainer.waitForError(), /binds at most/);
  await trainer.press('apply-suggestion');
  const [length, chunk] = await trainer.page.evaluate(() => ['seq-len', 'chunk'].map((id) => document.getElementById(id).value));
  assert(length === '3000000' && Number(chunk) > 0 && Number(chunk) <= 8192, `${length} tokens in chunks of ${chunk}`);
  assert.equal(await trainer.page.$('#error'), null);
}

/** A text with one sequence for training and one for validation, so that every step has the same batch. */
async function oneSequence() {
  return file(directory, 'one.txt', (await ownSources()).replaceAll(/[^\x20-\x7e]/g, ' ').slice(0, 2 * 257));
}

async function takesItsModelBack(trainer) {
  const { page } = trainer;
  await catchDownloads(page);
  await trainer.dropIn(await oneSequence());
  for (let step = 1; step <= 3; step++) {
    await trainer.press('step');
    await trainer.waitForLosses(step);
    await trainer.waitForState('paused');
  }
  await trainer.press('export');
  const { name, bytes } = await caught(page);
  assert.equal(name, 'streambp-step-3.zip');
  await trainer.press('step');
  const [first, , , fourth] = await trainer.waitForLosses(4);
  await trainer.waitForState('paused');
  await trainer.press('reset');
  await trainer.waitForState('ready');

  const zip = await file(directory, 'model.zip', bytes);
  await (await page.$('#import')).uploadFile(zip);
  await page.waitForSelector('#use-seed');
  await page.select('#learn', 'full');
  for (const [id, value] of Object.entries({ 'learning-rate': 0.003, 'min-learning-rate': 0.0003, 'weight-decay': 0.1 })) await trainer.type(id, value);
  await trainer.press('step');
  const [imported] = await trainer.waitForLosses(1);
  assert.equal(imported, fourth, 'the imported model has another loss than the exported one');
  assert(imported < first);
  await trainer.waitForState('paused');
  await trainer.press('reset');
  await trainer.waitForState('ready');

  await (await page.$('#import')).uploadFile(await file(directory, 'broken.zip', bytes.subarray(0, bytes.length / 2)));
  assert.match(await trainer.waitForError(), /broken\.zip|zip/);
}

async function trainsOnHidden(trainer) {
  await trainer.press('start');
  const before = (await trainer.waitForLosses(1)).length;
  const other = await newPage(trainer.page.browser());
  await other.goto('about:blank');
  await other.bringToFront();
  await trainer.waitForLosses(before + 2);
  await other.close();
  await trainer.page.bringToFront();
}

async function changesLanguageAndTheme(trainer) {
  const { page } = trainer;
  const heading = () => page.$eval('#run-title', ({ textContent }) => textContent);
  const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const english = await heading();
  await page.select('#language', 'ko');
  await page.waitForFunction(() => document.documentElement.lang === 'ko');
  assert.match(await heading(), /[가-힣]/);
  const light = await ground();
  await page.select('#theme', 'dark');
  assert.notEqual(await ground(), light);
  await page.reload();
  await trainer.waitForState('ready');
  await page.waitForFunction(() => document.documentElement.lang === 'ko');
  assert.notEqual(await ground(), light, 'the theme is forgotten');
  await page.select('#language', 'en');
  await page.waitForFunction((english) => document.querySelector('#run-title').textContent === english, {}, english);
  await page.select('#theme', 'system');
  assert.equal(await ground(), light);
}

async function carriesSettings(trainer) {
  const { page } = trainer;
  await trainer.choose({ source: 'sort', preset: 'small', sequenceLength: 320, strategy: 'checkpoint' });
  await trainer.type('learning-rate', '0.00123');
  await trainer.press('copy-link');
  const link = await page.evaluate(() => location.href);
  await page.goto('about:blank');
  await page.goto(link);
  await trainer.waitForState('ready');
  const values = await page.evaluate(() => ['source', 'preset', 'seq-len', 'strategy', 'learning-rate', 'hidden-size']
    .map((id) => document.getElementById(id).value));
  assert.deepEqual(values, ['sort', 'small', '320', 'checkpoint', '0.00123', '256']);
}

/** The address follows what is shown; back, forward and a changed address work. */
async function followsTheAddress(trainer) {
  const { page } = trainer;
  const address = (pattern) => page.waitForFunction((source) => new RegExp(source).test(location.hash), {}, pattern.source);
  await trainer.type('seq-len', 320);
  await address(/^#\/train\?.*seq-len=320/);
  await trainer.show('step');
  await address(/^#\/step\?.*seq-len=320/);
  await page.$eval('#moment', (slider) => {
    slider.value = 7;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
  });
  await address(/at=7/);
  await trainer.show('learn');
  await page.goBack();
  await page.waitForSelector('[data-view=step]:not(.hidden)');
  assert.equal(await page.$eval('#moment', ({ value }) => value), '7');
  await page.evaluate(() => { location.hash = '#/reach?seq-len=640'; });
  await page.waitForSelector('[data-view=reach]:not(.hidden)');
  assert.equal(await page.$eval('#seq-len', ({ value }) => value), '640');

  // An address may lead to a part of a view.
  await page.evaluate(() => { location.hash = '#/lab/proof'; });
  await page.waitForFunction(() => {
    const { top, bottom } = document.querySelector('#proof')?.getBoundingClientRect() ?? {};
    return top < innerHeight && bottom > 0;
  });
  assert.equal(await page.$eval('#seq-len', ({ value }) => value), '640', 'an address without settings changes none');

  // A run keeps its settings.
  await trainer.press('step');
  await trainer.waitForLosses(1);
  await page.evaluate(() => { location.hash = '#/lab?seq-len=64'; });
  await page.waitForSelector('#notice');
  assert.equal(await page.$eval('#seq-len', ({ value }) => value), '640');
  // An address of before there were views.
  await page.goto('about:blank');
  await page.goto(`${server.url}#seq-len=192&chunk=64`);
  await trainer.waitForState('ready');
  assert.equal(await trainer.view(), 'train');
  assert.equal(await page.$eval('#seq-len', ({ value }) => value), '192');
}

async function fetchesAText(trainer) {
  const { page } = trainer;
  await trainer.type('address', new URL('style.css', server.url).href);
  await trainer.press('use-address');
  await page.waitForSelector('#given');
  await trainer.press('step');
  await trainer.waitForLosses(1);
  await trainer.waitForState('paused');
  await trainer.press('reset');
  await trainer.waitForState('ready');
  for (const source of ['copy', 'sort', 'sum']) {
    await trainer.choose({ source, sequenceLength: 128 });
    await trainer.type('distance', 16);
    await trainer.press('step');
    await trainer.waitForLosses(1);
    await trainer.waitForState('paused');
    await trainer.press('reset');
    await trainer.waitForState('ready');
  }
  await trainer.type('address', 'https://nowhere.invalid/text.txt');
  await trainer.press('use-address');
  assert.match(await trainer.waitForError(), /nowhere\.invalid/);
  trainer.problems.splice(0).forEach((problem) => assert.match(problem, /nowhere\.invalid|Failed to load resource|NetworkError|CORS/));
}

async function givesFiles(trainer) {
  const { page } = trainer;
  await trainer.press('step');
  await trainer.waitForLosses(1);
  await trainer.waitForState('paused');
  await catchDownloads(page);
  await trainer.press('export-svg');
  const svg = await caught(page);
  assert.match(svg.name, /\.svg$/);
  const text = svg.bytes.toString();
  assert(text.startsWith('<svg') && text.includes('</svg>') && !text.includes('light-dark') && !text.includes('var('), text.slice(0, 300));
  await trainer.press('export-png');
  const png = await caught(page);
  assert.deepEqual([...png.bytes.subarray(0, 4)], [0x89, 0x50, 0x4e, 0x47]);
  assert(png.bytes.length > 10_000);
  await trainer.press('export-trace');
  const trace = await caught(page);
  assert(trace.name.endsWith('.pickle') && trace.bytes[0] === 0x80 && trace.bytes.includes('device_traces'));
  await trainer.press('curve-svg');
  assert.match((await caught(page)).bytes.toString(), /^<svg.*<\/svg>$/s);
  await page.click('#look');
  await page.waitForSelector('#attention-svg');
  await trainer.press('attention-svg');
  assert.match((await caught(page)).bytes.toString(), /^<svg.*<image [^>]*href="data:image\/png;base64,.*<\/svg>$/s);
  await trainer.show('reach');
  await page.waitForSelector('#reach-svg');
  await trainer.press('reach-svg');
  assert.match((await caught(page)).bytes.toString(), /^<svg.*stream.*<\/svg>$/s);
  await trainer.press('export-csv');
  const csv = (await caught(page)).bytes.toString().trim().split('\n');
  assert(csv.length === 2 && csv[0].startsWith('step,loss,') && csv[1].startsWith('1,5.'), csv.join(' / '));
}

/** Kernels that compile have a progress; whatever has a tooltip shows it by pointer, by touch and by focus. */
async function saysWhatIsPointedAt(trainer) {
  const { page } = trainer;
  await page.evaluate(() => {
    globalThis.said = [];
    const status = document.querySelector('#status');
    new MutationObserver(() => {
      const progress = document.querySelector('.chip progress');
      if (progress) globalThis.said.push([status.textContent, progress.value, progress.max]);
    }).observe(document.querySelector('.chip'), { childList: true, characterData: true, attributes: true, subtree: true });
  });
  await trainer.press('by-operation');
  await trainer.waitForState('paused');
  const said = await page.evaluate(() => globalThis.said);
  const [text, , all] = said.at(-1);
  assert(said.length > 5 && all > 5, JSON.stringify(said));
  assert.match(text, new RegExp(`Compiling kernels: \\d+ of ${all}`));
  assert.equal(await page.$('.chip progress'), null);

  await page.$eval('#memory', (grid) => grid.scrollIntoView({ block: 'center' }));
  const [x, y] = await centre(page, '.cell');
  await actUntil(() => tooltip(page), (tries) => page.mouse.move(x + tries, y));
  assert.match(await tooltip(page), /chunk 0.*[KM]iB|chunk 0.* B/);
  await actUntil(async () => await tooltip(page) === null, (tries) => page.mouse.move(2 + tries, 2));
  await actUntil(() => tooltip(page), () => page.touchscreen.tap(x, y));
  assert.match(await tooltip(page), /chunk 0/);
  await page.keyboard.press('Escape');
  assert.equal(await tooltip(page), null);
  await trainer.show('lab');
  await page.focus('.card .bar');
  await page.keyboard.press('ArrowRight');
  const first = await tooltip(page);
  await page.keyboard.press('ArrowRight');
  assert.notEqual(await tooltip(page), first);
}

/** Reaches controls of every view by Tab, and uses them with the keyboard instead of the mouse. */
async function usedByKeyboard(trainer) {
  const { page } = trainer;
  const reach = async (selector) => {
    for (let presses = 0; presses < 120; presses++) {
      if (await page.evaluate((selector) => document.activeElement?.matches(selector), selector)) return;
      await page.keyboard.press('Tab');
    }
    assert.fail(`${selector} is not reached by Tab`);
  };
  // From the top of the page: behind its end, Tab leads through the browser's own controls.
  const goTo = async (view) => {
    await page.focus('.skip');
    await reach(`nav [data-route=${view}]`);
    await page.keyboard.press('Enter');
    await page.waitForSelector(`[data-view=${view}]:not(.hidden) > *`);
    await page.waitForFunction(() => document.activeElement?.id === 'main');
  };
  // The first key leads past the bar.
  await page.reload();
  await trainer.waitForState('ready');
  await page.keyboard.press('Tab');
  assert(await page.evaluate(() => document.activeElement.matches('.skip')));
  await reach('#seq-len');
  await page.keyboard.down('Control');
  await page.keyboard.press('a');
  await page.keyboard.up('Control');
  await page.keyboard.type('256');
  await reach('#step');
  await page.keyboard.press('Enter');
  await trainer.waitForLosses(1);
  await trainer.waitForState('paused');
  await reach('#export');
  await goTo('step');
  for (const id of ['memory', 'budget-line', 'moment', 'by-operation']) await reach(`#${id}`);
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('button.look') !== null);
  await page.focus('.list');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#values');
  await goTo('lab');
  await reach('#prove');
  await goTo('reach');
  await reach('#reach-length');
  await page.focus('.skip');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.activeElement?.id === 'main');
}

async function hasNoHindrance(trainer) {
  const { page } = trainer;
  const check = async (state) => assert.deepEqual(await audit(trainer), [], state);
  for (const [theme, language] of [['dark', 'ko'], ['light', 'ko'], ['dark', 'en'], ['light', 'en']]) {
    await page.select('#theme', theme);
    await page.select('#language', language);
    await page.waitForFunction((language) => document.documentElement.lang === language, {}, language);
    for (const view of ['see', 'learn', 'step', 'reach', 'lab', 'train']) {
      await trainer.show(view);
      await check(`${view}, ${theme}, ${language}`);
    }
  }
  await page.select('#theme', 'system');
  await page.$$eval('details', (all) => all.forEach((details) => { details.open = true; }));
  await check('everything unfolded');
  await trainer.press('by-chunk');
  await trainer.waitForState('paused');
  await page.click('button.look');
  await page.waitForSelector('#values');
  await check('within a step');
  await trainer.press('start');
  await trainer.waitForLosses(2);
  await check('training');
  await pause(trainer);
  await page.select('#theme', 'dark');
  await check('dark');
  await page.select('#theme', 'system');
  await trainer.press('reset');
  await trainer.waitForState('ready');
  const pictures = () => page.$$eval('.memory-bar', ({ length }) => length);
  const before = await pictures();
  await trainer.choose({ chunk: 0 });
  await page.waitForSelector('#chunk[aria-invalid=true]');
  assert.match(await page.$eval('#chunk-problem', ({ textContent }) => textContent), /must be 1 or more/);
  assert.equal(await pictures(), before, 'the pictures stay while a field is wrong');
  await check('a field that is wrong');
  await trainer.press('start');
  await trainer.waitForError();
  await check('an error');
}
