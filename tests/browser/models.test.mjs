// Models in files: opened from folders and URLs, trained, saved, interrupted, broken.

import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, afterEach, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { BROWSERS, IS_EXHAUSTIVE } from './browsers.mjs';
import { edit, filesOf, llama, serveModels, writeAdapter, writeModel } from './models.mjs';
import { serveInstrumented } from './server.mjs';
import { audit } from './trainer.mjs';
import { catchDownloads, caught, file, ownSources, visit } from './visit.mjs';

const BROKEN = path.join(path.dirname(fileURLToPath(import.meta.url)), '../broken_models.json');
/** Large enough that a shard is fetched in several pieces. */
const MODEL = llama({ hidden: 128, intermediate: 64, layers: 2, heads: 4, keyHeads: 2, headDim: 8, vocab: 8192, tied: true });
const PARAMETERS = MODEL.tensors.reduce((sum, [, shape]) => sum + shape.reduce((product, size) => product * size), 0);
/** The model of the table of broken models. */
const SMALL = llama({ hidden: 8, intermediate: 12, layers: 2, heads: 2, keyHeads: 1, headDim: 4, vocab: 256 });
const SHARD = 'model-00001-of-00003.safetensors';
/** The least size of the stored pieces of a download, and where hosts abort. */
const PIECE_BYTES = 1 << 20;
const CUT_BYTES = 1.5 * PIECE_BYTES;

let server;
let directory;
let folder;
/** The running model hosts, so that none outlives a failed test. */
const hosts = [];

before(async () => {
  assert(process.env.PAGE, 'PAGE is not set: run these tests with `cargo xtask test --only browser`');
  directory = await mkdtemp(path.join(tmpdir(), 'streambp-'));
  server = await serveInstrumented(process.env.PAGE, { 'talks.jsonl': path.join(directory, 'rows.jsonl') });
  folder = path.join(directory, 'org', 'model');
  await writeModel(folder, MODEL, { dtype: 'BF16', shards: 3 });
});
after(async () => {
  server?.close();
  if (directory) await rm(directory, { recursive: true });
});

for (const { name, launch } of BROWSERS) {
  describe(`${name}: a model in files`, () => {
    let browser;
    before(async () => { browser = await launch({ webgpu: true, scheme: 'light' }); });
    after(() => browser?.close());
    afterEach(closeHosts);

    test('is opened from a folder, and its adapters are trained, saved and opened again', () => visit(browser, server.url, trainsAdapters));
    test('is fetched from an address, interrupted, and kept', () => visit(browser, server.url, fetchesAModel));
    test('is fetched from hosts of every kind, or refused with one sentence', () => visit(browser, server.url, meetsHosts));
    test('that is broken gets one sentence, and nothing is lost', () => visit(browser, server.url, refusesBrokenOnes));
    test('has the vocabulary that it was trained with', () => visit(browser, server.url, learnsAVocabulary));
    test('learns the replies of conversations', () => visit(browser, server.url, learnsConversations));
    test('goes on with saved adapters when it is opened again', () => visit(browser, server.url, resumesAdapters));
  });
}

/** Chooses a folder, or its files if the driver cannot choose folders. */
async function choose(trainer, at) {
  if (await isChromium(trainer)) await (await trainer.page.$('#import-folder')).uploadFile(at);
  else await chooseFiles(trainer, 'import', at);
}

