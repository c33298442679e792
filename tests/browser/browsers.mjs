// The browsers for the page's tests. They run without a GPU: Chromium runs WebGPU on SwiftShader, Firefox on the installed Vulkan driver.

import puppeteer from 'puppeteer-core';

const ALL_BROWSERS = [
  { name: 'Chromium', launch: launchChromium },
  { name: 'Firefox', launch: launchFirefox },
];

/**
 * The browser that the variable BROWSER names, or both. Each needs its path, which `cargo xtask test` passes. Every start has a fresh
 * profile.
 */
export const BROWSERS = ALL_BROWSERS.filter(({ name }) => !process.env.BROWSER || process.env.BROWSER === name);

/** A small laptop's. */
const defaultViewport = { width: 1280, height: 800 };

/** Does this run test all combinations, as with `cargo xtask test --all`? */
export const IS_EXHAUSTIVE = Boolean(process.env.STREAMBP_TEST_ALL);

/** What is waited for may take so long on a machine that does other things beside. */
const PATIENCE_MS = 90_000;

/** A new page. */
export async function newPage(browser) {
  const page = await browser.newPage();
  page.setDefaultTimeout(PATIENCE_MS);
  return page;
}

function launchChromium({ webgpu, scheme }) {
  return puppeteer.launch({
    browser: 'chrome',
    defaultViewport,
    executablePath: executable('CHROMIUM'),
    args: [
      // Its sandbox needs rights that containers lack; only our own page is opened.
      '--no-sandbox',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--disable-quic',
      `--blink-settings=preferredColorScheme=${scheme === 'dark' ? 0 : 1}`,
      ...(webgpu ? ['--enable-unsafe-webgpu', '--use-webgpu-adapter=swiftshader'] : ['--disable-blink-features=WebGPU']),
    ],
  });
}

function launchFirefox({ webgpu, scheme }) {
  return puppeteer.launch({
    browser: 'firefox',
    defaultViewport,
    executablePath: executable('FIREFOX'),
    extraPrefsFirefox: {
      'dom.webgpu.enabled': webgpu,
      'dom.webgpu.workers.enabled': webgpu,
      'gfx.webgpu.ignore-blocklist': webgpu,
      'layout.css.prefers-color-scheme.content-override': scheme === 'dark' ? 0 : 1,
    },
  });
}

function executable(variable) {
  const path = process.env[variable];
  if (!path) throw new Error(`${variable} is not set: run these tests with \`cargo xtask test --only browser\``);
  return path;
}
