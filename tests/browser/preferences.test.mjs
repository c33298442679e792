// Preferences: from the choice of the objective to answers that turn right, the pair that shows it, the proof, and a run that is resumed.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { BROWSERS } from './browsers.mjs';
import { trueWithin } from './pointing.mjs';
import { metrics, open, resume, unpack, unzipped } from './program.mjs';
import { serve } from './server.mjs';
import { audit, tooltip } from './trainer.mjs';
import { catchDownloads, caught, file, pause, SMALL, visit } from './visit.mjs';

const LONG_MS = 240_000;
const PAIRS = { ...SMALL, 'seq-len': 104, batch: 8, steps: 60, 'learning-rate': 0.01, 'validate-every': 5 };
const DPO = { ...PAIRS, objective: 'dpo', source: 'preferences' };

let server;
let directory;

before(async () => {
  assert(process.env.PAGE && process.env.PROGRAM, 'PAGE or PROGRAM is not set: run this test with `cargo xtask test --only browser`');
  server = await serve(process.env.PAGE);
  directory = await mkdtemp(path.join(tmpdir(), 'streambp-'));
});
after(async () => {
  server?.close();
  if (directory) await rm(directory, { recursive: true });
});

for (const { name, launch } of BROWSERS) {
  describe(`${name}: preferences`, () => {
    let browser;
    before(async () => { browser = await launch({ webgpu: true, scheme: 'light' }); });
    after(() => browser?.close());

    test('are learned from a button on, and seen pair by pair', () => visit(browser, server.url, learns, { settings: PAIRS }));
    test('are packed in the step, and proved', () => visit(browser, server.url, showsTheStep, { settings: DPO }));
    test('go on to the same bits after a reload', () => visit(browser, server.url, goesOn, { settings: DPO }));
    test('go on in the terminal, and come back', () => visit(browser, server.url, goesThereAndBack, { settings: DPO }));
    test('come from rows of two answers', () => visit(browser, server.url, readsRows, { settings: PAIRS }));
  });
}

const margins = (trainer) => trainer.page.evaluate(() => JSON.parse(document.querySelector('#pairs')?.dataset.margins ?? '[]'));
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

async function learns(trainer) {
  const { page } = trainer;
  await catchDownloads(page);
  await trainer.showSettings();
  await page.select('#objective', 'dpo');
  const offered = await page.$$eval('#source option', (options) => options.map(({ value }) => value));
  assert.deepEqual(offered, ['preferences', 'preferences-ko', 'text']);
  assert.equal(await page.$eval('#source', ({ value }) => value), 'preferences');
  assert.match(await trainer.textOf('label[for=batch]'), /Pairs/);
  await trainer.type('beta', 0.5);
  const isAsking = () => page.evaluate(() => /Reference log-probabilities: \d+ of 64/.test(document.querySelector('#status').textContent));
  await trainer.press('start');
  assert(await trueWithin(LONG_MS, isAsking));
  // Whoever does not want to wait for the reference resets.
  await trainer.press('reset');
  await trainer.waitForState('ready');
  assert.equal((await trainer.waitForLosses(0)).length, 0);
  await trainer.press('start');
  assert(await trueWithin(LONG_MS, isAsking));
  await trainer.waitForLosses(PAIRS.steps);
  await trainer.waitForState('paused');
  const all = await margins(trainer);
  assert(Math.abs(all[0]) < 0.01, `the model begins as its reference: ${all[0]}`);
  assert(mean(all.slice(-10)) > mean(all.slice(0, 10)) + 0.2, `margins rise: ${all}`);

  const curves = await page.$$eval('#pairs .legend li', (lines) => lines.map(({ textContent }) => textContent.split(' ')[0]));
  assert.deepEqual(curves, ['rewards/chosen', 'rewards/rejected', 'rewards/margins']);
  assert.match(await trainer.textOf('.numbers'), /rewards\/margins.*eval_rewards\/accuracies\d+ %/);
  assert.match(await trainer.textOf('.pair-prompt'), /\?$/);
  const answers = await page.$$eval('.pair-answer', (answers) => answers.map((answer) => answer.querySelector('.scored').textContent));
  assert(answers.length === 2 && answers[0] !== answers[1] && answers.every((answer) => /\.\n$/.test(answer)), `${answers}`);
  await page.keyboard.press('Tab');
  await page.focus('.pair-answer[data-answer=chosen] pre');
  // The page may be scrolled there, which hides a tooltip.
  assert(await trueWithin(LONG_MS, async () => {
    await page.keyboard.press('ArrowRight');
    return /log-ratio [+−]\d/.test(await tooltip(page));
  }));
  assert.equal(await page.$eval('#margins', ({ dataset }) => dataset.count), '32');
  assert(await page.$$eval('#margins rect', ({ length }) => length) >= 4);
  assert.deepEqual(await audit(trainer), []);

  await page.select('#quantity', 'rewards/accuracies');
  assert.match(await page.$eval('#history .curve', (curve) => curve.getAttribute('aria-label')), /rewards\/accuracies/);
  await trainer.press('export-csv');
  const [head, ...lines] = (await caught(page)).bytes.toString().trim().split('\n').map((line) => line.split(','));
  assert.deepEqual(lines.map((line) => Number(line[head.indexOf('rewards/margins')])), all);
  await trainer.press('copy-command');
  await page.waitForFunction(() => /command is copied|^streambp train/.test(document.querySelector('#notice')?.textContent));
  await trainer.forgetAll();
}

