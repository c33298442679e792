// The page, used as by a user: the same tests for every browser.

import assert from 'node:assert/strict';
import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { BROWSERS } from './browsers.mjs';
import { trueWithin } from './pointing.mjs';
import { serve } from './server.mjs';
import { openTrainer } from './trainer.mjs';
import { ownSources, pause, SMALL, SMALL_LAYERS, visit } from './visit.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const BROKEN = path.join(HERE, 'broken');
const SCREENSHOTS = path.join(HERE, 'screenshots');

/** The background colour of the page in dark mode. */
const DARK_GROUND = 'rgb(21, 22, 26)';
/** A short run that samples once: in a slow browser a sample takes half a minute. */
const SAMPLING = { ...SMALL, 'sample-every': 3 };

let server;
let texts;
let longText;
let shortText;

before(async () => {
  assert(process.env.PAGE, 'PAGE is not set: run these tests with `cargo xtask test --only browser`');
  server = await serve(process.env.PAGE);
  texts = await mkdtemp(path.join(tmpdir(), 'streambp-'));
  longText = path.join(texts, 'sources.txt');
  shortText = path.join(texts, 'short.txt');
  await writeFile(longText, await ownSources());
  await writeFile(shortText, 'Too short.');
  await mkdir(SCREENSHOTS, { recursive: true });
});

after(async () => {
  server?.close();
  if (texts) await rm(texts, { recursive: true });
});

for (const { name, launch } of BROWSERS) {
  describe(name, () => {
    let browser;
    before(async () => { browser = await launch({ webgpu: true, scheme: 'light' }); });
    after(() => browser?.close());

    test('no fault goes unnoticed', () => noticesFaults(browser));
    test('trains on a text that is dropped in', () => open(browser, trainsOnAText));
    test('pauses, makes a single step, goes on and starts anew', () => visit(browser, server.url, pausesAndGoesOn));
    test('trains on every source, and by every strategy', () => open(browser, trainsOnEverySource));
    test('answers a text that is too short with a sentence', () => open(browser, refusesAShortText));
    test('fits windows of every width, light and dark', () => open(browser, (trainer) => fitsEveryWidth(trainer, name.toLowerCase())));
  });

  describe(`${name} without WebGPU, in the dark`, () => {
    let browser;
    before(async () => { browser = await launch({ webgpu: false, scheme: 'dark' }); });
    after(() => browser?.close());

    test('says what would help', () => visit(browser, server.url, (trainer) => saysWhatWouldHelp(trainer, name), { state: 'error' }));
  });
}

function open(browser, body) {
  return visit(browser, server.url, body, { settings: SAMPLING });
}

/** All other tests rely on the collection of errors of the page and its worker. */
async function noticesFaults(browser) {
  const broken = await serve(BROKEN);
  const faults = ['console', 'throw', 'reject', 'missing'];
  for (const fault of [...faults, ...faults.map((fault) => `worker-${fault}`)]) {
    const trainer = await openTrainer(browser, `${broken.url}#${fault}`);
    // A missing file is told twice, by the console without its name first.
    await trueWithin(10_000, () => /broken/.test(trainer.problems.join()));
    assert.match(trainer.problems.join(), /broken/, fault);
    await trainer.close();
  }
  broken.close();
}

async function trainsOnAText(trainer) {
  // Short passages differ in difficulty, so only a step over several of them shows progress.
  const batch = 4;
  await trainer.choose({ batch });
  await start(trainer);
  const losses = await trainer.waitForLosses(3);
  assert(losses.every(Number.isFinite) && losses.at(-1) < losses[0], `the loss does not fall: ${losses}`);
  const shown = await trainer.shownLoss();
  assert(shown.step >= 3 && shown.loss < losses[0] && /\d\.\d/.test(shown.text), `the loss is not shown: ${JSON.stringify(shown)}`);

  assert.deepEqual((await trainer.memoryBars()).sort(), grid(SMALL_LAYERS, batch * SMALL['seq-len'] / SMALL.chunk));
  const { standard, checkpoint, stream } = await trainer.peaks();
  assert(stream > 0 && stream < checkpoint && checkpoint < standard, `${stream} < ${checkpoint} < ${standard} bytes is expected`);
  assert(await trainer.waitForSample());
}

