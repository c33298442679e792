// Tells which peers the same options let take part, and where: a line for each, as `native burn`. It needs no package, so that it can be
// asked before anything is installed or built.

import { readOptions } from './options.mjs';
import { taking } from './task.mjs';

try {
  const lines = taking(readOptions().only).map(({ place, peer }) => `${place} ${peer}`);
  console.log([...new Set(lines)].join('\n'));
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
