// No work is lost for reasons outside training: lost devices, other tabs, reloads, a storage that is full, damaged or switched off.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';

import { BROWSERS } from './browsers.mjs';
import { serveInstrumented } from './server.mjs';
import { audit, openTrainer } from './trainer.mjs';
import { catchDownloads, caught, file, ownSources, pause, SMALL, visit } from './visit.mjs';

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
  describe(`${name}: no work is lost`, () => {
    let browser;
    before(async () => { browser = await launch({ webgpu: true, scheme: 'light' }); });
    after(() => browser?.close());

    const clean = (body, options) => visit(browser, server.url, async (trainer) => {
      await body(trainer);
      await forgetAll(trainer);
    }, options);

    test('while there is no adapter', () => clean(waitsForAnAdapter));
    test('by a reload, or by another run', () => clean(goesOnAfterAReload, { fault: 'slow-storage' }));
    test('by another tab', () => clean(leavesOtherTabsAlone));
    test('where the storage is switched off', () => visit(browser, server.url, trainsWithoutStorage, { fault: 'no-storage' }));
    test('when the storage is full, or the loss is not finite', () => clean(keepsTheLastGoodSave));
    test('when a save is damaged', () => clean(fallsBack));
    test('with its text, which is stored once', () => clean(storesATextOnce));
  });
}

/** Trains one step at a time until so many are done, and gives all losses. */
async function step(trainer, count) {
  for (let done = (await trainer.waitForLosses(0)).length + 1; done <= count; done++) {
    await trainer.press('step');
    await trainer.waitForLosses(done);
    await trainer.waitForState('paused');
  }
  return trainer.waitForLosses(count);
}

async function reload(trainer) {
  await trainer.page.reload();
  await trainer.waitForState('ready');
}

async function reset(trainer) {
  await trainer.press('reset');
  await trainer.waitForState('ready');
}

/** Leaves nothing to the next test. */
async function forgetAll(trainer) {
  if (await trainer.page.$eval('#reset', ({ disabled }) => !disabled)) await reset(trainer);
  for (const { id } of await trainer.savedRuns()) await trainer.forget(id);
}

const keepSection = (trainer) => trainer.page.$eval('#keep-title', (title) => title.parentElement.textContent);

/** Counts wake locks instead of taking any. */
function catchWakeLocks(page) {
  return page.evaluate(() => {
    globalThis.wakeLocks = { held: 0, taken: 0 };
    const request = async () => {
      globalThis.wakeLocks.held += 1;
      globalThis.wakeLocks.taken += 1;
      return { release: async () => { globalThis.wakeLocks.held -= 1; } };
    };
    Object.defineProperty(navigator, 'wakeLock', { value: { request } });
  });
}

/** A browser takes a wake lock away when the page is hidden. */
async function takesAWakeLockAgain(page) {
  await page.waitForFunction(() => globalThis.wakeLocks.taken === 2);
  await page.evaluate(() => document.dispatchEvent(new Event('visibilitychange', { bubbles: true })));
  await page.waitForFunction(() => globalThis.wakeLocks.taken === 3 && globalThis.wakeLocks.held === 1);
}

async function waitsForAnAdapter(trainer) {
  const { page } = trainer;
  await catchDownloads(page);
  await catchWakeLocks(page);
  await trainer.press('start');
  const before = await trainer.waitForLosses(3);
  await page.waitForFunction(() => globalThis.wakeLocks.held === 1);
  await trainer.withholdAdapters(1000);
  await trainer.destroyDevice();
  await trainer.waitForState('waiting');
  await page.waitForFunction(() => globalThis.wakeLocks.held === 0);
  assert.match(await trainer.textOf('#waiting'), /lost.*no GPU.*kept as of step \d+, and attempt 2 .* in 1 s/);
  assert.deepEqual(await audit(trainer), []);
  await page.waitForFunction(() => /attempt 3 .* in 2 s/.test(document.querySelector('#waiting')?.textContent));

  await trainer.press('export-waiting');
  const { name } = await caught(page);
  const kept = Number(name.match(/^streambp-step-(\d+)\.zip$/)[1]);
  assert(kept >= 1, name);
  assert.match(await keepSection(trainer), new RegExp(`saved up to step ${kept}\\.`));

  await trainer.withholdAdapters(1);
  await trainer.press('open-now');
  await trainer.waitForState('training');
  assert.match(await trainer.textOf('#notice'), /lost.*goes on from step \d/);
  await takesAWakeLockAgain(page);
  await trainer.waitForLosses(before.length + 2);
  const steps = await pause(trainer);
  await page.waitForFunction(() => globalThis.wakeLocks.held === 0);
  const losses = await trainer.waitForLosses(steps);
  assert.equal(await page.$('#error'), null);

  await reset(trainer);
  await trainer.press('start');
  const undisturbed = await trainer.waitForLosses(steps);
  assert.deepEqual(losses, undisturbed.slice(0, steps), 'it did not go on to the same bits');
  await pause(trainer);
}

