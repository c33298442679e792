// The size of the download before the first training step.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { brotliCompressSync, gzipSync } from 'node:zlib';

import { BROWSERS } from './browsers.mjs';
import { serve } from './server.mjs';
import { openTrainer } from './trainer.mjs';

// An alarm, not a target: far more than the program needs.
const ALARM_BYTES = 1_000_000;

let server;
before(async () => { server = await serve(process.env.PAGE); });
after(() => server?.close());

for (const { name, launch } of BROWSERS) {
  test(`${name} loads less than 1 MB up to the first training step`, async () => {
    const browser = await launch({ webgpu: true, scheme: 'light' });
    try {
      await loadsLittle(browser);
    } finally {
      await browser.close();
    }
  });
}

async function loadsLittle(browser) {
  server.served.clear();
  const trainer = await openTrainer(browser, `${server.url}#/train`);
  await trainer.waitForState('ready');
  await trainer.choose({ preset: 'tiny', sequenceLength: 256, source: 'own-source' });
  await trainer.press('start');
  await trainer.waitForLosses(1);
  const sizes = await Promise.all([...server.served].map(async (file) => {
    const content = await readFile(file);
    // As hosts send it: brotli to browsers that accept it, which are all browsers with WebGPU.
    return [path.basename(file), brotliCompressSync(content).length, gzipSync(content, { level: 9 }).length];
  }));
  assert(sizes.some(([name]) => name === 'page_bg.wasm'), `the program was not asked for: ${sizes}`);
  const sum = sizes.reduce((sum, [, brotli]) => sum + brotli, 0);
  const gzipped = sizes.reduce((sum, [, , gzip]) => sum + gzip, 0);
  console.log(`${sum} bytes by brotli, ${gzipped} by gzip: ${sizes.map(([name, bytes]) => `${name} ${bytes}`).join(', ')}`);
  assert(sum < ALARM_BYTES, `${sum} bytes are loaded: ${sizes.join('; ')}`);
}
