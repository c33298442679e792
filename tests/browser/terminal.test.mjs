// A run from the tab to the terminal and back: it goes on with its steps, losses and settings. The program is that of the variable PROGRAM.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { BROWSERS } from './browsers.mjs';
import { metrics, open, resume, unpack, unzipped } from './program.mjs';
import { serve } from './server.mjs';
import { catchDownloads, caught, file, ownSources, visit } from './visit.mjs';

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
  describe(`${name}: a run and the terminal`, () => {
    let browser;
    before(async () => { browser = await launch({ webgpu: true, scheme: 'light' }); });
    after(() => browser?.close());

    test('it goes on there, and comes back', () => visit(browser, server.url, goesThereAndBack));
  });
}

async function goesThereAndBack(trainer) {
  const { page } = trainer;
  const folder = path.join(directory, 'run');
  await catchDownloads(page);
  await trainer.dropIn(await file(directory, 'a text.rs', (await ownSources()).slice(0, 30_000)));
  await trainer.type('learning-rate', 0.002);
  const before = await trainer.steps(5);
  const link = await page.evaluate(() => location.hash);
  await trainer.press('copy-command');
  await page.waitForFunction(() => /command is copied|^streambp train/.test(document.querySelector('#notice')?.textContent));
  assert.match(await page.$eval('#notice', ({ textContent }) => textContent), /needs the text a text\.rs/);
  await trainer.press('export-run');
  const { name, bytes } = await caught(page);
  assert.equal(name, 'streambp-run-step-5.zip');
  await unpack(bytes, folder);
  const files = [...unzipped(bytes).keys()].map((name) => path.join(folder, name));
  assert.deepEqual((await metrics(folder)).map(({ loss }) => loss), before);

  const said = await resume(folder, 10);
  assert(!/ was .* is now /.test(said), `the program takes other settings: ${said}`);
  const there = (await metrics(folder)).map(({ loss }) => loss);
  assert(there.length >= 10 && there[9] < there[0], `${said}: ${there}`);
  assert.deepEqual(there.slice(0, 5), before);

  await trainer.press('reset');
  await trainer.waitForState('ready');
  await trainer.type('learning-rate', 0.003);
  await open(page, ...files);
  await trainer.waitForState('paused');
  assert.deepEqual(await trainer.waitForLosses(there.length), there);
  const after = await trainer.steps(there.length + 5);
  assert(after.at(-1) < before[0], `${after}`);
  // Its sizes are those of no preset.
  assert.equal((await page.evaluate(() => location.hash)).replace('preset=&', ''), link);
  await trainer.press('reset');
  await trainer.waitForState('ready');

  // The zip is still the run as it was exported.
  await open(page, await file(directory, 'run.zip', bytes));
  await trainer.waitForState('paused');
  assert.deepEqual(await trainer.waitForLosses(5), before);
  await trainer.press('reset');
  await trainer.waitForState('ready');

  await open(page, ...files.filter((name) => !name.endsWith('run.json')));
  assert.match(await trainer.waitForError(), /run\.json is not there; choose the whole directory/);
}
