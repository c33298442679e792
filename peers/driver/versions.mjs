// Which versions took part.

import { readFile } from 'node:fs/promises';
import path from 'node:path';

import { HERE } from './task.mjs';

/** The version of each peer, as the lock files pin it. */
export async function versions() {
  const [packages, cargo] = await Promise.all(['package-lock.json', 'Cargo.lock'].map((name) => readFile(path.join(HERE, name), 'utf8')));
  const npm = (name) => JSON.parse(packages).packages[`node_modules/${name}`].version;
  return {
    versions: {
      'TensorFlow.js': npm('@tensorflow/tfjs'),
      nanogpt: npm('@genai-fi/nanogpt'),
      'jax-js': npm('@jax-js/jax'),
      'webgpu-memory': npm('webgpu-memory'),
      burn: lockedVersion(cargo, 'burn'),
      wgpu: lockedVersion(cargo, 'wgpu'),
    },
  };
}

/** What a Cargo.lock pins a package to. */
export function lockedVersion(lock, name) {
  return lock.match(new RegExp(`name = "${name}"\\nversion = "([^"]+)"`))?.[1] ?? 'unknown';
}
