// Pointing at what is shown. Without a GPU, Firefox composes its windows in the thread that runs the shaders: while that is busy, a pointer
// can meet what was there before. A person would point again.

import { setTimeout } from 'node:timers/promises';

const POLL_MS = 100;
/** An act that shows nothing after this time has missed; so many in a row do not. */
const EFFECT_MS = 10_000;
const MOST_TRIES = 3;

/** What `condition` gives as soon as that is true; its last answer if it is not within the time. */
export async function trueWithin(millis, condition) {
  for (const end = Date.now() + millis; ; await setTimeout(POLL_MS)) {
    const answer = await condition();
    if (answer || Date.now() >= end) return answer;
  }
}

/** Acts until that has an effect, a few times. `act` is given the number of the try: a pointer that does not move is not seen. */
export async function actUntil(hasEffect, act) {
  for (let tries = 0; tries < MOST_TRIES; tries++) {
    await act(tries);
    if (await trueWithin(EFFECT_MS, hasEffect)) return;
  }
  throw new Error(`after ${MOST_TRIES} tries: not ${hasEffect}`);
}

/** The centre of an element, once that stays where it is. */
export async function centre(page, selector) {
  const place = () => page.$eval(selector, (element) => {
    const { left, top, width, height } = element.getBoundingClientRect();
    return [left + width / 2, top + height / 2];
  });
  let before = await place();
  await trueWithin(EFFECT_MS, async () => {
    await page.evaluate(() => new Promise((resolve) => { requestAnimationFrame(() => requestAnimationFrame(resolve)); }));
    const now = await place();
    const stays = now.every((value, axis) => value === before[axis]);
    before = now;
    return stays;
  });
  return before;
}
