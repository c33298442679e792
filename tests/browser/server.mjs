// A minimal static server, like any host of the page: files and their types, nothing else.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = path.dirname(fileURLToPath(import.meta.url));

const TYPES = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.ico': 'image/x-icon',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.mjs': 'text/javascript; charset=utf-8',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
  '.woff2': 'font/woff2',
};

/**
 * Serves a directory at 127.0.0.1, at a free port. `under` is the path of the root, and `instead` has replacements for some files. `served`
 * collects the requested files.
 */
export async function serve(directory, { under = '/', instead = {} } = {}) {
  const served = new Set();
  const site = { directory: path.resolve(directory), under, instead, served };
  const server = createServer((request, response) => answer(site, request, response));
  await new Promise((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const close = () => {
    server.close();
    server.closeAllConnections();
  };
  return { url: `http://127.0.0.1:${server.address().port}${under}`, served, close };
}

/** Serves the page with instruments in its workers, for `destroyDevice`, `webgpuMemory` and tests of the model worker; and with more files. */
export function serveInstrumented(directory, more = {}) {
  const instead = {
    ...more,
    'start-worker.js': path.join(HERE, 'instruments/start-worker.js'),
    'native-webgpu.js': path.join(HERE, 'instruments/native-webgpu.js'),
    'start-model-worker.js': path.join(HERE, 'instruments/start-model-worker.js'),
    'start-model-worker-itself.js': path.join(directory, 'start-model-worker.js'),
    'start-worker-itself.js': path.join(directory, 'start-worker.js'),
    'webgpu-memory.js': path.join(HERE, 'node_modules/webgpu-memory/dist/1.x/webgpu-memory.module.js'),
  };
  return serve(directory, { instead });
}

async function answer({ directory, under, instead, served }, request, response) {
  try {
    const address = decodeURIComponent(new URL(request.url, 'http://127.0.0.1').pathname);
    if (!address.startsWith(under)) throw new Error('outside of the site');
    const name = address.slice(under.length);
    const file = instead[name] ?? path.join(directory, name === '' || name.endsWith('/') ? `${name}index.html` : name);
    if (!instead[name] && !file.startsWith(directory + path.sep)) throw new Error('outside of the directory');
    const body = await readFile(file);
    served.add(file);
    response.writeHead(200, { 'Content-Type': TYPES[path.extname(file)] ?? 'application/octet-stream' }).end(body);
  } catch {
    response.writeHead(404, { 'Content-Type': 'text/plain; charset=utf-8' }).end('not found');
  }
}
