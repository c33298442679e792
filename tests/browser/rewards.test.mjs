// Rewards: from the button to completions that earn more, the group that shows it, refusals, and runs that are resumed here and in the terminal.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { BROWSERS, IS_EXHAUSTIVE } from './browsers.mjs';
import { trueWithin } from './pointing.mjs';
import { metrics, open, resume, unpack, unzipped } from './program.mjs';
import { serve } from './server.mjs';
import { audit, tooltip } from './trainer.mjs';
import { catchDownloads, caught, pause, SMALL, visit } from './visit.mjs';

const LONG_MS = 240_000;
// Any completion of letters alone is worth something, so that a small model soon earns more.
const GRPO = {
  ...SMALL, objective: 'grpo', source: 'sort', distance: 4, 'seq-len': 30, 'max-completion-length': 9, 'num-generations': 4, batch: 8,
  rewards: 'regex:^[a-h]+$ length:4*0.5', 'sft-steps': 2, steps: 24, warmup: 1, 'learning-rate': 0.01, 'validate-every': 4,
};

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
  describe(`${name}: rewards`, () => {
    let browser;
    before(async () => { browser = await launch({ webgpu: true, scheme: 'light' }); });
    after(() => browser?.close());

    test('rise, and are seen completion by completion', () => visit(browser, server.url, learns, { settings: GRPO }));
    test('are refused where they make no sense', () => visit(browser, server.url, refuses, { settings: GRPO }));
    // These take minutes where a CPU draws and computes.
    if (!IS_EXHAUSTIVE) return;
    test('are learned from a button on', () => visit(browser, server.url, begins, { settings: {} }));
    test('stand on the timeline, and are proved', () => visit(browser, server.url, showsTheStep, { settings: { ...GRPO, beta: 0.1 } }));
    test('go on to the same bits after a reload', () => visit(browser, server.url, goesOn, { settings: { ...GRPO, beta: 0.1, 'num-iterations': 2 } }));
    test('go on in the terminal, and come back', () => visit(browser, server.url, goesThereAndBack, { settings: GRPO }));
  });
}

const rewards = (trainer) => trainer.page.evaluate(() => JSON.parse(document.querySelector('#completions')?.dataset.rewards ?? '[]'));
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;

async function begins(trainer) {
  const { page } = trainer;
  await page.select('#language', 'ko');
  await page.waitForFunction(() => /보상/.test(document.querySelector('#learn-from-rewards')?.textContent));
  await trainer.press('learn-from-rewards');
  await trainer.waitForLosses(1);
  await pause(trainer);
  await trainer.showSettings();
  const chosen = await page.evaluate(() => ['objective', 'source', 'batch', 'sft-steps'].map((id) => document.getElementById(id).value));
  assert.deepEqual(chosen, ['grpo', 'recall', '64', '30']);
  // The first steps learn from answers: the value of a key.
  assert.equal(await page.$eval('#group', ({ dataset }) => dataset.sampled), 'false');
  assert.match(await trainer.textOf('#group-title'), /정답/);
  const answer = await trainer.textOf('#group .scored');
  assert.match(answer, /^[1-4]⏎$/);
  assert.deepEqual(await audit(trainer), []);
  await page.select('#language', 'en');
  await trainer.forgetAll();
}

async function learns(trainer) {
  const { page } = trainer;
  await catchDownloads(page);
  await page.evaluate(() => {
    globalThis.seen = [];
    new MutationObserver(() => {
      const text = document.querySelector('#sampling')?.textContent;
      if (text && globalThis.seen.at(-1) !== text) globalThis.seen.push(text);
    }).observe(document.body, { childList: true, subtree: true, characterData: true });
  });
  await trainer.press('start');
  await trainer.waitForLosses(GRPO.steps);
  await trainer.waitForState('paused');
  const all = await rewards(trainer);
  assert.equal(all.length, GRPO.steps - GRPO['sft-steps']);
  assert(mean(all.slice(-5)) > mean(all.slice(0, 5)) + 0.1, `rewards rise: ${all}`);
  const seen = await page.evaluate(() => globalThis.seen);
  assert(seen.some((text) => /prompt 1 of 2/.test(text)) && seen.some((text) => /prompt 2 of 2/.test(text)), `${seen}`);

  const group = await page.$$eval('#group li', (items) => items.map(({ dataset, textContent }) => ({ ...dataset, text: textContent })));
  assert.equal(group.length, 4);
  assert(Math.abs(mean(group.map(({ advantage }) => Number(advantage)))) < 1e-3, 'advantages are around the mean');
  assert(group.every(({ text }) => /reward \d\.\d\d · advantage [+−]\d/.test(text)), group.map(({ text }) => text).join('\n'));
  await page.keyboard.press('Tab');
  await page.focus('#group');
  assert(await trueWithin(LONG_MS, async () => {
    await page.keyboard.press('ArrowRight');
    return /gradient weight [+−]\d/.test(await tooltip(page));
  }));
  assert.deepEqual(await audit(trainer), []);

  assert.match(await trainer.textOf('.numbers'), /reward\d\.\d+.*eval_reward\d\.\d+.*entropy\d/);
  const offered = await page.$$eval('#quantity option', (options) => options.map(({ value }) => value));
  assert.deepEqual(offered.slice(0, 7), ['loss', 'reward', 'reward_std', 'entropy', 'kl', 'completions/mean_length', 'completions/clipped_ratio']);
  await trainer.press('export-csv');
  const [head, ...lines] = (await caught(page)).bytes.toString().trim().split('\n').map((line) => line.split(','));
  assert.deepEqual(lines.map((line) => line[head.indexOf('reward')]).filter(Boolean).map(Number), all);
  assert(['eval_reward', 'rewards/regex/mean', 'rewards/length/std', 'completions/mean_length'].every((name) => head.includes(name)), `${head}`);
  await page.evaluate(() => { navigator.clipboard.writeText = () => Promise.reject(new Error('not here')); });
  await trainer.press('copy-command');
  await page.waitForFunction(() => /command is copied|^streambp train/.test(document.querySelector('#notice')?.textContent));
  await trainer.forgetAll();
}