async function showsTheStep(trainer) {
  const { page } = trainer;
  await trainer.show('step');
  const sequences = () => page.$$eval('.sequences .cells span', (spans) => spans.map((span) => [span.className, Number(span.style.flexGrow)]));
  const planned = await sequences();
  assert.equal(planned.length, 2 * DPO.batch);
  assert.deepEqual(planned.slice(0, 3), [['chosen', 104], ['rejected', 104], ['chosen', 104]]);
  await trainer.press('by-chunk');
  assert(await trueWithin(LONG_MS, async () => (await sequences()).some(([, length]) => length < 95)), 'sequences are packed as they come');
  const packed = await sequences();
  assert.deepEqual(packed.slice(0, 2).map(([name]) => name), ['chosen', 'rejected']);
  assert(packed.length > planned.length && packed.at(-1)[0] === 'filler');
  assert.deepEqual(await audit(trainer), []);

  await trainer.waitForState('paused');
  await trainer.press('prove');
  await page.waitForSelector('#proof-verdict', { timeout: LONG_MS });
  assert.equal(await page.$eval('#proof-verdict', ({ dataset }) => dataset.sameBits), 'true');
  const errors = await page.$$eval('#proof-parameters tbody td:last-child', (cells) => cells.map(({ textContent }) => textContent));
  assert(errors.every((error) => /10⁻[⁴-⁹]|10⁻¹|^0$/.test(error)), `${errors}`);
  await trainer.press('measure');
  await page.waitForFunction(() => Array.from(document.querySelectorAll('#peaks [data-time]')).filter(({ textContent }) => /\d (ms|s)/.test(textContent)).length === 3, { timeout: LONG_MS });
  await trainer.show('train');
  await trainer.forgetAll();
}

async function goesOn(trainer) {
  const { page } = trainer;
  const whole = await trainer.steps(6);
  await trainer.forgetAll();
  assert.deepEqual(await trainer.steps(3), whole.slice(0, 3));
  const before = await margins(trainer);
  await page.reload();
  await trainer.waitForState('ready');
  assert.match((await trainer.waitForSavedRuns(1))[0].text, /Preferences.*\(DPO\)/);
  assert.deepEqual(await trainer.resume(), whole.slice(0, 3));
  assert.deepEqual(await margins(trainer), before);
  assert.equal(await page.$eval('#objective', ({ value }) => value), 'dpo');
  assert.deepEqual(await trainer.steps(6), whole);
  await trainer.forgetAll();
}

async function goesThereAndBack(trainer) {
  const { page } = trainer;
  const folder = path.join(directory, 'run');
  await catchDownloads(page);
  const before = await trainer.steps(3);
  const rewards = await margins(trainer);
  await trainer.press('export-run');
  const { bytes } = await caught(page);
  await unpack(bytes, folder);
  assert.deepEqual((await metrics(folder)).map((line) => line['rewards/margins']), rewards);
  const said = await resume(folder, 6);
  assert(!/ was .* is now /.test(said), `the program takes other settings: ${said}`);
  const there = (await metrics(folder)).map(({ loss }) => loss);
  assert(there.length >= 6, said);
  assert.deepEqual(there.slice(0, 3), before);
  await trainer.forgetAll();
  await open(page, ...[...unzipped(bytes).keys()].map((name) => path.join(folder, name)));
  await trainer.waitForState('paused');
  assert.deepEqual(await trainer.waitForLosses(there.length), there);
  await trainer.steps(there.length + 1);
  await rm(folder, { recursive: true });
  await trainer.forgetAll();
}

async function readsRows(trainer) {
  const { page } = trainer;
  const rows = Array.from({ length: 20 }, (_, i) => JSON.stringify({ prompt: `Is ${i} more than ${i + 1}? `, chosen: 'No.', rejected: 'Yes.' }));
  await trainer.dropIn(await file(directory, 'pairs.jsonl', rows.join('\n')));
  await trainer.press('start');
  assert.match(await trainer.waitForError(), /only the objective dpo/);
  await page.select('#objective', 'dpo');
  await trainer.press('start');
  await trainer.waitForLosses(2);
  await pause(trainer);
  // Its answers are short, and so is the step.
  await trainer.show('step');
  assert(await trueWithin(LONG_MS, () => page.$eval('.sequences .cells span', (span) => Number(span.style.flexGrow) < 40)));
  await trainer.show('train');
  await trainer.forgetAll();
  await trainer.dropIn(await file(directory, 'plain.txt', 'Only a text. '.repeat(100)));
  await trainer.press('start');
  assert.match(await trainer.waitForError(), /plain\.txt has no rows/);
  await trainer.choose({ source: 'preferences-ko' });
  await page.select('#loss-type', 'ipo');
  await trainer.press('start');
  await trainer.waitForLosses(2);
  await pause(trainer);
  await trainer.forgetAll();
}
