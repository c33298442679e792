// The page's start. The program is a module of its own, beside this one.
import init from './page.js';

await init();

// Browsers have service workers where a site is served safely: by https, or from this machine.
navigator.serviceWorker?.register('service-worker.js').catch((error) => console.warn(`The page will not open offline: ${error}`));
