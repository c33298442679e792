// StreamBP: the same crate and kernels as the page's.

import init, { Ours } from './ours/peers_ours.js';

/** Opens a run; `variant` is `fastest` or `stream`. The task is compiled in. */
export async function open({ length }, variant) {
  await init();
  const trainer = await Ours.open(length, variant);
  return { detail: trainer.strategy(), step: () => trainer.step() };
}
