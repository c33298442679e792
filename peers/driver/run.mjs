// Runs the benchmark. `cargo xtask peers` builds what it needs, and calls it; options.mjs has its options.

import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';

import { BrowserContestant, launch, serve } from './browser.mjs';
import { NativeContestant } from './native.mjs';
import { readOptions } from './options.mjs';
import { checkLosses, ending, limitOf, race, survive, within } from './race.mjs';
import { toJson, toMarkdown } from './report.mjs';
import { CHECKED_STEPS, HERE, LENGTHS, LONGEST, STEP_LIMIT, taking } from './task.mjs';
import { versions } from './versions.mjs';

const OPENING_LIMIT = 300;
const log = (line) => console.log(line);

const options = readOptions();
const lengths = options.lengths?.split(',').map(Number) ?? LENGTHS;
const longest = Number(options.longest ?? LONGEST);
const entries = taking(options.only);
const places = ['browser', 'native'].filter((place) => entries.some((entry) => entry.place === place));

const started = Date.now();
const { vocab_size: vocabulary } = JSON.parse(await readFile(path.join(HERE, 'task/task.json'), 'utf8'));
const site = await serve();
const results = [];
const failures = [];
let chromium = '';
try {
  for (const place of places) await runPlace(place);
} finally {
  site.close();
}
await report();

async function runPlace(place) {
  const taking = entries.filter((entry) => entry.place === place).map((entry) => ({ entry, rows: [], end: null, adapter: '', detail: '' }));
  results.push(...taking);
  for (const length of lengths) {
    log(`\n== ${place}, ${length} tokens`);
    await runLength(place, taking.filter(({ end }) => !end), length);
  }
  if (options['no-survival']) return;
  for (const contestant of taking.filter(({ entry }) => entry.far)) await runSurvival(contestant);
}

/** One race. Who fails in it takes part in no longer one. */
async function runLength(place, taking, length) {
  const browser = place === 'browser' ? await launch() : null;
  chromium = (await browser?.version()) ?? chromium;
  const runners = [];
  try {
    for (const contestant of taking) {
      const runner = await openRunner(browser, contestant, length);
      if (runner) runners.push(runner);
    }
    await race(runners, log, { least: length === lengths[0] ? CHECKED_STEPS - 1 : 1 });
    failures.push(...checkLosses(runners, vocabulary).map((sentence) => `${place}, ${length} tokens: ${sentence}`));
  } finally {
    await Promise.all(runners.map((runner) => runner.close()));
    await browser?.close();
  }
  for (const { contestant, steps, end } of runners) {
    contestant.rows.push({ length, steps });
    contestant.end = end && `${length} tokens: ${end}`;
  }
}

async function openRunner(browser, contestant, length) {
  try {
    const opened = await within(OPENING_LIMIT, openContestant(browser, contestant.entry, length));
    Object.assign(contestant, opened.about);
    const { entry } = contestant;
    return { entry, contestant, steps: [], end: null, step: () => opened.step(), close: () => opened.close() };
  } catch (error) {
    contestant.end = `${length} tokens: ${ending(error)}`;
    log(`${contestant.entry.name}: ${contestant.end}`);
    return null;
  }
}

function openContestant(browser, entry, length) {
  return browser ? BrowserContestant.open(browser, site.url, entry, length) : NativeContestant.open(entry.command, length);
}

/** How far it goes on its own, in a browser of its own each time. */
async function runSurvival(contestant) {
  const done = contestant.rows.filter(({ steps }) => steps.length > 0).at(-1);
  if (contestant.end || !done) {
    contestant.survived = contestant.rows.filter(({ steps }) => steps.length > 1).at(-1)?.length ?? 0;
    return;
  }
  const { name, place } = contestant.entry;
  log(`\n== ${place}, ${name}: how far`);
  const seconds = Math.min(...done.steps.map((step) => step.seconds));
  const attempt = (length) => attemptOnce(contestant.entry, length);
  const { survived, end } = await survive({ survived: done.length, seconds, longest, limit: STEP_LIMIT, attempt, log });
  Object.assign(contestant, { survived, end });
  log(`${survived} tokens; ${end}`);
}

async function attemptOnce(entry, length) {
  const browser = entry.place === 'browser' ? await launch() : null;
  let opened;
  try {
    opened = await within(OPENING_LIMIT, openContestant(browser, entry, length));
    let step = await within(limitOf(entry, 0), opened.step());
    if (entry.tunes) step = await within(limitOf(entry, 1), opened.step());
    if (!Number.isFinite(step.loss)) throw new Error(`the loss is ${step.loss}`);
    return step.seconds;
  } finally {
    await opened?.close();
    await browser?.close();
  }
}

async function report() {
  const facts = { ...(await versions()), chromium, minutes: (Date.now() - started) / 60_000, failures };
  await writeFile(path.join(HERE, 'results.json'), `${JSON.stringify(toJson(results, facts), null, 2)}\n`);
  const table = toMarkdown(toJson(results, facts));
  await writeFile(path.join(HERE, 'results.md'), table);
  log(`\n${table}`);
  failures.forEach((sentence) => console.error(`error: ${sentence}`));
  process.exitCode = failures.length > 0 ? 1 : 0;
}
