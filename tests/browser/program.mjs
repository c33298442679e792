// A run of the page and the program, which is that of the variable PROGRAM.

import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';

/** The files of a zip in which nothing is compressed, by name. */
export function unzipped(zip) {
  const files = new Map();
  for (let at = 0; zip.readUInt32LE(at) === 0x04034b50;) {
    const [size, nameSize, extraSize] = [zip.readUInt32LE(at + 18), zip.readUInt16LE(at + 26), zip.readUInt16LE(at + 28)];
    const start = at + 30 + nameSize + extraSize;
    files.set(zip.subarray(at + 30, at + 30 + nameSize).toString(), zip.subarray(start, start + size));
    at = start + size;
  }
  return files;
}

/** Writes the files of a zip into a folder. */
export async function unpack(zip, folder) {
  for (const [name, bytes] of unzipped(zip)) {
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
    await writeFile(path.join(folder, name), bytes);
  }
}

/** Resumes a run with the program, which is stopped after that step or a later one. Gives its complaints. */
export async function resume(folder, last) {
  const child = spawn(process.env.PROGRAM, ['train', '--resume', folder, '--checkpoint-every', '1', '--no-tune', '--json'], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.on('data', (text) => { said += text; });
  const ended = new Promise((resolve) => { child.on('close', resolve); });
  for await (const line of createInterface({ input: child.stdout })) {
    if (JSON.parse(line).step >= last) child.kill('SIGINT');
  }
  await ended;
  return said;
}

/** What a run has measured, step by step. */
export async function metrics(folder) {
  const lines = await readFile(path.join(folder, 'metrics.jsonl'), 'utf8');
  return lines.trim().split('\n').map((line) => JSON.parse(line));
}

/** Opens a run in the page: its files, as Firefox does not choose folders for a test, or its zip. */
export async function open(page, ...files) {
  await page.$eval('#open-run', (fold) => { fold.open = true; });
  await (await page.$('#open-run-zip')).uploadFile(...files);
}