async function goesOnAfterAReload(trainer) {
  const { page } = trainer;
  const losses = await step(trainer, 2);
  await page.reload();
  assert.equal(await runsListedAtStart(page), 1);
  const [saved] = await trainer.savedRuns();
  assert.match(saved.text, /Stories.*step 2 of 1.000 · .*\d.* · .*[KM]iB/);
  assert.deepEqual(await audit(trainer), []);

  // Another run takes nothing from it.
  await trainer.type('seed', 1);
  const others = await step(trainer, 1);
  assert.notEqual(others[0], losses[0]);
  await reset(trainer);
  await trainer.waitForSavedRuns(2);

  await showsThatItResumes(page, saved.id);
  await trainer.waitForState('paused');
  assert.deepEqual(await trainer.waitForLosses(2), losses);
  const [other] = await trainer.waitForSavedRuns(1);
  assert(other.id !== saved.id && !other.canResume && other.canForget);
  const resumed = await step(trainer, 4);
  await reset(trainer);
  assert.match((await trainer.waitForSavedRuns(2))[0].text, /step 4/);
  assert.deepEqual(await step(trainer, 4), resumed, 'a run that was not interrupted has other losses');
  await reset(trainer);
  await trainer.waitForSavedRuns(3);
}

/** How many saved runs are listed at the moment at which a run can be started. */
async function runsListedAtStart(page) {
  await page.waitForSelector('#start');
  return page.evaluate(() => new Promise((resolve) => {
    const start = document.querySelector('#start');
    const look = () => (start.disabled ? requestAnimationFrame(look) : resolve(document.querySelectorAll('#saved-runs li').length));
    look();
  }));
}

/** Goes on with a saved run, and sees that the page says so at once, and offers nothing else. */
async function showsThatItResumes(page, id) {
  const shown = await page.evaluate((id) => new Promise((resolve) => {
    document.querySelector(`[data-run="${id}"] .resume`).click();
    requestAnimationFrame(() => resolve({
      state: document.querySelector('#status').dataset.state,
      text: document.querySelector('#status').textContent,
      isDisabled: ['start', 'step'].every((id) => document.getElementById(id).disabled),
    }));
  }), id);
  assert(shown.state === 'resuming' && shown.isDisabled && /Resuming/.test(shown.text), JSON.stringify(shown));
}

async function leavesOtherTabsAlone(trainer) {
  const losses = await step(trainer, 2);
  const other = await openTrainer(trainer.page.browser(), `${server.url}#/train?${new URLSearchParams({ ...SMALL, seed: 1 })}`);
  try {
    await other.waitForState('ready');
    const [{ id, ...shown }] = await other.waitForSavedRuns(1);
    assert.match(shown.text, /open in another tab/);
    assert(shown.isElsewhere && !shown.canResume && !shown.canForget);
    await step(other, 1);

    await trainer.page.bringToFront();
    await reload(trainer);
    await trainer.waitForSavedRuns(2);
    await trainer.page.waitForSelector(`[data-run="${id}"][data-elsewhere=false]`);
    const elsewhere = (await trainer.savedRuns()).filter(({ isElsewhere }) => isElsewhere);
    assert.equal(elsewhere.length, 1);
    assert.deepEqual(await trainer.resume(id), losses);
    assert.deepEqual(other.problems, []);
    await reset(trainer);
  } finally {
    await other.close();
  }
  // It is free as soon as its tab is closed.
  await trainer.page.waitForSelector('#saved-runs li:nth-child(2)');
  await trainer.page.waitForFunction(() => !document.querySelector('[data-elsewhere=true]'));
}

async function trainsWithoutStorage(trainer) {
  assert.match(await trainer.textOf('#storage'), /does not let the page save runs \(storage is switched off\).*export/);
  assert.doesNotMatch(await keepSection(trainer), /saved/i);
  await step(trainer, 2);
  assert.doesNotMatch(await keepSection(trainer), /saved/i);
  assert.equal(await trainer.page.$('#error'), null);
  await reset(trainer);
  assert.equal(await trainer.page.$('#saved-runs'), null);
}

