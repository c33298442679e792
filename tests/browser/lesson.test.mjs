// The lesson, as a class and as a reader goes through it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { BROWSERS, newPage } from './browsers.mjs';
import { actUntil, centre } from './pointing.mjs';
import { serve } from './server.mjs';
import { audit } from './trainer.mjs';

const PROJECTOR = { width: 1920, height: 1080 };
const LAPTOP = { width: 1280, height: 720 };
const PHONE = { width: 390, height: 844, hasTouch: true };
const CHAPTERS = 8;

let server;
before(async () => {
  assert(process.env.PAGE, 'PAGE is not set: run these tests with `cargo xtask test --only browser`');
  server = await serve(process.env.PAGE);
});
after(() => server?.close());

for (const { name, launch } of BROWSERS) {
  for (const webgpu of [false, true]) {
    describe(`${name}: the lesson, ${webgpu ? 'on a device' : 'without a GPU'}`, () => {
      let browser;
      before(async () => { browser = await launch({ webgpu, scheme: 'light' }); });
      after(() => browser?.close());

      for (const language of ['en', 'ko']) {
        test(`is presented by keyboard alone (${language})`, () => learn(browser, language, PROJECTOR, presents));
      }
      test('is read on a phone by touch', () => learn(browser, 'en', PHONE, isTouched));
      if (!webgpu) test('answers by what the page suggests', () => learn(browser, 'en', LAPTOP, answersQuestions, ''));
      if (webgpu) test('measures on the device', () => learn(browser, 'en', PROJECTOR, measures));
      else test('is a picture in a frame of another page', () => learn(browser, 'en', PROJECTOR, isEmbedded, '?embed=lesson-4'));
    });
  }
}

/** Runs a test on a new page, and fails if its console shows an error. */
async function learn(browser, language, viewport, body, start = '#/learn') {
  const page = await newPage(browser);
  const problems = [];
  page.on('pageerror', (error) => problems.push(`uncaught: ${error.message ?? error}`));
  page.on('console', (message) => message.type() === 'error' && problems.push(`console: ${message.text()}`));
  try {
    await page.setViewport(viewport);
    await page.evaluateOnNewDocument((language) => {
      try {
        localStorage.setItem('language', language);
      } catch {
        // The empty document of a new page has no storage.
      }
    }, language);
    await page.goto(server.url + start);
    await page.waitForFunction((language) => document.documentElement.lang === language && document.querySelector('.lesson, #to-learn'), {}, language);
    await body(page, language);
    assert.deepEqual(problems, []);
  } finally {
    await page.evaluate(() => localStorage.removeItem('language'));
    await page.close();
  }
}

async function isChapter(page, number) {
  await page.waitForFunction((number) => document.querySelector('.lesson')?.dataset.chapter === String(number), {}, number);
  await page.waitForFunction(() => document.querySelector('.lesson-picture > *')?.checkVisibility());
}

/** What a chapter says once the truth is revealed. */
async function answer(page) {
  await page.waitForFunction(() => document.querySelector('#answer').textContent.length > 20);
  const text = await page.$eval('#answer', ({ textContent }) => textContent);
  assert(!/[{}]|NaN|undefined/.test(text) && !text.includes('–.'), text);
  return text;
}

