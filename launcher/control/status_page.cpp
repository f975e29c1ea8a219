#include "launcher/control/status_page.hpp"

#include "launcher/runtime/bytes.hpp"

#include <array>

#include <openssl/evp.h>

namespace launcher {
namespace {

constexpr std::string_view kStyle = R"css(
:root{color-scheme:light dark;--bg:#f4f5f7;--card:#fff;--ink:#1b1f24;--dim:#5b6672;--line:#d9dee4;--ok:#1a7f4b;--ok2:#d5efe1;
--warn:#9a6700;--warn2:#fbeec9;--bad:#c02b2b;--bad2:#fbdcdc;--idle:#e6eaee;--bar:#2f6fd0}
@media(prefers-color-scheme:dark){:root{--bg:#0f1318;--card:#181e25;--ink:#e6ebf0;--dim:#94a1af;--line:#2b343e;--ok:#4fce8d;
--ok2:#163726;--warn:#e6b94a;--warn2:#3a2f10;--bad:#ff7b7b;--bad2:#471d1f;--idle:#252e38;--bar:#6ea8fe}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,main{max-width:1180px;margin:0 auto;padding:0 16px}
header{padding-top:18px;padding-bottom:10px;display:flex;flex-wrap:wrap;gap:6px 14px;align-items:baseline}
h1{font-size:21px;margin:0}h2{font-size:18px;margin:0}h3{font-size:12px;margin:16px 0 6px;color:var(--dim);
text-transform:uppercase;letter-spacing:.06em}
.dim{color:var(--dim)}.small{font-size:13px}.grow{flex:1}
.pill{display:inline-block;padding:1px 10px;border-radius:99px;font-size:13px;font-weight:600;background:var(--idle)}
.pill.ok{background:var(--ok2);color:var(--ok)}.pill.warn{background:var(--warn2);color:var(--warn)}
.pill.bad{background:var(--bad2);color:var(--bad)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(330px,1fr));gap:16px;margin-bottom:16px}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:16px;min-width:0}
.row{display:flex;flex-wrap:wrap;gap:4px 12px;align-items:baseline}
.sink{padding-top:8px;overflow-wrap:anywhere}
.facts{display:grid;grid-template-columns:repeat(3,1fr);gap:8px;margin:12px 0 0}
.facts b{display:block;font-size:16px;font-weight:600;font-variant-numeric:tabular-nums}
.note{border-radius:8px;padding:10px 12px;margin:12px 0 0;background:var(--idle);overflow-wrap:anywhere}
.note.bad{background:var(--bad2)}.note.warn{background:var(--warn2)}
.probe{margin:0 0 10px}.probe svg{display:block;width:100%;height:auto;margin-top:4px}
svg text{font:11px system-ui,sans-serif;fill:var(--ink)}svg .t{fill:var(--dim)}
.s-ok{fill:var(--ok)}.s-warn{fill:var(--warn)}.s-bad{fill:var(--bad)}.s-idle{fill:var(--idle)}.track{fill:var(--idle)}
.spark{fill:none;stroke:var(--bar);stroke-width:1.5}
table{width:100%;border-collapse:collapse;font-variant-numeric:tabular-nums}th{text-align:right;font-weight:400;color:var(--dim);font-size:12px}
th:first-child,td:first-child{text-align:left;overflow-wrap:anywhere}td{text-align:right;padding:2px 0;border-top:1px solid var(--line)}
footer{max-width:1180px;margin:0 auto;padding:0 16px 24px}
)css";

constexpr std::string_view kScript = R"js(
'use strict';
const STAGES=['resolve','connect','tls','request','headers','body'];
const FAILED={dns_error:0,tcp_refused:1,tcp_timeout:1,tls_timeout:2,tls_closed:2,tls_error:2,send_timeout:3,
http_headers_timeout:4,http_closed:4,http_malformed:4,http_status:4,http_body_timeout:5,http_body_mismatch:5};
const LEVELS=['trace','debug','info','warn','error','fatal'];
const EVERY=2000,LIMIT=3000,KEEP=60;
let before=null;const rates={};
function el(name,attributes,...children){
  const svg=['svg','rect','text','polyline','title','g'].includes(name);
  const node=svg?document.createElementNS('http://www.w3.org/2000/svg',name):document.createElement(name);
  for(const key in attributes||{})node.setAttribute(key,attributes[key]);
  for(const child of children.flat())if(child!==null&&child!==undefined)node.append(child);
  return node;
}
function span(s){
  if(s===null||s===undefined)return '–';
  s=Math.max(0,Math.floor(s));const d=Math.floor(s/86400),h=Math.floor(s/3600)%24,m=Math.floor(s/60)%60;
  return d?`${d} d ${h} h`:h?`${h} h ${m} min`:m?`${m} min ${s%60} s`:`${s} s`;
}
function ms(v){return v<0.1?'<0.1 ms':v<10?v.toFixed(1)+' ms':v<1000?Math.round(v)+' ms':(v/1000).toFixed(1)+' s';}
function bytes(b){const u=['B','KiB','MiB','GiB','TiB'];let i=0;while(b>=1024&&i<4){b/=1024;i++}
  return (i&&b<10?b.toFixed(1):Math.round(b))+' '+u[i];}
function rate(r){return r===null?'–':r===0?'0':r<10?r.toFixed(1):String(Math.round(r));}
function clock(iso){return iso?iso.slice(11,19)+' UTC':'never';}
function tone(service){
  if(service.freeze.state==='frozen'||service.state==='failed')return 'bad';
  if(service.state==='ready'&&service.freeze.state==='none')return 'ok';
  return service.state==='exited'||service.state==='pending'?'':'warn';
}
function outcomeTone(result){return result==='ok'?'ok':result==='probe_late'||result==='probe_error'?'warn':'bad';}
function stagePicture(probe){
  const last=probe.last,w=60,failed=last&&last.result in FAILED?FAILED[last.result]:-1;
  const svg=el('svg',{viewBox:`0 0 ${w*6} 46`,role:'img','aria-label':probe.name+' probe: '+(last?last.result:'not run yet')});
  STAGES.forEach((stage,i)=>{
    const value=last&&last.stages_ms[stage],reached=value!==undefined&&value!==null;
    const kind=i===failed?'bad':reached?'ok':'idle';
    const share=reached?Math.min(1,Math.max(.06,(Math.log10(value+.01)+2)/5.6)):0;
    svg.append(el('rect',{class:'track',x:i*w+1,y:14,width:w-4,height:14,rx:3}),
      el('rect',{class:'s-'+kind,x:i*w+1,y:14,width:(w-4)*(i===failed?1:share),height:14,rx:3}),
      el('text',{class:reached||i===failed?'':'t',x:i*w+1,y:10},stage),
      el('text',{class:'t',x:i*w+1,y:41},reached?ms(value):i===failed?'failed':'–'));
  });
  return svg;
}
function history(probe){
  const svg=el('svg',{viewBox:'0 0 360 12',role:'img','aria-label':'last results, oldest first'});
  probe.recent.slice(-20).forEach((result,i)=>svg.append(
    el('rect',{class:'s-'+outcomeTone(result),x:i*18+1,y:1,width:14,height:8,rx:2},el('title',null,result))));
  return svg;
}
function probeView(probe){
  const last=probe.last,name=last?last.result:'not run yet';
  return el('div',{class:'probe'},
    el('div',{class:'row small'},el('b',null,probe.name),el('span',{class:'dim'},probe.kind),
      el('span',{class:'pill '+(last?outcomeTone(name):'')},name),
      last?el('span',{class:'dim'},`${probe.consecutive} in a row · ${ms(last.total_ms)} · last ok ${clock(probe.last_ok)}`):null),
    stagePicture(probe),history(probe),
    last&&last.detail?el('div',{class:'small dim'},last.detail):null);
}
function totals(log,pick){let sum=0;for(const stream of ['stdout','stderr'])if(log[stream])sum+=pick(log[stream]);return sum;}
function measure(document){
  const at=performance.now(),now={};
  for(const service of document.services){
    const log=service.log,lines={};
    for(const level of LEVELS)lines[level]=totals(log,s=>s.lines[level]);
    now[service.name]={lines,bytes:totals(log,s=>LEVELS.reduce((n,l)=>n+s.bytes[l],0)),dropped:log.dropped};
    const r=rates[service.name]||(rates[service.name]={history:[]});
    const old=before&&before.services[service.name],seconds=before?(at-before.at)/1000:0;
    if(old&&seconds>0){
      r.lines={};let all=0;
      for(const level of LEVELS){r.lines[level]=Math.max(0,lines[level]-old.lines[level])/seconds;all+=r.lines[level]}
      r.all=all;r.bytes=Math.max(0,now[service.name].bytes-old.bytes)/seconds;
      r.history.push(all);if(r.history.length>KEEP)r.history.shift();
    }
  }
  before={at,services:now};
}
function spark(values){
  const top=Math.max(1,...values),points=values.map((v,i)=>`${(i*360/Math.max(1,KEEP-1)).toFixed(1)},${(30-28*v/top).toFixed(1)}`);
  return el('svg',{viewBox:'0 0 360 32',role:'img','aria-label':'lines per second over the last two minutes'},
    el('polyline',{class:'spark',points:points.join(' ')}));
}
function logView(service){
  const r=rates[service.name],known=r&&r.lines,show=LEVELS.slice(1,5);
  const cell=level=>rate(known?r.lines[level]:null);
  return el('div',null,
    el('table',null,el('thead',null,el('tr',null,el('th',null,'per second'),show.map(l=>el('th',null,l)),el('th',null,'bytes'))),
      el('tbody',null,el('tr',null,el('td',null,'lines'),show.map(l=>el('td',null,cell(l))),
        el('td',null,known?bytes(r.bytes):'–')))),
    r&&r.history.length>1?spark(r.history):null,
    el('div',{class:'small dim'},service.log.dropped?`${service.log.dropped} records lost`:'no record lost'));
}
function fact(name,value){return el('div',null,el('span',{class:'small dim'},name),el('b',null,value));}
function freezeView(service){
  const freeze=service.freeze;
  if(freeze.state==='frozen')return el('div',{class:'note bad'},el('b',null,'Frozen: '+freeze.class),
    el('div',null,freeze.last_sentence||'The diagnosis is being made.'),
    el('div',{class:'small dim'},`since ${clock(freeze.since)}; the process is left as it is`));
  if(freeze.state==='suspect')return el('div',{class:'note warn'},'A time-out: '+(freeze.class||'')+'. Two more make a freeze.');
  if(freeze.count)return el('div',{class:'note'},el('b',null,`Last freeze (of ${freeze.count})`),el('div',null,freeze.last_sentence||'without a diagnosis'));
  return null;
}
function serviceView(service){
  const p=service.process,exit=service.exit;
  return el('section',{class:'card'},
    el('div',{class:'row'},el('h2',null,service.name),el('span',{class:'pill '+tone(service)},service.freeze.state==='frozen'?'frozen':service.state),
      service.phase?el('span',{class:'dim'},'phase '+service.phase):null,el('span',{class:'grow'}),
      el('span',{class:'dim small'},service.pid?'pid '+service.pid:'no process')),
    exit?el('div',{class:'note bad'},'Ended: '+('signal' in exit?(exit.signal_name||'signal '+exit.signal):'exit code '+exit.code)):null,
    freezeView(service),
    el('div',{class:'facts'},fact('up for',span(service.uptime_seconds)),
      fact('ready after',service.time_to_ready_seconds===null?'–':ms(service.time_to_ready_seconds*1000)),
      fact('memory',p?bytes(p.rss_bytes):'–'),fact('threads',p?p.threads:'–'),
      fact('descriptors',p?p.open_fds:'–'),fact('CPU time',p?span(p.cpu_seconds):'–')),
    el('h3',null,'Probes'),service.probes.length?service.probes.map(probeView):el('div',{class:'dim small'},'none configured'),
    el('h3',null,'Log'),logView(service));
}
function sinkView(sinks){
  return el('section',{class:'card'},el('h2',null,'Log outputs'),sinks.map(s=>el('div',{class:'row sink'},
    el('b',null,s.name),el('span',{class:'pill '+(s.up&&s.state==='ok'?'ok':'warn')},s.state),
    el('span',{class:'dim small'},`${bytes(s.queue_bytes)} waiting · ${s.written} written · ${s.dropped} lost`))));
}
function show(document_){
  measure(document_);
  const l=document_.launcher,state=document.getElementById('state');
  state.textContent=l.state;state.className='pill '+(l.state==='running'?'ok':'warn');
  document.getElementById('about').textContent=`version ${l.version} · pid ${l.pid}${l.pid1?' (PID 1)':''} · up ${span(l.uptime_seconds)} · config ${l.config.source}`;
  document.getElementById('when').textContent='as of '+clock(document_.time||new Date().toISOString());
  document.getElementById('services').replaceChildren(...document_.services.map(serviceView));
  document.getElementById('sinks').replaceChildren(l.log.sinks.length?sinkView(l.log.sinks):'');
  document.getElementById('silence').replaceChildren();
}
let silentSince=null;
async function refresh(){
  const stop=new AbortController(),timer=setTimeout(()=>stop.abort(),LIMIT);
  try{
    const answer=await fetch('status',{signal:stop.signal,cache:'no-store'});
    if(!answer.ok)throw new Error('status '+answer.status);
    show(await answer.json());silentSince=null;
  }catch(error){
    silentSince=silentSince||new Date();
    document.getElementById('silence').replaceChildren(el('div',{class:'note bad'},
      `The launcher has not answered since ${silentSince.toISOString().slice(11,19)} UTC (${error.message}). What you see is old.`));
  }finally{clearTimeout(timer);setTimeout(refresh,EVERY);}
}
refresh();
)js";

std::string hash_source(std::string_view text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr);
    std::array<unsigned char, 4 * ((EVP_MAX_MD_SIZE + 2) / 3) + 1> base64{};
    const int length = EVP_EncodeBlock(base64.data(), digest.data(), static_cast<int>(size));
    const runtime::ByteView encoded(base64.data(), static_cast<std::size_t>(length));
    return "'sha256-" + std::string(runtime::as_text(encoded)) + "'";
}

