// Works and writes the profiles that @datadog/pprof, which Pyroscope's SDK for Node.js
// uses, makes of it: node work.js <folder>.
const fs = require('fs');
const path = require('path');
const pprof = require('@datadog/pprof');

const out = process.argv[2];

function hash(n) {
  let h = 7;
  for (let i = 0; i < n; i++) h = (h * 31 + i) | 0;
  return h;
}
function fill(n) { return Array.from({length: n}, (_, i) => ({i, text: `entry ${i}`})); }
class Worker {
  sort(n) { return fill(n).sort((a, b) => b.text.localeCompare(a.text)).length; }
}
function burn(ms) {
  const worker = new Worker();
  for (const end = Date.now() + ms; Date.now() < end;) {
    hash(200000);
    worker.sort(500);
  }
}
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

async function write(name, profile) {
  fs.writeFileSync(path.join(out, name), await pprof.encode(profile));
}

async function time(name, options, labels) {
  pprof.time.start({durationMillis: 60000, intervalMicros: 5000, ...options});
  for (let i = 0; i < 4; i++) {
    if (labels) pprof.time.setContext(labels[i % labels.length]);
    burn(120);
    await pause(20);
  }
  const of = labels && (({context}) => context?.context ?? {});
  await write(name, pprof.time.stop(false, of));
}

async function main() {
  await time('node-wall.pb.gz', {lineNumbers: false});
  await time('node-lines.pb.gz', {lineNumbers: true});
  await time('node-labels.pb.gz', {withContexts: true, collectCpuTime: true}, [{route: '/a b'}, {route: '/c', 'user.id': 'x7'}]);
  pprof.heap.start(1024, 64);
  const kept = [];
  for (let i = 0; i < 20; i++) kept.push(fill(500), Buffer.alloc(1000));
  await write('node-heap.pb.gz', pprof.heap.profile());
  pprof.heap.stop();
  console.log(kept.length);
}

main();
