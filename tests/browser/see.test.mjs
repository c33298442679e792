// See: the three mountains of memory, without a GPU.

import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { BROWSERS, newPage } from './browsers.mjs';
import { actUntil } from './pointing.mjs';
import { serve } from './server.mjs';
import { audit } from './trainer.mjs';
import { catchDownloads, caught } from './visit.mjs';

const WINDOW = { width: 1280, height: 720 };
const PHONE = { width: 390, height: 844 };
const AT_FIRST = [
  ['standard', 'over', '286 MiB over the budget by 222 MiB'],
  ['checkpoint', 'over', '93.1 MiB over the budget by 29.1 MiB'],
  ['stream', 'under', '37.7 MiB under the budget by 26.3 MiB'],
];

let directory;
let server;
// The page as it is before its program has arrived.
let unstarted;

before(async () => {
  assert(process.env.PAGE, 'PAGE is not set: run these tests with `cargo xtask test --only browser`');
  directory = await mkdtemp(path.join(tmpdir(), 'streambp-see-'));
  const nothing = path.join(directory, 'start.js');
  await writeFile(nothing, '');
  server = await serve(process.env.PAGE);
  unstarted = await serve(process.env.PAGE, { instead: { 'start.js': nothing } });
});
after(async () => {
  server?.close();
  unstarted?.close();
  await rm(directory, { recursive: true });
});

for (const { name, launch } of BROWSERS) {
  describe(`${name}, without a GPU`, () => {
    let browser;
    before(async () => { browser = await launch({ webgpu: false, scheme: 'light' }); });
    after(() => browser?.close());

    test('shows two mountains over the budget and one under it, before its program is there and in the same place afterwards',
      () => see(browser, staysInPlace));
    test('fits a window without scrolling, and a phone', () => see(browser, fits));
    test('goes to any length by keyboard', () => see(browser, goesToAnyLength));
    test('names the parts of a mountain by pointer, by touch and by keyboard', () => see(browser, namesParts));
    test('gives the picture as a file', () => see(browser, givesAFile));
    test('is one picture in a frame of another page', () => see(browser, isEmbedded));
    test('shows the grid of a step in a frame, with the settings of its address', () => see(browser, embedsTheGrid));
    test('has its length in its address', () => see(browser, keepsItsLength));
    test('is at most eight keys from the comparison', () => see(browser, reachesTheComparison));
    test('speaks Korean, and keeps the length', () => see(browser, speaksKorean));
    test('is not shown where another view is asked for', () => see(browser, startsElsewhere));
  });
}

/** Runs a test on a new page, and fails if its console shows an error. */
async function see(browser, body) {
  const page = await newPage(browser);
  const problems = [];
  page.on('pageerror', (error) => problems.push(`uncaught: ${error.message ?? error}`));
  page.on('console', (message) => message.type() === 'error' && problems.push(`console: ${message.text()}`));
  try {
    await page.setViewport(WINDOW);
    await body(page);
    assert.deepEqual(problems, []);
  } finally {
    await page.close();
  }
}

/** Opens the page, and waits until the program has drawn it. */
async function open(page, address = '') {
  await page.goto(server.url + address);
  await page.waitForSelector('#see-length');
}

/** The peaks as they are read, each with its strategy and whether it is over the budget. */
function peaks(page) {
  return page.$$eval('.see .peaks li', (items) => items.map((item) => (
    [item.dataset.strategy, item.className, item.querySelector('.peak-bytes').textContent.replaceAll('\u00a0', ' ')])));
}

/** What is drawn, and where it lies. */
function drawn(page) {
  return page.$$eval('.see h1, .see .peaks, .see-axis, .mountains, .see-passes', (elements) => elements.map((element) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    return { html: element.innerHTML.replaceAll('<!---->', '').trim(), place: [x, y, width, height].map(Math.round) };
  }));
}

async function staysInPlace(page) {
  await page.goto(unstarted.url);
  const mark = await page.waitForFunction(() => performance.getEntriesByName('mountains-painted')[0]?.startTime);
  const painted = await page.evaluate(() => performance.getEntriesByName('first-contentful-paint')[0].startTime);
  assert((await mark.jsonValue()) >= painted, 'the mark was set before anything was painted');
  assert.equal(await page.$('#see-length'), null, 'the program was there already');
  assert.deepEqual(await peaks(page), AT_FIRST);
  const mountains = await page.$$eval('.mountains svg', (all) => all.map((mountain) => mountain.querySelectorAll('path').length));
  assert.deepEqual(mountains, [7, 7, 7]);
  const first = await drawn(page);
  assert.equal(first.length, 5);
  await open(page);
  assert.equal(await page.$('#first-picture'), null);
  assert.deepEqual(await peaks(page), AT_FIRST);
  assert.deepEqual(await drawn(page), first);
}

