// The instruments with which tests inspect the page.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { BROWSERS } from './browsers.mjs';
import { serveInstrumented } from './server.mjs';
import { audit } from './trainer.mjs';
import { visit } from './visit.mjs';

let server;
before(async () => { server = await serveInstrumented(process.env.PAGE); });
after(() => server?.close());

for (const { name, launch } of BROWSERS) {
  describe(`${name} with instruments`, () => {
    let browser;
    before(async () => { browser = await launch({ webgpu: true, scheme: 'light' }); });
    after(() => browser?.close());

    test('counts the memory on the device, and loses it', () => visit(browser, server.url, countsAndLoses));
    test('finds hindrances, and none in a fresh page', () => visit(browser, server.url, findsHindrances));
  });
}

async function countsAndLoses(trainer) {
  await trainer.press('start');
  await trainer.waitForLosses(1);
  const created = await trainer.inView('step', () => trainer.page.$eval('#created', ({ dataset }) => Number(dataset.bytes)));
  const { memory } = await trainer.webgpuMemory();
  assert(created > 0 && memory.buffer >= created, `${memory.buffer} bytes are counted, ${created} were created`);
  await trainer.destroyDevice();
  await trainer.page.waitForFunction(() => /lost/.test(document.querySelector('#notice')?.textContent));
}

async function findsHindrances(trainer) {
  assert.deepEqual(await audit(trainer), []);
  await trainer.page.evaluate(() => document.querySelector('#start').replaceChildren());
  assert.match((await audit(trainer)).join(), /#start/);
}
