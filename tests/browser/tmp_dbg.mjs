import { BROWSERS } from '/work/main/tests/browser/browsers.mjs';
import { serveInstrumented } from '/work/main/tests/browser/server.mjs';
import { openTrainer, audit } from '/work/main/tests/browser/trainer.mjs';
import * as V from '/work/main/tests/browser/visit.mjs';
import { setTimeout as sleep } from 'node:timers/promises';
const which = process.argv[2] ?? 'Chromium'; const dist=process.argv[3] ?? '/tmp/dist2';
const server = await serveInstrumented(dist);
const b = await BROWSERS.find(x=>x.name===which).launch({webgpu:true, scheme:'light'});
const st=(p)=>p.evaluate(()=>({status:document.querySelector('#status').textContent, err:document.querySelector('#error')?.textContent, notice:document.querySelector('#notice')?.textContent, losses:document.querySelector('[data-losses]')?.dataset.losses, rem:document.querySelector('#apply-remedy')?.textContent}));
async function run(name, f){ const t = await openTrainer(b, server.url); try { await t.waitForState('ready'); await f(t,t.page); } catch(e){console.log(name,'ERR',e.message.slice(0,300));} console.log(name, t.problems.slice(0,3)); await t.close(); }
if(0) await run('audit', async(t,p)=>{ console.log(await audit(t)); });
await run('lost', async(t,p)=>{ await V.prepare(t); await t.press('start'); await t.waitForLosses(2); await t.destroyDevice(); for(let i=0;i<8;i++){await sleep(1500); console.log(JSON.stringify(await st(p)));} });
if(0) await run('oom', async(t,p)=>{ await p.locator('#budget').fill('100000'); await V.prepare(t,{sequenceLength:3000000,strategy:'standard'}); await t.press('start'); for(let i=0;i<6;i++){await sleep(1500); console.log(JSON.stringify(await st(p)));} });
if(0) await run('budget', async(t,p)=>{ await p.locator('#budget').fill('14.5'); await t.choose({sequenceLength:2048,chunk:512}); console.log(await p.$eval('#budget',e=>e.value), await p.$eval('#budget-line',e=>e.textContent)); await t.press('start'); for(let i=0;i<4;i++){await sleep(1500); console.log(JSON.stringify(await st(p)));} });
if(0) await run('link', async(t,p)=>{  await t.choose({ source: 'sort', preset: 'small', sequenceLength: 320, strategy: 'checkpoint' }); await t.press('copy-link'); const link=await p.evaluate(()=>location.href); console.log(link); await p.goto('about:blank'); await p.goto(link); await t.waitForState('ready'); console.log(await p.evaluate(() => ['source', 'preset', 'seq-len', 'strategy', 'learning-rate', 'hidden-size'].map((id) => document.getElementById(id).value)));});
await run('import', async(t,p)=>{ await V.catchDownloads(p); await V.prepare(t); await t.press('step'); await t.waitForLosses(1); await t.waitForState('paused'); await t.press('export'); const {name,bytes}=await V.caught(p); console.log(name, bytes.length); await t.press('reset'); await t.waitForState('ready'); const z=await V.file('/tmp','m.zip',bytes); await (await p.$('#import')).uploadFile(z); for(let i=0;i<4;i++){await sleep(1000); console.log(JSON.stringify(await st(p)), await p.evaluate(()=>!!document.querySelector('#use-seed')));}});
await b.close(); server.close(); process.exit(0);