/** From the first chapter to the last and back to the page, with a guess in each. */
async function presents(page, language) {
  await page.waitForSelector('#chapter-title');
  await page.keyboard.press('f');
  await page.waitForSelector('[data-present]');
  for (let number = 1; number <= CHAPTERS; number++) {
    await isChapter(page, number);
    const isChoice = await page.$('.answers') !== null;
    await page.keyboard.press(isChoice ? '2' : 'ArrowUp');
    if (isChoice) assert.equal(await page.$eval('[data-answer="2"]', (button) => button.ariaPressed), 'true');
    await page.keyboard.press(' ');
    const text = await answer(page);
    const guessed = { en: /^(Right|Not quite|You guessed)/, ko: /^(맞았습니다|아쉽습니다|예상은)/ }[language];
    assert.match(text, guessed);
    const small = await page.$$eval('.lesson *', (elements) => elements
      .filter((element) => element.checkVisibility() && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
      .filter((element) => !element.closest('.unseen') && Number.parseFloat(getComputedStyle(element).fontSize) < 24)
      .map((element) => `${element.tagName} ${element.textContent.slice(0, 30)}: ${getComputedStyle(element).fontSize}`));
    assert.deepEqual(small, [], `chapter ${number} has letters that are too small`);
    assert.equal(await page.$eval('body > header', (header) => header.checkVisibility()), false);
    if (number === 1 || number === CHAPTERS) assert.deepEqual(await audit({ page }), []);
    await page.keyboard.press('n');
    assert(await page.$eval('.notes', ({ textContent }) => textContent.length > 100));
    await page.keyboard.press('n');
    await page.keyboard.press('ArrowRight');
  }
  await isChapter(page, CHAPTERS);
  await page.keyboard.press('ArrowLeft');
  await isChapter(page, CHAPTERS - 1);
  await page.waitForFunction(() => location.hash.startsWith('#/learn/7'));
  await page.keyboard.press('Escape');
  await page.waitForSelector(':root:not([data-present])');
  assert.deepEqual(await audit({ page }), []);
}

async function isTouched(page) {
  const tap = (selector, hasEffect) => actUntil(hasEffect, async () => {
    await page.$eval(selector, (element) => element.scrollIntoView({ block: 'center' }));
    await page.touchscreen.tap(...await centre(page, selector));
  });
  const isPressed = () => page.$eval('[data-answer="1"]', (button) => button.ariaPressed === 'true');
  const isAnswered = () => page.$eval('#answer', ({ textContent }) => textContent.length > 0);
  const isAt = (number) => page.$eval('.lesson', ({ dataset }, number) => dataset.chapter === String(number), number);
  for (let number = 1; number <= CHAPTERS; number++) {
    await isChapter(page, number);
    if (await page.$('.answers')) await tap('[data-answer="1"]', isPressed);
    await tap('#reveal', isAnswered);
    await answer(page);
    const beyond = await page.$eval('.lesson', (lesson) => lesson.scrollWidth > lesson.clientWidth + 1);
    assert.equal(beyond, false, `chapter ${number} is wider than the phone`);
    if (number < CHAPTERS) await tap('#next-chapter', () => isAt(number + 1));
  }
}

/**
 * From See, by nothing but what the page offers as the next thing to do. With SHOTS, a directory, it leaves a picture of every answer there.
 */
async function answersQuestions(page) {
  await page.click('#to-learn');
  const answers = {
    1: ['why memory limits length', /left its activations/],
    3: ['what checkpointing keeps', /One whole layer/],
    4: ['what chunks change', /only a chunk’s activations exist at a time/],
    5: ['whether it is exact', /same bits/],
    6: ['what it costs', /× as|×, measured on/],
  };
  for (let number = 1; number <= 6; number++) {
    await isChapter(page, number);
    await page.click('#reveal');
    const [question, expected] = answers[number] ?? [];
    if (question) {
      assert.match(await answer(page), expected, question);
      if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${number}.png` });
    }
    await page.click('#next-chapter');
  }
  const seconds = await page.evaluate(() => performance.now()) / 1000;
  assert(seconds < 120, `it takes ${seconds} s`);
}

/** The proof and the clocks are this device's own. */
async function measures(page) {
  await page.waitForFunction(() => document.querySelector('#status').dataset.state === 'ready', { timeout: 60_000 });
  for (const [chapter, done] of [[5, () => /Measured here/.test(document.querySelector('#measured-where').textContent)],
    [6, () => /Measured here/.test(document.querySelector('#measured-where').textContent)]]) {
    await page.evaluate((chapter) => { location.hash = `#/learn/${chapter}`; }, chapter);
    await isChapter(page, chapter);
    assert.match(await page.$eval('#measured-where', ({ textContent }) => textContent), /Recorded on/);
    await page.click('#lesson-measure');
    await page.waitForFunction(done, { timeout: 120_000 });
  }
  await page.click('#reveal');
  assert.match(await answer(page), /measured on/);
}

async function isEmbedded(page) {
  await isChapter(page, 4);
  assert.equal(await page.$('body > header, #start'), null);
  assert.equal(page.workers().length, 0, 'a chapter needs no worker');
  await page.focus('#guess');
  await page.keyboard.press('Home');
  await page.click('#reveal');
  assert.match(await answer(page), /^You guessed 10\.0 MiB\. It is 37\.7 MiB\./);
  assert.deepEqual(await audit({ page }), []);
}