std::string build_page() {
    std::string page = R"(<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>KMS launcher</title>
<link rel="icon" href="data:,">
<style>)";
    page.append(kStyle).append(R"(</style>
</head>
<body>
<header><h1>KMS launcher</h1><span id="state" class="pill" role="status">asking</span><span class="grow"></span>
<span id="when" class="dim small"></span><div id="about" class="dim small"></div></header>
<main>
<div id="silence" role="alert"></div>
<noscript><p class="note warn">This page draws what <a href="status">/status</a> says and needs JavaScript for it.</p></noscript>
<div id="services" class="cards"></div>
<div id="sinks" class="cards"></div>
</main>
<footer class="dim small">Nothing is ever restarted: a frozen service is shown, not touched.
<a href="status">status</a> · <a href="metrics">metrics</a> · <a href="readyz?verbose">ready?</a></footer>
<script>)");
    page.append(kScript).append("</script>\n</body>\n</html>\n");
    return page;
}

}  // namespace

const std::string& status_page() {
    static const std::string page = build_page();
    return page;
}

const std::string& status_page_policy() {
    static const std::string policy =
        "default-src 'none'; style-src " + hash_source(kStyle) + "; script-src " +
        hash_source(kScript) +
        "; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'";
    return policy;
}

}  // namespace launcher
