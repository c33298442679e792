import { BROWSERS } from './browsers.mjs';
import { serve } from './server.mjs';
import { openTrainer } from './trainer.mjs';
import * as V from './visit.mjs';
import { setTimeout as sleep } from 'node:timers/promises';
const server = await serve('/tmp/dist3');
const b = await BROWSERS.find(x=>x.name==='Firefox').launch({webgpu:true, scheme:'light'});
const t = await openTrainer(b, server.url); await t.waitForState('ready'); await V.prepare(t); await t.press('start'); await t.waitForLosses(1);
const n=async()=>JSON.parse(await t.page.$eval('[data-losses]',e=>e.dataset.losses)).length;
for(let i=0;i<3;i++){await sleep(1000); console.log(await n());}
const o = await b.newPage(); await o.goto('about:blank'); await o.bringToFront(); console.log('hidden', await t.page.evaluate(()=>document.visibilityState));
for(let i=0;i<10;i++){await sleep(1500); console.log(await n(), await t.page.evaluate(()=>document.visibilityState));}
await o.close(); await t.page.bringToFront(); for(let i=0;i<3;i++){await sleep(1000); console.log(await n());}
await b.close(); server.close(); process.exit(0);
