// Races: contestants in turn, step by step, so that whatever else the machine does slows all of them.

import { CHECKED_STEPS, START_TOLERANCE, STEP_LIMIT, TIMED_SECONDS, TIMED_STEPS, TOLERANCE, TUNING_LIMIT } from './task.mjs';

/** What a step has come to that took too long. */
export class OverLimit extends Error {}

/** Waits for a step no longer than the limit. */
export async function within(seconds, promise) {
  let timer;
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new OverLimit(`a step takes more than ${seconds} s`)), seconds * 1000);
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Takes steps in rounds until each runner has been timed often enough. A runner has an `entry` of the list of contestants,
 * `step()` and `close()`; its `steps` are filled, and its `end` says if there are no more for another reason. The first step compiles and
 * is not timed; `least` others are, however long they take.
 */
export async function race(runners, log, { least = CHECKED_STEPS - 1 } = {}) {
  const ours = runners.filter(({ entry }) => entry.ours);
  const peers = runners.filter(({ entry }) => !entry.ours);
  // Ours run once more beside each peer, so that every ratio has neighbours.
  const groups = [...peers.map((peer) => [peer, ...ours]), ours].filter((group) => group.length > 0);
  for (let waiting = groups; waiting.length > 0; waiting = groups.filter(([first]) => !isDone(first, least))) {
    for (const runner of waiting.flat()) await takeStep(runner, log);
  }
}

async function takeStep(runner, log) {
  if (runner.end) return;
  try {
    const step = await within(limitOf(runner.entry, runner.steps.length), runner.step());
    runner.steps.push(step);
    log(`${runner.entry.name}: step ${runner.steps.length}, loss ${step.loss.toFixed(6)}, ${step.seconds.toFixed(3)} s`);
  } catch (error) {
    runner.end = ending(error);
    // What it left running would slow the others.
    await runner.close();
    log(`${runner.entry.name}: ${runner.end}`);
  }
}

/** So many timed steps at least, and more where they are short. */
export function isDone({ steps, end }, least) {
  const timed = steps.slice(1);
  const seconds = timed.reduce((sum, step) => sum + step.seconds, 0);
  return Boolean(end) || timed.length >= TIMED_STEPS || (timed.length >= least && seconds >= TIMED_SECONDS);
}

/** Seconds that a contestant's next step may take. */
export function limitOf({ tunes }, taken) {
  return tunes && taken === 0 ? TUNING_LIMIT : STEP_LIMIT;
}

/** Why a contestant goes no further, in one line. */
export function ending(error) {
  const words = error.message.replace(/\s+/g, ' ').trim();
  return words.length > 160 ? `${words.slice(0, 157)}...` : words;
}

/** The median of the timed steps, in seconds; nothing if there is none. */
export function median(steps) {
  const seconds = steps.slice(1).map((step) => step.seconds).sort((a, b) => a - b);
  if (seconds.length === 0) return null;
  const middle = seconds.length >> 1;
  return seconds.length % 2 ? seconds[middle] : (seconds[middle - 1] + seconds[middle]) / 2;
}

/** Sentences about losses that are not what they have to be; none if all is well. */
export function checkLosses(runners, vocabulary) {
  const reference = runners.find(({ entry, steps }) => entry.ours && steps.length > 0);
  if (!reference) return ['nothing of ours ran, so no loss can be compared'];
  return runners.flatMap(({ entry, steps }) => {
    const losses = steps.slice(0, CHECKED_STEPS).map(({ loss }) => loss);
    return entry.same ? apart(entry.name, losses, reference.steps) : startsWrong(entry.name, losses, vocabulary);
  });
}

function apart(name, losses, reference) {
  return losses.flatMap((loss, step) => {
    const expected = reference[step]?.loss;
    // Written so that no number at all is a failure too.
    if (expected === undefined || Math.abs(loss - expected) <= TOLERANCE) return [];
    return [`${name}: the loss of step ${step + 1} is ${loss}, and ours is ${expected}`];
  });
}

/** A model with other weights knows nothing at first, and learns. */
function startsWrong(name, losses, vocabulary) {
  if (losses.length === 0) return [];
  const expected = Math.log(vocabulary);
  const sentences = [];
  if (!(Math.abs(losses[0] - expected) <= START_TOLERANCE)) {
    sentences.push(`${name}: the first loss is ${losses[0]}, and the logarithm of ${vocabulary} is ${expected}`);
  }
  if (losses.length > 1 && !(losses.at(-1) < losses[0])) sentences.push(`${name}: the loss does not fall: ${losses.join(', ')}`);
  return sentences;
}

/**
 * Doubles the length from the one that was last survived until a step fails or takes too long, each time from scratch. `attempt(length)`
 * gives the seconds of a step.
 */
export async function survive({ survived, seconds, longest, limit, attempt, log }) {
  for (let length = survived * 2; length <= longest; length *= 2) {
    // Twice the tokens take twice the time at least.
    if (seconds * 2 > limit) return { survived, end: `more than ${limit} s a step` };
    try {
      seconds = await attempt(length);
      survived = length;
      log(`${length} tokens: ${seconds.toFixed(1)} s`);
    } catch (error) {
      return { survived, end: error instanceof OverLimit ? `more than ${limit} s a step` : ending(error) };
    }
  }
  return { survived, end: 'the longest that was tried' };
}
