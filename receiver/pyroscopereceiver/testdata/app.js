// Pushes profiles of its own work to the server that is its argument, with the SDK of
// Grafana Pyroscope for Node.js.
const Pyroscope = require('@pyroscope/nodejs');

function burn(ms) {
  const end = Date.now() + ms;
  let n = 0;
  while (Date.now() < end) for (let i = 0; i < 1e5; i++) n += i * i;
  return n;
}

async function main() {
  Pyroscope.init({
    serverAddress: process.argv[2], appName: 'node.app', tags: {env: 'test'}, flushIntervalMs: 1000,
    wall: {collectCpuTime: true, samplingDurationMs: 1000}, heap: {samplingIntervalBytes: 16384},
  });
  Pyroscope.start();
  const kept = [];
  for (let i = 0; i < 40; i++) {
    burn(80);
    kept.push(new Array(50000).fill({i}));
    await new Promise((done) => setTimeout(done, 10));
  }
  await Pyroscope.stop();
  console.log(kept.length);
}

main();
