// Contestants in Chromium: each has a page of its own, and all pages of a race one browser.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';

import puppeteer from 'puppeteer-core';

import { HERE } from './task.mjs';

const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.json': 'application/json', '.mjs': 'text/javascript', '.wasm': 'application/wasm' };

/** What may be asked for, and where it lies. */
const SERVED = { task: 'task', node_modules: 'node_modules', web: 'web' };

/** Serves the pages, the packages and the task at 127.0.0.1. */
export async function serve() {
  const server = createServer(async (request, response) => {
    try {
      const [, top, ...rest] = decodeURIComponent(new URL(request.url, 'http://127.0.0.1').pathname).split('/');
      const directory = path.join(HERE, SERVED[top]);
      const file = path.join(directory, ...rest);
      if (!file.startsWith(directory + path.sep)) throw new Error('outside of what is served');
      const body = await readFile(file);
      response.writeHead(200, { 'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream' }).end(body);
    } catch {
      response.writeHead(404, { 'Content-Type': 'text/plain' }).end('not found');
    }
  });
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${server.address().port}`, close };
}

/** Chromium with WebGPU, on SwiftShader unless `PEERS_ADAPTER` is `gpu`. */
export function launch() {
  const gpu = process.env.PEERS_ADAPTER === 'gpu';
  return puppeteer.launch({
    browser: 'chrome',
    executablePath: process.env.CHROMIUM,
    // A step may take minutes.
    protocolTimeout: 3_600_000,
    args: [
      // Its sandbox needs rights that containers lack; only our own pages are opened.
      '--no-sandbox',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--disable-quic',
      // Pages that wait for their turn are not to be slowed down.
      '--disable-background-timer-throttling',
      '--disable-backgrounding-occluded-windows',
      '--disable-renderer-backgrounding',
      '--enable-unsafe-webgpu',
      ...(gpu ? [] : ['--use-webgpu-adapter=swiftshader']),
    ],
  });
}

/** A page with a contestant. */
export class BrowserContestant {
  static async open(browser, url, { peer, variant }, length) {
    const page = await browser.newPage();
    const contestant = new BrowserContestant(page);
    try {
      await page.goto(`${url}/web/index.html?peer=${peer}`);
      // By time: a page behind others draws no frames.
      const started = page.waitForFunction(() => globalThis.contestant, { polling: 100, timeout: 60_000 });
      await started.catch(() => contestant.explain('its page does not start'));
      const about = await contestant.call('open', length, variant);
      return Object.assign(contestant, { about });
    } catch (error) {
      await contestant.close();
      throw error;
    }
  }

  constructor(page) {
    this.page = page;
    this.words = [];
    page.on('pageerror', (error) => this.words.push(String(error)));
    page.on('console', (message) => message.type() === 'error' && this.words.push(message.text()));
    this.crashed = new Promise((_, reject) => {
      page.on('error', () => reject(new Error('its page crashed')));
      page.on('close', () => reject(new Error('its page was closed')));
    });
    this.crashed.catch(() => {});
  }

  step() {
    return this.call('step');
  }

  async call(method, ...args) {
    const answer = this.page.evaluate((method, args) => globalThis.contestant[method](...args), method, args);
    try {
      return await Promise.race([answer, this.crashed]);
    } catch (error) {
      throw new Error(firstLine(error.message) || firstLine(this.words.at(-1)) || 'it failed without a word', { cause: error });
    }
  }

  explain(what) {
    throw new Error(`${what}: ${firstLine(this.words.at(-1))}`);
  }

  async close() {
    await this.page.close().catch(() => {});
  }
}

function firstLine(text = '') {
  return text.split('\n').find((line) => line.trim()) ?? '';
}
