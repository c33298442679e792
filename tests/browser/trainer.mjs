// The page as a user sees it: its inputs, its buttons, and its outputs.

import axe from 'axe-core';

import { newPage } from './browsers.mjs';
import { actUntil, trueWithin } from './pointing.mjs';

const READY_MS = 60_000;
const STEPS_MS = 240_000;

/**
 * Opens the page, and collects everything that a visitor's developer console would show in red. `fault` is what is broken in its worker
 * from the start, if the page comes from `serveInstrumented`.
 */
export async function openTrainer(browser, url, { fault } = {}) {
  const page = await newPage(browser);
  if (fault) await page.evaluateOnNewDocument(breakWorkers, fault);
  const problems = [];
  page.on('pageerror', (error) => problems.push(`uncaught: ${error.message ?? error}`));
  page.on('console', (message) => message.type() === 'error' && problems.push(`console: ${message.text()}`));
  page.on('requestfailed', (request) => problems.push(`request failed: ${request.url()}`));
  page.on('response', (response) => response.status() >= 400 && problems.push(`${response.status()}: ${response.url()}`));
  await page.goto(url, { waitUntil: 'load' });
  return new Trainer(page, problems);
}

/** Tells workers what is broken, behind the `#` of their address. */
function breakWorkers(fault) {
  globalThis.Worker = class extends Worker {
    constructor(url, options) {
      super(`${url}#${fault}`, options);
    }
  };
}

/** The views of buttons and fields that are neither in every view nor among the settings. */
const VIEW_OF = {
  ...Object.fromEntries(['start', 'pause', 'step', 'reset', 'export', 'export-run', 'copy-command', 'export-csv',
    'look', 'curve-svg', 'attention-svg'].map((button) => [button, 'train'])),
  ...Object.fromEntries(['operation', 'chunk', 'layer', 'pass'].map((stride) => [`by-${stride}`, 'step'])),
  ...Object.fromEntries(['export-svg', 'export-png', 'export-trace', 'play'].map((button) => [button, 'step'])),
  ...Object.fromEntries(['measure', 'prove', 'search-kernels', 'profile', 'copy-report', 'roofline-svg', 'roofline-png'].map((button) => [button, 'lab'])),
  ...Object.fromEntries(['longest', 'shortest', 'reach-svg'].map((button) => [button, 'reach'])),
  budget: 'step',
  'reach-budget': 'reach',
};

const SETTINGS_VIEWS = ['step', 'train', 'lab'];

class Trainer {
  constructor(page, problems) {
    this.page = page;
    this.problems = problems;
  }

  /** The view that is shown. */
  view() {
    return this.page.$eval('nav [aria-current=page]', ({ dataset }) => dataset.route);
  }

  /** Goes to a view by the bar. */
  async show(view) {
    if (await this.view() === view) return;
    await actUntil(async () => await this.view() === view, () => this.page.locator(`nav [data-route=${view}]`).click());
    await this.page.waitForSelector(`[data-view=${view}]:not(.hidden) > *`);
  }

  /** Goes to a view that has the settings beside it, if this one has none. */
  async showSettings() {
    if (!SETTINGS_VIEWS.includes(await this.view())) await this.show('train');
    if (!await this.page.$eval('#settings', (settings) => settings.checkVisibility())) await this.page.locator('#settings-button').click();
  }

  /** Looks at something in a view, and comes back. */
  async inView(view, look) {
    const before = await this.view();
    await this.show(view);
    const seen = await look();
    await this.show(before);
    return seen;
  }

  close() {
    return this.page.close();
  }

