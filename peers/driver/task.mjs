// Who takes part, and what is asked of them.

import path from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder of this benchmark. */
export const HERE = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');

const program = (name) => path.join(HERE, 'target/release', name);
const ours = (variant) => (length) => [program('ours'), 'train', String(length), variant];
const burn = (variant) => (length) => [program('burn'), path.join(HERE, 'task'), String(length), variant];

/**
 * Every contestant. `ours` is what the others are set against; `same` trains the very same decoder from the same weights, so its losses
 * have to agree with ours; what is not the same has to start at the logarithm of the vocabulary. `far` is what needs the least memory of
 * its kind, and goes on alone to the longest sequence that it survives; `tunes` tries kernels out in its first step.
 */
export const CONTESTANTS = [
  { name: 'StreamBP, fastest', place: 'browser', peer: 'ours', variant: 'fastest', ours: true, same: true },
  { name: 'StreamBP, stream', place: 'browser', peer: 'ours', variant: 'stream', far: true, ours: true, same: true },
  { name: 'TensorFlow.js', place: 'browser', peer: 'tfjs', far: true, same: true },
  { name: 'nanogpt', place: 'browser', peer: 'nanogpt', variant: 'plain', same: false },
  { name: 'nanogpt, checkpointing', place: 'browser', peer: 'nanogpt', variant: 'checkpointing', far: true, same: false },
  { name: 'jax-js', place: 'browser', peer: 'jax', far: true, same: true },
  { name: 'StreamBP, fastest', place: 'native', peer: 'ours', command: ours('fastest'), ours: true, same: true },
  { name: 'StreamBP, stream', place: 'native', peer: 'ours', command: ours('stream'), far: true, ours: true, same: true },
  { name: 'burn', place: 'native', peer: 'burn', command: burn('plain'), tunes: true, same: true },
  { name: 'burn, checkpointing', place: 'native', peer: 'burn', command: burn('checkpointing'), far: true, tunes: true, same: true },
];

/** Who takes part where only names that begin with one of these words are wanted: they, and ours in the same places. */
export function taking(words) {
  const begins = (word) => ({ name }) => name.startsWith(word);
  const unknown = words?.find((word) => !CONTESTANTS.some(begins(word)));
  if (unknown !== undefined) {
    const names = [...new Set(CONTESTANTS.map(({ name }) => name.split(', ')[0]))];
    throw new Error(`no contestant's name begins with "${unknown}": --only takes ${names.join(', ')}`);
  }
  const isNamed = (entry) => !words || words.some((word) => begins(word)(entry));
  const places = new Set(CONTESTANTS.filter(isNamed).map(({ place }) => place));
  return CONTESTANTS.filter((entry) => places.has(entry.place) && (entry.ours || isNamed(entry)));
}

/** Lengths of the sequences that are timed. */
export const LENGTHS = [512, 1024, 2048];
/** The longest sequence that is tried. */
export const LONGEST = 16_384;
/** Seconds that a step may take. */
export const STEP_LIMIT = 120;
/** Seconds that a first step may take in which kernels are tried out. */
export const TUNING_LIMIT = 900;
/** Steps that are timed where they are short. */
export const TIMED_STEPS = 4;
/** Seconds of timed steps after which there are no more than there have to be. */
export const TIMED_SECONDS = 20;
/** How far losses of the same decoder may lie apart. */
export const TOLERANCE = 1e-3;
/** How far from the logarithm of the vocabulary a loss may start where weights are drawn otherwise. */
export const START_TOLERANCE = 0.1;
/** Steps whose losses are compared, of which there are so many at the first length; one that compiles and one that is timed do for the others. */
export const CHECKED_STEPS = 3;
