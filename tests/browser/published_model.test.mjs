// A published model in the page: it is opened from its folder, and a LoRA step has the loss of the program. The folder PUBLISHED_MODEL comes
// from tests/fixtures/published_model.py.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { BROWSERS } from './browsers.mjs';
import { serve } from './server.mjs';
import { visit } from './visit.mjs';

/** Both losses are computed in float32, but not by the same driver. */
const LOSS_TOLERANCE = 1e-5;

const folder = process.env.PUBLISHED_MODEL;
let server;

before(async () => {
  assert(process.env.PAGE && folder, 'PAGE or PUBLISHED_MODEL is not set: run this test with `cargo xtask test --only published`');
  server = await serve(process.env.PAGE);
});
after(() => server?.close());

for (const { name, launch } of BROWSERS) {
  describe(`${name}: a published model`, () => {
    let browser;
    before(async () => { browser = await launch({ webgpu: true, scheme: 'light' }); });
    after(() => browser?.close());

    test('is opened from a folder, and a step has the loss of the program', () => visit(browser, server.url, takesAStep));
  });
}

async function takesAStep(trainer) {
  const { page } = trainer;
  const { loss, sequence_length: sequenceLength } = JSON.parse(await readFile(path.join(folder, 'step.json')));
  const start = performance.now();
  await (await page.$('#import-folder')).uploadFile(path.join(folder, 'base'));
  await page.waitForSelector('#opened', { timeout: 60_000 });
  const opened = performance.now();
  await trainer.dropIn(path.join(folder, 'documents.jsonl'));
  await trainer.choose({ sequenceLength, chunk: 64, sampleEvery: 0 });
  await trainer.type('lora-rank', 4);
  await trainer.press('step');
  const [found] = await trainer.waitForLosses(1);
  await trainer.waitForState('paused');
  const seconds = (from, to) => ((to - from) / 1000).toFixed(1);
  console.log(`loss ${found}, opened in ${seconds(start, opened)} s, a step in ${seconds(opened, performance.now())} s`);
  assert(Math.abs(found / loss - 1) <= LOSS_TOLERANCE, `the loss is ${found}, by the program ${loss}`);
}