async function keepsTheLastGoodSave(trainer) {
  const { page } = trainer;
  const losses = await step(trainer, 1);
  await trainer.fillStorage(true);
  await step(trainer, 2);
  await page.waitForSelector('#storage');
  assert.match(await trainer.textOf('#storage'), /full.*earlier saves are still there/);
  assert.doesNotMatch(await keepSection(trainer), /saved/i);
  await step(trainer, 3);
  await reload(trainer);
  assert.match((await trainer.waitForSavedRuns(1))[0].text, /step 1 of/);
  assert.deepEqual(await trainer.resume(), losses);

  // There is room again.
  await step(trainer, 2);
  assert.equal(await page.$('#storage'), null);
  await reset(trainer);
  const [{ id, text }] = await trainer.waitForSavedRuns(1);
  assert.match(text, /step 2 of/);
  await trainer.forget(id);

  await trainer.type('learning-rate', '1e30');
  await trainer.type('warmup', 1);
  await step(trainer, 1);
  await trainer.press('step');
  assert.match(await trainer.waitForError(), /(loss|gradient) of step 2 is not finite.*saved after step 1 stays.*lower learning rate/);
  await reset(trainer);
  assert.match((await trainer.waitForSavedRuns(1))[0].text, /step 1 of/);
}

/** Writes into files of the only saved run: as a disk that fails. */
function damage({ page }, names) {
  return page.evaluate(async (names) => {
    const runs = await (await navigator.storage.getDirectory()).getDirectoryHandle('runs');
    for await (const run of runs.values()) {
      for (const name of names) {
        const writable = await (await run.getFileHandle(name)).createWritable({ keepExistingData: true });
        await writable.write({ type: 'write', position: 40, data: new Uint8Array(20) });
        await writable.close();
      }
    }
  }, names);
}

async function fallsBack(trainer) {
  const losses = await step(trainer, 2);
  await reset(trainer);
  // The second save is in the first file.
  await damage(trainer, ['a']);
  await reload(trainer);
  const [{ id, text }] = await trainer.waitForSavedRuns(1);
  assert.match(text, /step 1 of/);
  assert.deepEqual(await trainer.resume(), losses.slice(0, 1));
  await reset(trainer);
  await damage(trainer, ['a', 'b']);
  await reload(trainer);
  const [broken] = await trainer.waitForSavedRuns(1);
  assert(broken.id === id && /cannot be read/.test(broken.text) && !broken.canResume && broken.canForget);
  await trainer.forget(id);
}

/** Bytes of all files of saved runs, by their names. */
function storedFiles({ page }) {
  return page.evaluate(async () => {
    const files = {};
    const runs = await (await navigator.storage.getDirectory()).getDirectoryHandle('runs');
    for await (const run of runs.values()) {
      for await (const [name, handle] of run.entries()) {
        const { size, lastModified } = await handle.getFile();
        files[name] = { size, lastModified };
      }
    }
    return files;
  });
}

async function storesATextOnce(trainer) {
  const text = (await ownSources()).repeat(3);
  await trainer.dropIn(await file(directory, 'long.txt', text));
  await trainer.page.waitForSelector('#given');
  const losses = await step(trainer, 1);
  const first = await storedFiles(trainer);
  await step(trainer, 2);
  const { a, b, ...rest } = await storedFiles(trainer);
  assert.equal(rest.text.size, Buffer.byteLength(text));
  assert.deepEqual(rest, { text: first.text }, 'the text was written again');
  assert(a.size < rest.text.size && b.size < rest.text.size, `${a.size} and ${b.size} bytes with a text of ${rest.text.size}`);

  const all = await step(trainer, 3);
  await reload(trainer);
  assert.match((await trainer.waitForSavedRuns(1))[0].text, /long\.txt/);
  assert.deepEqual(await trainer.resume(), all);
  await step(trainer, 4);
  // The form has the text again, for another run.
  await reset(trainer);
  assert.deepEqual(await step(trainer, 1), losses);
  await reset(trainer);

  await trainer.dropIn(await file(directory, 'latin1.txt', Buffer.from([...Buffer.from('caf'), 0xe9, ...Buffer.from(' au lait')])));
  assert.match(await trainer.waitForError(), /latin1\.txt is not UTF-8/);
}