async function showsTheStep(trainer) {
  const { page } = trainer;
  await trainer.show('step');
  const passes = await page.$$eval('.passes span', (spans) => spans.map(({ dataset }) => dataset.tip.split(':')[0]));
  assert.equal(passes.at(-1), 'roll-out');
  await page.$eval('#moment', (slider) => {
    slider.value = slider.max;
    slider.dispatchEvent(new Event('input', { bubbles: true }));
  });
  assert(await trueWithin(LONG_MS, async () => /keys and values of completions/.test(await trainer.textOf('#inspector'))));
  assert.match(await trainer.textOf('#inspector'), /keys and values of the prompt/);
  // Slow motion ends with the update.
  await trainer.press('by-pass');
  await trainer.waitForState('paused');
  assert(await trueWithin(LONG_MS, () => page.$$eval('.sequences .cells .completion', ({ length }) => length === 8)));
  await trainer.show('train');
  await trainer.steps(3);
  await trainer.press('prove');
  await page.waitForSelector('#proof-verdict', { timeout: LONG_MS });
  assert.equal(await page.$eval('#proof-verdict', ({ dataset }) => dataset.sameBits), 'true');
  await trainer.press('measure');
  await page.waitForFunction(() => Array.from(document.querySelectorAll('#peaks [data-time]')).filter(({ textContent }) => /\d (ms|s)/.test(textContent)).length === 3, { timeout: LONG_MS });
  await trainer.show('train');
  await trainer.forgetAll();
}

async function goesOn(trainer) {
  const { page } = trainer;
  const whole = await trainer.steps(6);
  await trainer.forgetAll();
  // Within an iteration: the next step learns from the same completions.
  assert.deepEqual(await trainer.steps(3), whole.slice(0, 3));
  const before = await rewards(trainer);
  await page.reload();
  await trainer.waitForState('ready');
  assert.match((await trainer.waitForSavedRuns(1))[0].text, /sort.*\(GRPO\)/);
  assert.deepEqual(await trainer.resume(), whole.slice(0, 3));
  assert.deepEqual(await rewards(trainer), before);
  assert.equal(await page.$eval('#objective', ({ value }) => value), 'grpo');
  assert.equal(await page.$eval('#rewards', ({ value }) => value), GRPO.rewards);
  assert.deepEqual(await trainer.steps(6), whole);
  await trainer.forgetAll();
}

async function goesThereAndBack(trainer) {
  const { page } = trainer;
  const folder = path.join(directory, 'run');
  await catchDownloads(page);
  const before = await trainer.steps(4);
  const earned = await rewards(trainer);
  await trainer.press('export-run');
  const { bytes } = await caught(page);
  await unpack(bytes, folder);
  assert.deepEqual((await metrics(folder)).flatMap(({ reward }) => reward ?? []), earned);
  const said = await resume(folder, 7);
  assert(!/ was .* is now /.test(said), `the program takes other settings: ${said}`);
  const there = (await metrics(folder)).map(({ loss }) => loss);
  assert(there.length >= 7, said);
  assert.deepEqual(there.slice(0, 4), before);
  await trainer.forgetAll();
  await open(page, ...[...unzipped(bytes).keys()].map((name) => path.join(folder, name)));
  await trainer.waitForState('paused');
  assert.deepEqual(await trainer.waitForLosses(there.length), there);
  await trainer.steps(there.length + 1);
  await rm(folder, { recursive: true });
  await trainer.forgetAll();
}

async function refuses(trainer) {
  const { page } = trainer;
  await trainer.showSettings();
  const offered = await page.$$eval('#source option', (options) => options.map(({ value }) => value));
  assert.deepEqual(offered, ['stories', 'stories-ko', 'recall', 'copy', 'sort', 'sum']);
  await trainer.type('seq-len', 9);
  assert.match(await trainer.waitForError(), /no room for a prompt/);
  await trainer.type('seq-len', 30);
  await trainer.type('batch', 6);
  assert.match(await trainer.waitForError(), /no whole groups of 4/);
  await trainer.type('batch', 8);
  await trainer.type('rewards', 'nice');
  await page.waitForFunction(() => /is unknown/.test(document.querySelector('#rewards-problem').textContent));
  await trainer.type('rewards', 'regex:a(b');
  await trainer.press('start');
  assert.match(await trainer.waitForError(), /pattern a\(b/);
}