async function fits(page) {
  await open(page);
  const bottom = await page.$eval('.see', (see) => see.getBoundingClientRect().bottom);
  assert(bottom <= WINDOW.height, `it ends at ${bottom} px`);
  for (const viewport of [PHONE, { width: 768, height: 1024 }, { width: 1920, height: 1080 }]) {
    await page.setViewport(viewport);
    const beyond = await page.$$eval('.see, .see :is(a, button, h1, h2, p, li, label, output, input, text)', (elements, width) => elements
      .filter((element) => element.checkVisibility())
      .filter((element) => element.getBoundingClientRect().left < 0 || element.getBoundingClientRect().right > width)
      .map((element) => `${element.tagName} ${element.textContent}`), viewport.width);
    assert.deepEqual(beyond, [], `at ${viewport.width} px`);
  }
}

/** The length as a screen reader hears it, before the peaks. */
function spokenLength(page) {
  return page.$eval('#see-length', (slider) => slider.getAttribute('aria-valuetext').replace(/[\u202f ]/g, '').split(':')[0]);
}

async function goesToAnyLength(page) {
  await open(page);
  assert.equal(await spokenLength(page), '8192tokens');
  assert.match(await page.$eval('#see-length', (slider) => slider.ariaValueText), /: Standard 286 MiB, Checkpointing 93\.1 MiB, StreamBP 37\.7 MiB$/);
  await page.focus('#see-length');
  const over = async () => (await peaks(page)).map(([, side]) => side === 'over');
  await page.keyboard.press('Home');
  assert.equal(await spokenLength(page), '512tokens');
  assert.deepEqual(await over(), [false, false, false]);
  const states = new Set();
  const lengths = new Set();
  const places = Number(await page.$eval('#see-length', ({ min, max, step }) => (max - min) / step));
  for (let presses = 0; presses < places; presses++) {
    await page.keyboard.press('ArrowRight');
    lengths.add(await spokenLength(page));
    states.add(String(await over()));
  }
  assert.equal(lengths.size, places);
  assert(lengths.has('8192tokens') && lengths.has('32768tokens'));
  // One after the other breaks through the budget.
  assert.deepEqual([...states], ['false,false,false', 'true,false,false', 'true,true,false', 'true,true,true']);
}

function tooltip(page) {
  return page.evaluate(() => {
    const shown = document.querySelector('.see-tooltip');
    return shown && { heading: shown.querySelector('p').textContent, rows: Array.from(shown.querySelectorAll('li'), (row) => row.textContent) };
  });
}

async function namesParts(page) {
  await open(page);
  assert.equal(await tooltip(page), null);
  // By keyboard: the peak first, then whatever lies beside it.
  await page.focus('.mountain:nth-child(1)');
  const peak = await tooltip(page);
  assert.equal(peak.heading, 'loss: 286 MiB');
  assert.deepEqual(peak.rows.map((row) => row.replace(/ ?[\d.]+ .iB$/, '')), [
    'Logits', 'Activations', 'Keys and values', 'Hidden state and its gradient', 'Layer inputs', 'Batch and tables', 'Model',
  ]);
  const spoken = () => page.$eval('.mountain:nth-child(1)', (mountain) => mountain.getAttribute('aria-valuetext'));
  assert.match(await spoken(), /^loss: 286 MiB\. Logits 8\.00 MiB, Activations/);
  await page.keyboard.press('End');
  assert.match(await spoken(), /^update: .*Model 12\.5 MiB$/);
  await page.keyboard.press('Escape');
  assert.equal(await tooltip(page), null);
  // By pointer.
  const { x, y, width, height } = await page.$eval('.mountain:nth-child(2)', (mountain) => mountain.getBoundingClientRect().toJSON());
  const says = (heading) => async () => heading.test((await tooltip(page))?.heading);
  await actUntil(says(/^forward: /), (tries) => page.mouse.move(x + 0.1 * width + tries, y + height / 2));
  await actUntil(says(/^backward: /), (tries) => page.mouse.move(x + 0.6 * width + tries, y + height / 2));
  await actUntil(async () => await tooltip(page) === null, (tries) => page.mouse.move(5 + tries, 5));
  // By touch: it stays when the finger is gone, until something else is touched.
  await actUntil(says(/^loss: /), () => page.touchscreen.tap(x + 0.37 * width, y + height / 2));
  const title = await page.$eval('.see h1', (title) => title.getBoundingClientRect().toJSON());
  await page.touchscreen.tap(title.x + 20, title.y + 20);
  await page.waitForFunction(() => !document.querySelector('.see-tooltip'));
}

