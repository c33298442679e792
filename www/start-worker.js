// The worker's start. The first message is the page's own program, compiled; what the page says until that runs waits here.
import init from './page.js';

const waiting = [];

onmessage = ({ data: module }) => {
  onmessage = (message) => waiting.push(message);
  // The page hears of errors, but not of rejected promises.
  init({ module_or_path: module }).then(() => waiting.forEach((message) => onmessage(message))).catch(reportError);
};
