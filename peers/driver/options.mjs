// The options: [--only NAME,…] [--lengths N,…] [--longest N] [--no-survival]

import { parseArgs } from 'node:util';

/** The options of this process; `only` as a list. */
export function readOptions() {
  const { values } = parseArgs({
    options: { only: { type: 'string' }, lengths: { type: 'string' }, longest: { type: 'string' }, 'no-survival': { type: 'boolean' } },
  });
  return { ...values, only: values.only?.split(',') };
}
