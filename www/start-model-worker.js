// The model worker's start. Its program is loaded by whoever opens or saves a model; what the page says until then waits here.
import init from './model_worker.js';

const waiting = [];
onmessage = (message) => waiting.push(message);
// The page hears of errors, but not of rejected promises.
init().then(() => waiting.forEach((message) => onmessage(message))).catch(reportError);
