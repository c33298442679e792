// The page without a network, from a site's directory.

import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { test } from 'node:test';

import { BROWSERS } from './browsers.mjs';
import { serve } from './server.mjs';
import { openTrainer } from './trainer.mjs';

test('every file of the page is kept', async () => {
  const script = await readFile(path.join(process.env.PAGE, 'service-worker.js'), 'utf8');
  const kept = script.match(/FILES = \[([^\]]*)\]/)[1].match(/[^', \n]+/g).map((name) => (name === './' ? 'index.html' : name));
  // These are cached on first use.
  const later = ['model_worker.js', 'model_worker_bg.wasm', 'start-model-worker.js', 'texts', 'lesson'];
  const built = (await readdir(process.env.PAGE)).filter((name) => !['service-worker.js', ...later].includes(name));
  assert.deepEqual(kept.sort(), built.sort());
});

for (const { name, launch } of BROWSERS) {
  test(`${name} opens the page without a network`, async () => {
    const browser = await launch({ webgpu: true, scheme: 'light' });
    try {
      await worksOffline(browser);
    } finally {
      await browser.close();
    }
  });
}

async function worksOffline(browser) {
  const server = await serve(process.env.PAGE, { under: '/streambp/' });
  const trainer = await openTrainer(browser, `${server.url}#/train`);
  await trainer.waitForState('ready');
  await trainer.page.evaluate(() => navigator.serviceWorker.ready.then(() => null));
  server.close();
  await trainer.page.reload({ waitUntil: 'load' });
  await trainer.waitForState('ready');
  // Failed requests are expected; some browsers log them.
  assert.deepEqual(trainer.problems.filter((problem) => !problem.startsWith('request failed')), []);
  await trainer.close();
}