async function givesAFile(page) {
  await open(page);
  await catchDownloads(page);
  await page.click('#see-svg');
  const { name, bytes } = await caught(page);
  assert.equal(name, 'streambp-memory-8192.svg');
  const svg = bytes.toString();
  assert(svg.startsWith('<svg') && !/var\(|NaN/.test(svg), 'a file has no style sheet');
  for (const words of ['Checkpointing', '37.7 MiB: under the budget', 'Budget: 64 MiB', 'backward']) assert(svg.includes(words), words);
  const drawable = await page.evaluate((svg) => new Promise((resolve) => {
    const image = new Image();
    image.onload = () => resolve([image.naturalWidth, image.naturalHeight]);
    image.onerror = () => resolve('broken');
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(svg)}`;
  }), svg);
  assert.deepEqual(drawable, [1200, 640]);
}

async function isEmbedded(page) {
  await open(page, '?embed=mountains');
  assert.deepEqual(await peaks(page), AT_FIRST);
  const others = await page.$$eval('body > *', (elements) => elements.filter((element) => element.checkVisibility()).map(({ className }) => className));
  assert.deepEqual(others, ['see']);
  assert.equal(await page.$('#start, nav, .see-actions'), null);
  assert.equal(page.workers().length, 0, 'a picture needs no worker');
  assert.equal(await page.$eval('.same-bits', ({ target }) => target), '_blank', 'its link would open in the frame');
  await page.focus('#see-length');
  await page.keyboard.press('End');
  assert.equal(await spokenLength(page), '32768tokens');
  assert.deepEqual(await audit({ page }), []);
}

async function embedsTheGrid(page) {
  await page.goto(`${server.url}?embed=grid#/step?seq-len=1024&chunk=256&at=40`);
  await page.waitForSelector('#memory .cell');
  assert.equal(await page.$('#start, nav, #by-operation, .see'), null);
  assert.equal(page.workers().length, 0, 'a picture needs no worker');
  assert.equal(await page.$$eval('.memory-bar[data-layer="0"]', ({ length }) => length), 4);
  const now = () => page.$eval('#now', ({ textContent }) => textContent);
  assert.match(await page.$eval('#moment-number', ({ textContent }) => textContent), /^Operation 41 /);
  const before = await now();
  await page.focus('#moment');
  await page.keyboard.press('End');
  assert.notEqual(await now(), before);
  assert.deepEqual(await audit({ page }), []);
}

async function keepsItsLength(page) {
  await open(page, '#/?length=16384');
  assert.equal(await spokenLength(page), '16384tokens');
  await page.focus('#see-length');
  await page.keyboard.press('End');
  await page.waitForFunction(() => location.hash === '#/?length=32768');
  await page.evaluate(() => { location.hash = '#/?length=1024'; });
  await page.waitForFunction(() => document.querySelector('#see-length').ariaValueText.startsWith('1'));
  assert.equal(await spokenLength(page), '1024tokens');
}

/** From the start of the page: each key is counted. */
async function reachesTheComparison(page) {
  await open(page);
  let keys = 0;
  const press = async (key) => {
    keys += 1;
    await page.keyboard.press(key);
  };
  while (!await page.evaluate(() => document.activeElement?.dataset.route === 'lab')) {
    assert(keys < 20, 'the comparison is not reached');
    await press('Tab');
  }
  await press('Enter');
  await page.waitForFunction(() => document.querySelector('#peaks .card')?.checkVisibility());
  assert(keys <= 8, `it takes ${keys} keys`);
}

async function speaksKorean(page) {
  await open(page);
  await page.focus('#see-length');
  await page.keyboard.press('End');
  await page.select('#language', 'ko');
  await page.waitForFunction(() => document.documentElement.lang === 'ko');
  await page.waitForFunction(() => document.querySelector('.see h1').textContent.includes('학습'));
  assert.equal(await spokenLength(page), '토큰32768개');
  await open(page, '?embed=mountains');
  await page.waitForFunction(() => document.querySelector('.see .peaks').textContent.includes('예산'));
  await page.evaluate(() => localStorage.removeItem('language'));
}

async function startsElsewhere(page) {
  const isShown = () => page.$eval('#first-picture', (picture) => picture.checkVisibility());
  for (const [address, expected] of [['', true], ['#/', true], ['#/lab', false], ['#seq-len=256', false], ['?embed=mountains#/lab', true]]) {
    await page.goto('about:blank');
    await page.goto(unstarted.url + address);
    assert.equal(await isShown(), expected, address);
  }
}