/** Drops a folder, or chooses its files if the driver cannot drop folders. */
async function drop(trainer, at) {
  const { page } = trainer;
  if (!await isChromium(trainer)) return chooseFiles(trainer, 'import', at);
  await page.$eval('#open-model', (details) => { details.open = true; });
  const place = await page.$eval('#open-model .drop span', (label) => {
    label.scrollIntoView({ block: 'center' });
    const { x, y } = label.getBoundingClientRect();
    return { x: x + 5, y: y + 5 };
  });
  const driver = await page.createCDPSession();
  const data = { items: [], files: [at], dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop']) await driver.send('Input.dispatchDragEvent', { type, ...place, data });
  return driver.detach();
}

async function isChromium({ page }) {
  return (await page.browser().version()).startsWith('Chrome');
}

async function chooseFiles(trainer, id, at) {
  await (await trainer.page.$(`#${id}`)).uploadFile(...await filesOf(at));
}

const waitForModel = ({ page }) => page.waitForSelector('#opened', { timeout: 60_000 });

/** One sequence for training and one for validation, so that every step sees the same, and visibly large steps. */
async function prepareAdapters(trainer) {
  await trainer.dropIn(await file(directory, 'one.txt', (await ownSources()).replaceAll(/[^\x20-\x7e]/g, ' ').slice(0, 2 * 129)));
  await trainer.choose({ sequenceLength: 128, chunk: 64, sampleEvery: 2 });
  await trainer.type('learning-rate', 0.01);
  await trainer.type('warmup', 1);
  await trainer.type('lora-rank', 4);
}

async function startOver(trainer) {
  await trainer.press('reset');
  await trainer.waitForState('ready');
}

async function trainsAdapters(trainer) {
  const { page } = trainer;
  await catchDownloads(page);
  await choose(trainer, folder);
  await waitForModel(trainer);
  const opened = await page.$eval('#opened', ({ textContent }) => textContent.replaceAll(/(\d)\D(?=\d{3})/g, '$1'));
  assert(opened.includes(`model: llama, 2 layers, 128 wide, ${PARAMETERS} parameters`), opened);
  await trainer.type('seq-len', 5000);
  const beyond = await (await page.waitForSelector('#beyond-context')).evaluate(({ textContent }) => textContent);
  assert(beyond.includes('rope_parameters') && beyond.includes('"factor":2.0'), beyond);
  await prepareAdapters(trainer);
  assert.equal(await page.$('#beyond-context'), null);
  const losses = await trainer.steps(4);
  assert(losses.every(Number.isFinite) && losses[3] < losses[0], `the loss does not fall: ${losses}`);
  assert(await trainer.waitForSample());
  assert.deepEqual(await audit(trainer), []);

  await trainer.press('export');
  const { bytes } = await caught(page);
  const fifth = (await trainer.steps(5)).at(-1);
  await startOver(trainer);
  await (await page.$('#import-adapters')).uploadFile(await file(directory, 'adapters.zip', bytes));
  await page.waitForSelector('#opened-adapters');
  assert.equal((await trainer.steps(1))[0], fifth, 'the opened adapters have another loss than the saved ones');
  await startOver(trainer);

  // Full fine-tuning works too, and saves the whole model.
  await trainer.press('fresh-adapters');
  await page.select('#learn', 'full');
  const [whole] = await trainer.steps(1);
  assert.equal(whole, losses[0], 'the model and the model with fresh adapters differ');
  await trainer.press('export');
  const zip = (await caught(page)).bytes;
  assert(zip.includes('config.json') && zip.includes('model.embed_tokens.weight'));
  await startOver(trainer);
  assert(await largestRead(page) < (await readFile(path.join(folder, SHARD))).length, 'a whole shard was read at once');
}

/** The most bytes that the model worker has read of a file at once. */
function largestRead(page) {
  return page.evaluate(() => new Promise((resolve) => {
    const channel = new BroadcastChannel('model-worker');
    channel.onmessage = ({ data }) => {
      if (typeof data !== 'number') return;
      channel.close();
      resolve(data);
    };
    channel.postMessage('largest');
  }));
}

async function host(faults) {
  hosts.push(await serveModels(directory, faults));
  return hosts.at(-1);
}

function closeHosts() {
  hosts.splice(0).forEach((host) => host.close());
}

async function fetchFrom(trainer, address) {
  await trainer.type('model-address', address);
  await trainer.press('fetch-model');
}

async function fetchesAModel(trainer) {
  const { page } = trainer;
  const site = await host({ cut: { name: SHARD, after: CUT_BYTES } });
  const address = `${site.url}org/model`;
  await fetchFrom(trainer, address);
  assert.match(await trainer.waitForError(), /broke off/);
  await trainer.page.waitForFunction(() => document.querySelector('#kept'));
  trainer.problems.splice(0).forEach((problem) => assert.match(problem, /org\/model|Failed to load resource/));

  await page.reload();
  await trainer.waitForState('ready');
  await page.$eval('#open-model', (details) => { details.open = true; });
  await page.waitForSelector('#kept .take');
  site.asked.length = 0;
  await trainer.page.click('#kept .take');
  await waitForModel(trainer);
  const first = site.asked.find(({ name, method }) => name === SHARD && method === 'GET');
  const start = Number(first.range.match(/^bytes=(\d+)-/)[1]);
  assert(start >= PIECE_BYTES && start <= CUT_BYTES, `it went on at ${start}`);
  assert(site.asked.every(({ method, range }) => method === 'HEAD' || range), 'a whole file was asked for');
  await prepareAdapters(trainer);
  const [loss] = await trainer.steps(1);

  // The host is gone: a saved run finds its model in the browser, and so does the user.
  closeHosts();
  await page.reload();
  await trainer.waitForState('ready');
  assert.deepEqual(await trainer.resume(), [loss]);
  assert((await trainer.steps(2)).every(Number.isFinite));
  await startOver(trainer);
  await page.reload();
  await trainer.waitForState('ready');
  await page.$eval('#open-model', (details) => { details.open = true; });
  await page.waitForSelector('#kept .take');
  await page.click('#kept .take');
  await waitForModel(trainer);
  await prepareAdapters(trainer);
  assert.equal((await trainer.steps(1))[0], loss, 'what is kept is another model');
  await startOver(trainer);
  await forgetAll(page);
  // The host has no tokenizer, which some browsers log as an error.
  trainer.problems.splice(0).forEach((problem) => assert.match(problem, /org\/model|Failed to load resource/));
}

async function forgetAll(page) {
  for (let left = await page.$$eval('#kept li', (all) => all.length); left > 0; left--) {
    await page.click('#kept .forget');
    await page.waitForFunction((left) => document.querySelectorAll('#kept li').length < left, {}, left);
  }
}

async function meetsHosts(trainer) {
  const { page } = trainer;
  const refused = async (faults, at, words) => {
    const site = await host(faults);
    await fetchFrom(trainer, site.url + at);
    assert.match(await trainer.waitForError(), words);
    closeHosts();
  };
  await fetchFrom(trainer, 'org/model');
  assert.match(await trainer.waitForError(), /is no address/);
  await refused({ noCors: true }, 'org/model', /CORS/);
  await refused({}, 'org/nothing', /there is no config\.json/i);
  // A host that answers every address with a page. Nothing of it is kept.
  await mkdir(path.join(directory, 'org', 'page'), { recursive: true });
  await file(path.join(directory, 'org', 'page'), 'config.json', '<!doctype html><title>Not found</title>');
  await refused({}, 'org/page', /org\/page\/.*config\.json is no JSON; give the address of a model/);
  assert.equal(await page.$$eval('#kept li', ({ length }) => length), 0);

  // A host without range requests sends whole files, so an aborted download starts again.
  const simple = await host({ noRanges: true, cut: { name: SHARD, after: CUT_BYTES } });
  await fetchFrom(trainer, `${simple.url}org/model`);
  assert.match(await trainer.waitForError(), /broke off/);
  await fetchFrom(trainer, `${simple.url}org/model`);
  await waitForModel(trainer);
  closeHosts();
  await trainer.press('use-seed');

  // A model that changes during the download is fetched again.
  const changing = await host({ cut: { name: SHARD, after: CUT_BYTES } });
  await fetchFrom(trainer, `${changing.url}org/model`);
  assert.match(await trainer.waitForError(), /broke off/);
  changing.faults.version = 2;
  changing.asked.length = 0;
  await fetchFrom(trainer, `${changing.url}org/model`);
  await waitForModel(trainer);
  const config = changing.asked.filter(({ name, method }) => name === 'config.json' && method === 'GET');
  assert.equal(config.length, 1, 'files of two versions were mixed');
  closeHosts();
  await forgetAll(page);
  trainer.problems.splice(0).forEach((problem) => assert.match(problem, /127\.0\.0\.1|Failed to load resource|CORS|NetworkError/));
}

async function refusesBrokenOnes(trainer) {
  const { page } = trainer;
  const good = path.join(directory, 'good');
  await writeModel(good, SMALL);
  await chooseFiles(trainer, 'import', good);
  await waitForModel(trainer);
  await trainer.choose({ source: 'own-source', sequenceLength: 64, chunk: 64, sampleEvery: 0 });
  const opened = await page.$eval('#opened', ({ textContent }) => textContent);
  const cases = JSON.parse(await readFile(BROKEN));
  const inChromium = await isChromium(trainer);
  // The command-line program tests all cases of the same code, so each browser takes only some of them.
  const isTaken = (number) => IS_EXHAUSTIVE || number % 6 === (inChromium ? 0 : 3);
  for (const [number, { name, base, edits, says }] of cases.entries()) {
    if (!isTaken(number)) continue;
    const at = path.join(directory, `broken-${number}`);
    if (base === 'adapter') await writeAdapter(at, SMALL, { rank: 2, targets: ['q_proj', 'v_proj'] });
    else await writeModel(at, SMALL, { shards: base === 'sharded' ? 3 : 1 });
    for (const change of edits) await edit(at, change);
    await chooseFiles(trainer, base === 'adapter' ? 'import-adapters' : 'import', at);
    const sentence = await refusal(trainer);
    says.forEach((word) => assert(sentence.includes(word), `${name}: ${sentence}`));
    assert(!sentence.includes('\n') && sentence.length < 500, `${name}: ${sentence}`);
    assert.equal(await page.$eval('#opened', ({ textContent }) => textContent), opened, name);
  }
  const adapters = path.join(directory, 'adapters');
  await writeAdapter(adapters, SMALL, { rank: 2, targets: ['q_proj', 'v_proj'] });
  await chooseFiles(trainer, 'import-adapters', adapters);
  await page.waitForSelector('#opened-adapters');
  assert((await trainer.steps(1)).every(Number.isFinite));
  await startOver(trainer);
}

/** The page's error about broken files: on opening, or when their values are read. */
async function refusal(trainer) {
  const { page } = trainer;
  await page.waitForFunction(() => document.querySelector('#error') || document.querySelector('#opened-adapters'));
  if (await page.$('#error')) return page.$eval('#error', ({ textContent }) => textContent);
  await trainer.press('step');
  const sentence = await trainer.waitForError();
  await trainer.press('fresh-adapters');
  return sentence;
}

async function resumesAdapters(trainer) {
  const { page } = trainer;
  const other = path.join(directory, 'other');
  await cp(folder, other, { recursive: true });
  await choose(trainer, other);
  await waitForModel(trainer);
  await prepareAdapters(trainer);
  const losses = await trainer.steps(2);
  await page.reload();
  await trainer.waitForState('ready');
  await page.locator('#saved-runs .resume').click();
  assert.match(await trainer.waitForError(), /open that model/);
  await drop(trainer, other);
  await waitForModel(trainer);
  assert.deepEqual(await trainer.resume(), losses);
  assert.equal((await trainer.steps(3)).length, 3);
  await startOver(trainer);
}

async function learnsAVocabulary(trainer) {
  const { page } = trainer;
  await catchDownloads(page);
  await trainer.dropIn(await file(directory, 'sources.txt', (await ownSources()).slice(0, 60_000)));
  await page.select('#vocabulary', 'learned');
  await trainer.type('vocab-size', 400);
  await trainer.choose({ sampleEvery: 2 });
  await trainer.type('vocab-size', 400);
  const losses = await trainer.steps(3);
  assert(Math.abs(losses[0] - Math.log(400)) < 0.5, `400 tokens are as likely as one another at first: ${losses}`);
  assert(await trainer.waitForSample());
  await trainer.press('export');
  const { bytes } = await caught(page);
  assert(bytes.includes('tokenizer.json') && bytes.includes('merges'));
  await startOver(trainer);

  await page.select('#vocabulary', 'bytes');
  await (await page.$('#import')).uploadFile(await file(directory, 'learned.zip', bytes));
  await waitForModel(trainer);
  assert.equal(await page.$eval('#vocabulary', ({ value }) => value), 'model');
  const [again] = await trainer.steps(1);
  assert(again < losses[0], `${again} is no loss of a model that has learned`);
  await startOver(trainer);
}

async function learnsConversations(trainer) {
  const { page } = trainer;
  const row = (number) => JSON.stringify({
    messages: [{ role: 'user', content: `What is ${number}?` }, { role: 'assistant', content: `A number: ${number}.` }],
  });
  const rows = Array.from({ length: 30 }, (_, number) => row(number));
  await trainer.dropIn(await file(directory, 'rows.jsonl', rows.join('\n')));
  const losses = await trainer.steps(3);
  assert(losses.every(Number.isFinite) && losses[2] < losses[0], `the loss does not fall: ${losses}`);
  await startOver(trainer);
  // An array is rows, whatever the file is called, and the page says how many it read.
  await trainer.dropIn(await file(directory, 'rows', `[${rows.join(',\n')}]`));
  await readsRows(trainer, losses[0], 30);
  // So are lines at an address, whatever follows its name.
  await trainer.type('address', new URL('talks.jsonl?download=true', server.url).href);
  await trainer.press('use-address');
  await page.waitForFunction(() => /download=true/.test(document.querySelector('#given').textContent));
  await readsRows(trainer, losses[0], 30);
  await trainer.dropIn(await file(directory, 'broken.jsonl', `${rows[0]}\n{"messages": 3}\n`));
  await trainer.press('step');
  assert.match(await trainer.waitForError(), /broken\.jsonl, line 2/);
  await page.waitForFunction(() => document.querySelector('#status').dataset.state === 'error');
  // The name alone says that it has to be rows.
  await trainer.dropIn(await file(directory, 'prose.jsonl', 'Once upon a time'));
  await trainer.press('step');
  assert.match(await trainer.waitForError(), /prose\.jsonl, line 1: Once upon a time is no object/);
}

/** Trains a step on rows, and checks its loss and the count that the page shows. */
async function readsRows(trainer, loss, count) {
  assert.deepEqual(await trainer.steps(1), [loss]);
  const read = await trainer.page.$eval('#read', ({ textContent }) => textContent);
  assert(read.startsWith(`Documents read: ${count}.`), read);
  await startOver(trainer);
}
