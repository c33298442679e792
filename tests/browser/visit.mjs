// Shared by the tests of the page: training texts, and a visit that fails on any error.

import assert from 'node:assert/strict';
import { readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

import { IS_EXHAUSTIVE } from './browsers.mjs';
import { openTrainer } from './trainer.mjs';

const SOURCES = path.join(path.dirname(fileURLToPath(import.meta.url)), '../../src');

/** Settings of a link: a short run of the first preset, for tests of its plan. */
export const TINY = { 'seq-len': 256, chunk: 64, 'sample-every': 0 };

/** A short run of a model whose kernels compile and run fast, for tests that do not depend on the model. */
export const SMALL = IS_EXHAUSTIVE ? TINY : {
  ...TINY, 'hidden-size': 32, 'intermediate-size': 48, 'num-hidden-layers': 2, 'num-attention-heads': 4, 'num-key-value-heads': 2, 'head-dim': 8,
};
export const SMALL_LAYERS = SMALL['num-hidden-layers'] ?? 4;

/**
 * Runs a test on a page that is newly opened with a link's settings and perhaps a fault, once it is in a state, and fails if the page's
 * console shows an error. A test begins in the view `train`, or goes to another one from there.
 */
export async function visit(browser, url, body, { settings = SMALL, state = 'ready', fault, view = 'train' } = {}) {
  const trainer = await openTrainer(browser, `${url}#/train?${new URLSearchParams(settings)}`, { fault });
  try {
    await trainer.waitForState(state);
    await trainer.show(view);
    await body(trainer);
    assert.deepEqual(trainer.problems, []);
  } finally {
    await trainer.close();
  }
}

/** Pauses, and returns the number of completed steps. */
export async function pause(trainer) {
  await trainer.press('pause');
  await trainer.waitForState('paused');
  return (await trainer.waitForLosses(0)).length;
}

/** The project's source as one text: real, long enough, and always available. */
export async function ownSources() {
  const names = (await readdir(SOURCES, { recursive: true })).filter((name) => name.endsWith('.rs')).sort();
  const files = await Promise.all(names.map((name) => readFile(path.join(SOURCES, name), 'utf8')));
  const text = files.join('\n');
  assert(text.length > 20_000, 'the sources are too short to train on');
  return text;
}

/** Catches the downloads of the page instead of saving them: the name and the bytes of each file. */
export async function catchDownloads(page) {
  await page.evaluate(() => {
    globalThis.caught = [];
    const blobs = new Map();
    const create = URL.createObjectURL.bind(URL);
    URL.createObjectURL = (blob) => {
      const url = create(blob);
      blobs.set(url, blob);
      return url;
    };
    HTMLAnchorElement.prototype.click = function click() {
      globalThis.caught.push({ name: this.download, blob: blobs.get(this.href) });
    };
  });
}

/** The next caught download. */
export async function caught(page) {
  await page.waitForFunction(() => globalThis.caught.length > 0);
  const { name, base64 } = await page.evaluate(async () => {
    const { name, blob } = globalThis.caught.shift();
    const bytes = new Uint8Array(await blob.arrayBuffer());
    let text = '';
    for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
    return { name, base64: btoa(text) };
  });
  return { name, bytes: Buffer.from(base64, 'base64') };
}

/** Writes a file for the page. */
export async function file(directory, name, content) {
  const at = path.join(directory, name);
  await writeFile(at, content);
  return at;
}