async function pausesAndGoesOn(trainer) {
  await start(trainer);
  await trainer.waitForLosses(1);
  const paused = await pause(trainer);
  await staysAt(trainer, paused);

  await trainer.press('step');
  await trainer.waitForLosses(paused + 1);
  await trainer.waitForState('paused');
  await staysAt(trainer, paused + 1);

  await trainer.press('start');
  await trainer.waitForLosses(paused + 2);

  await trainer.press('reset');
  await trainer.waitForState('ready');
  assert.equal((await trainer.waitForLosses(0)).length, 0, 'losses are still there');
}

/** Checks that no further step runs for a while. */
async function staysAt(trainer, steps) {
  await setTimeout(1500);
  assert.equal((await trainer.waitForLosses(steps)).length, steps, 'a paused run went on');
}

async function trainsOnEverySource(trainer) {
  const pasted = (await readFile(longText, 'utf8')).slice(0, 4000);
  const ownSource = () => trainer.choose({ source: 'own-source' });
  const recall = () => trainer.choose({ source: 'recall' });
  for (const take of [() => trainer.paste(pasted), ownSource, recall]) {
    await take();
    await trainer.press('start');
    await trainer.waitForLosses(1);
    await trainer.press('reset');
    await trainer.waitForState('ready');
  }
  for (const strategy of ['checkpoint', 'standard']) {
    await trainer.choose({ strategy });
    await trainer.press('start');
    await trainer.waitForLosses(1);
    assert.deepEqual((await trainer.memoryBars()).sort(), grid(SMALL_LAYERS, 1), `bars of ${strategy}`);
    await pause(trainer);
    await trainer.press('reset');
    await trainer.waitForState('ready');
  }
  await trainer.choose({ strategy: 'stream' });
  const losses = { f32: [], bf16: [] };
  for (const dtype of ['f32', 'bf16']) {
    await trainer.choose({ activationDtype: dtype });
    for (const group of [1, SMALL_LAYERS]) {
      await trainer.type('layer-group', group);
      await trainer.press('start');
      losses[dtype].push((await trainer.waitForLosses(2)).slice(0, 2));
      await pause(trainer);
      await trainer.press('reset');
      await trainer.waitForState('ready');
    }
    assert.deepEqual(losses[dtype][1], losses[dtype][0], `groups of layers learn the same with activations in ${dtype}`);
  }
  assert.notDeepEqual(losses.bf16, losses.f32, 'bf16 rounds');
}

async function refusesAShortText(trainer) {
  await trainer.paste('Too short.');
  await trainer.press('start');
  assert.match(await trainer.waitForError(), /longer text/);
  await trainer.dropIn(shortText);
  await trainer.press('start');
  assert.match(await trainer.waitForError(), /longer text/);
  await trainer.dropIn(longText);
  await trainer.press('start');
  await trainer.waitForState('training');
  await trainer.waitForLosses(1);
  assert.equal(await trainer.page.$('#error'), null, 'the error is still shown');
}

async function saysWhatWouldHelp(trainer, name) {
  const sentence = await trainer.waitForError();
  // Chromium's workers keep WebGPU when it is switched off like this, but find no adapter.
  const help = name === 'Chromium' ? [/WebGPU/, /hardware acceleration/] : [/WebGPU/, /Chrome/, /Firefox/];
  for (const wanted of help) assert.match(sentence, wanted);
  assert.equal(await ground(trainer), DARK_GROUND, 'it is not dark where the system is');
}

async function fitsEveryWidth(trainer, name) {
  await start(trainer);
  await trainer.waitForLosses(3);
  await trainer.waitForSample();
  await pause(trainer);
  for (const theme of ['light', 'dark']) {
    await trainer.page.select('#theme', theme);
    for (const width of [390, 1280, 1920]) {
      await trainer.page.setViewport({ width, height: width < 500 ? 844 : 1080 });
      await trainer.page.screenshot({ path: path.join(SCREENSHOTS, `${name}-${theme}-${width}.png`), fullPage: true });
      assert.equal(await trainer.overflow(), 0, `at ${width} pixels the page scrolls sideways`);
    }
  }
  assert.equal(await ground(trainer), DARK_GROUND);
}

/** The background colour. */
function ground({ page }) {
  return page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
}

async function start(trainer) {
  await trainer.dropIn(longText);
  await trainer.press('start');
}

function grid(layers, chunks) {
  const all = Array.from({ length: layers * chunks }, (_, index) => `${Math.floor(index / chunks)}:${index % chunks}`);
  return all.sort();
}
