// The page's start. The program is a module of its own, beside this one.
import init from './page.js';

await init();