  /** Waits until `#status` shows one of these states. */
  waitForState(...states) {
    return this.#waitFor(READY_MS, `state ${states.join(' or ')}`, (states) => {
      return states.includes(document.querySelector('#status')?.dataset.state);
    }, states);
  }

  /** Waits until `count` steps have run, and returns their losses. An error ends the wait. */
  async waitForLosses(count) {
    const losses = await this.#waitFor(STEPS_MS, `${count} trained steps`, (count) => {
      const losses = JSON.parse(document.querySelector('[data-losses]')?.dataset.losses ?? '[]');
      if (losses.length >= count) return losses;
      return document.querySelector('#status')?.dataset.state === 'error' && 'error';
    }, count);
    if (losses === 'error') throw await this.#failure(`an error instead of ${count} trained steps`);
    return losses;
  }

  /** Waits for an error, and returns its message. */
  waitForError() {
    return this.#waitFor(READY_MS, 'an error shown', () => {
      const error = document.querySelector('#error[role=alert]');
      return error?.checkVisibility() ? error.textContent.trim() || null : null;
    });
  }

  /** Waits for a sample of the model. */
  waitForSample() {
    return this.#waitFor(STEPS_MS, 'a sampled text', () => document.querySelector('#sample[data-step]')?.textContent.trim() || null);
  }

  async dropIn(file) {
    const input = await this.page.$('#file');
    await input.uploadFile(file);
  }

  async paste(text) {
    await this.type('paste', text);
    await this.press('use-paste');
  }

  /** Changes settings, in the view that is shown if it has them. */
  async choose({ source, preset, strategy, activationDtype, sequenceLength, chunk, batch, sampleEvery }) {
    await this.showSettings();
    if (source) await this.page.select('#source', source);
    if (preset) await this.page.select('#preset', preset);
    if (strategy) await this.page.select('#strategy', strategy);
    if (activationDtype) await this.page.select('#activation-dtype', activationDtype);
    const typed = { 'seq-len': sequenceLength, chunk, batch, 'sample-every': sampleEvery };
    for (const [id, value] of Object.entries(typed)) if (value !== undefined) await this.type(id, value);
  }

  /** Types into a field, which may be in a closed section. */
  async type(id, value) {
    if (VIEW_OF[id]) await this.show(VIEW_OF[id]);
    else await this.showSettings();
    await this.unfold(id);
    await this.page.locator(`#${id}`).fill(String(value));
  }

  unfold(id) {
    return this.page.$eval(`#${id}`, (field) => { const fold = field.closest('details'); if (fold) fold.open = true; });
  }

  /** Presses a button, in the view where it is. */
  async press(button) {
    if (VIEW_OF[button]) await this.show(VIEW_OF[button]);
    await this.page.locator(`#${button}`).click();
  }

  /** The displayed step and loss. */
  shownLoss() {
    return this.page.evaluate(() => {
      const { dataset, textContent } = document.querySelector('#loss');
      return { step: Number(dataset.step), loss: Number(dataset.loss), text: textContent };
    });
  }

  /** `layer:chunk` of every visible cell of the grid; the height of its bar depends on the program point. */
  memoryBars() {
    // In one evaluation, as all reads: the page may redraw between two.
    return this.inView('step', () => this.page.evaluate(() => Array.from(document.querySelectorAll('#memory .memory-bar'))
      .filter((bar) => bar.parentElement.getBoundingClientRect().width * bar.parentElement.getBoundingClientRect().height > 0)
      .map(({ dataset }) => `${dataset.layer}:${dataset.chunk}`)));
  }

  /** The peak of a step with each strategy, in bytes. */
  peaks() {
    return this.inView('lab', () => this.page.evaluate(() => Object.fromEntries(
      Array.from(document.querySelectorAll('#peaks [data-strategy]')).map(({ dataset }) => [dataset.strategy, Number(dataset.peakBytes)]),
    )));
  }

  /** How much wider the page is than the window, in pixels. It may be narrower: room is kept for a scrollbar. */
  overflow() {
    return this.page.evaluate(() => Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth));
  }

  /** Destroys the device, as a restart of the driver does. The page must come from `serveInstrumented`. */
  destroyDevice() {
    return this.#ask('destroy');
  }

  /** The count of the package webgpu-memory on the device. The page must come from `serveInstrumented`. */
  webgpuMemory() {
    return this.#ask('memory');
  }

  /** Lets so many requests for an adapter find none. The page has to come from `serveInstrumented`. */
  withholdAdapters(count) {
    return this.#ask('withhold', count);
  }

  /** Leaves no room in the storage, or all of it again. The page has to come from `serveInstrumented`. */
  fillStorage(isFull) {
    return this.#ask('fill', isFull);
  }

  /** The saved runs that are listed. */
  savedRuns() {
    return this.page.$$eval('#saved-runs li', (rows) => rows.map((row) => ({
      id: row.dataset.run,
      isElsewhere: row.dataset.elsewhere === 'true',
      text: row.querySelector('span').textContent,
      canResume: row.querySelector('.resume')?.disabled === false,
      canForget: !row.querySelector('.forget').disabled,
    })));
  }

  /** Waits until so many saved runs are listed, and gives them. */
  async waitForSavedRuns(count) {
    await this.page.waitForFunction((count) => document.querySelectorAll('#saved-runs li').length === count, { timeout: READY_MS }, count);
    return this.savedRuns();
  }

  /** Goes on with the saved run of that id, or with the newest, and gives its losses. */
  async resume(id) {
    const row = id ? `[data-run="${id}"]` : 'li';
    await this.page.locator(`#saved-runs ${row} .resume`).click();
    await this.waitForState('paused');
    return this.waitForLosses(0);
  }

  /** Forgets the saved run of that id. The first press asks. */
  async forget(id) {
    const button = `#saved-runs [data-run="${id}"] .forget`;
    for (let presses = 0; presses < 2; presses++) await this.page.locator(button).click();
    await this.page.waitForFunction((button) => !document.querySelector(button), {}, button);
  }

  /** Goes on step by step until so many are done, and gives their losses. */
  async steps(count) {
    for (let done = (await this.waitForLosses(0)).length + 1; done <= count; done++) {
      await this.press('step');
      await this.waitForLosses(done);
      await this.waitForState('paused');
    }
    return this.waitForLosses(count);
  }

  /** Resets, and leaves nothing to the next test. */
  async forgetAll() {
    await this.press('reset');
    await this.waitForState('ready');
    for (const { id } of await this.savedRuns()) await this.forget(id);
  }

  textOf(selector) {
    return this.page.$eval(selector, ({ textContent }) => textContent);
  }

  /** Times all operations: the seconds of a batch's gradients and of the sum of all operations, and a row for each kind. */
  async profile() {
    await this.page.evaluate(() => document.querySelector('#profile-summary')?.setAttribute('data-is-old', ''));
    await this.press('profile');
    await this.page.waitForSelector('#profile-summary:not([data-is-old])', { timeout: STEPS_MS });
    return this.page.evaluate(() => ({
      whole: Number(document.querySelector('#profile-summary').dataset.seconds),
      sum: Number(document.querySelector('#profile-summary').dataset.sum),
      rows: Array.from(document.querySelectorAll('#profile-rows tbody tr'), ({ dataset, textContent }) => ({
        seconds: Number(dataset.seconds), share: Number(dataset.roofShare), turns: Number(dataset.turns), text: textContent,
      })),
    }));
  }

  /** Asks the instruments in the worker. */
  #ask(question, value) {
    return this.page.evaluate(({ question, value }) => new Promise((resolve) => {
      const channel = new BroadcastChannel('instruments');
      channel.onmessage = ({ data }) => {
        if (data.to !== question) return;
        channel.close();
        resolve(data.answer);
      };
      channel.postMessage({ question, value });
    }), { question, value });
  }

  async #waitFor(timeout, what, condition, ...values) {
    const result = await trueWithin(timeout, () => this.page.evaluate(condition, ...values));
    if (!result) throw await this.#failure(`no ${what} within ${timeout / 1000} s`);
    return result;
  }

  /** An error with what the page shows now. */
  async #failure(what) {
    const shown = await this.page.evaluate(() => ['#status', '#error', '#loss']
      .map((selector) => `${selector}: ${document.querySelector(selector)?.outerHTML ?? 'absent'}`).join('\n'));
    return new Error([what, shown, ...this.problems].join('\n'));
  }
}

/** The text of the tooltip that is shown; null if none is. */
export function tooltip(page) {
  return page.$eval('#tooltip', (tooltip) => tooltip.querySelector('p')?.textContent ?? null);
}

/** The serious and critical accessibility violations that axe-core finds in the page, a line for each element. */
export async function audit(trainer) {
  await trainer.page.evaluate(axe.source);
  return trainer.page.evaluate(async () => {
    const { violations } = await globalThis.axe.run({ resultTypes: ['violations'] });
    const hindrances = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
    return hindrances.flatMap(({ id, help, nodes }) => nodes.map(({ target }) => `${id} (${help}): ${target.join(' ')}`));
  });
}
