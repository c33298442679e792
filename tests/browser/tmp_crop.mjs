// usage: node tmp_crop.mjs dist outprefix browser scheme width script : screenshots of sections
import { BROWSERS } from './browsers.mjs';
import { serve } from './server.mjs';
import { openTrainer } from './trainer.mjs';
import { setTimeout } from 'node:timers/promises';
const [,, dist, out, which='Chromium', scheme='light', width='1280', script=''] = process.argv;
const server = await serve(dist);
const b = await BROWSERS.find(x=>x.name===which).launch({webgpu:true, scheme});
const t = await openTrainer(b, server.url);
const p = t.page;
await p.setViewport({width:+width,height:1200});
try { await t.waitForState('ready'); if (script) await (await import(script)).default(t, p, setTimeout); } catch(e) { console.log('ERR', e.message); }
const H = await p.evaluate(()=>document.documentElement.scrollHeight); console.log('height', H);
for (let y=0,i=0; y<H; y+=1600,i++) await p.screenshot({path:`${out}${i}.png`, clip:{x:0,y,width:+width,height:Math.min(1600,H-y)}, captureBeyondViewport:true});
console.log(t.problems); await b.close(); server.close(); process.exit(0);
