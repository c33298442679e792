import { BROWSERS } from './browsers.mjs';
import { serve } from './server.mjs';
import { openTrainer } from './trainer.mjs';
import { setTimeout } from 'node:timers/promises';
const [,, dist, out, which='Chromium', scheme='light', width='1280', script=''] = process.argv;
const server = await serve(dist);
const b = await BROWSERS.find(x=>x.name===which).launch({webgpu:true, scheme});
const t = await openTrainer(b, server.url);
const p = t.page;
await p.setViewport({width:+width,height:900});
try {
  await t.waitForState('ready');
  console.log('ready', await p.evaluate(()=>performance.now()));
  if (script) await (await import(script)).default(t, p, setTimeout);
} catch(e) { console.log('ERR', e.message); }
await p.screenshot({path:out, fullPage:true});
console.log(t.problems);
await b.close(); server.close();
process.exit(0);
