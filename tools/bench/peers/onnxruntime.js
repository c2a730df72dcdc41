#!/usr/bin/env node
// ONNX Runtime as a peer of the benchmark; what it is told and answers: tools/bench/peer.py.
'use strict';
const path = require('path');
const readline = require('readline');
const npy = require('../../oracle/npy.js');
const oracle = require('../../oracle/ort.js');

const found = oracle.load();
const state = {};

function take(inputs) {
  state.feeds = {};
  for (const [name, file] of Object.entries(inputs)) {
    const { type, dims, data } = npy.read(file);
    state.feeds[name] = new found.ort.Tensor(type, data, dims);
  }
}

async function load({ model, threads, inputs }) {
  const start = process.hrtime.bigint();
  state.session = await oracle.session(found.ort, model, threads);
  const loadMs = Number(process.hrtime.bigint() - start) / 1e6;
  take(inputs);
  return { load_ms: loadMs };
}

async function answer({ folder, inputs }) {
  if (inputs) take(inputs);
  const outputs = await state.session.run(state.feeds);
  for (const name of state.session.outputNames) npy.write(path.join(folder, oracle.fileName(name)), outputs[name]);
  return {};
}

async function time({ seconds, least }) {
  const times = [];
  let total = 0;
  await state.session.run(state.feeds);
  while (times.length < least || total < seconds * 1e3) {
    const start = process.hrtime.bigint();
    await state.session.run(state.feeds);
    times.push(Number(process.hrtime.bigint() - start) / 1e6);
    total += times[times.length - 1];
  }
  return { ms: times };
}

const VERBS = {
  hello: async () => (found ? { version: found.version } : { missing: 'tools/oracle/install.sh installs it' }),
  load, answer, time,
};

async function main() {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const request = JSON.parse(line);
    let reply;
    try {
      reply = await VERBS[request.do](request);
    } catch (error) {
      reply = { error: error.message };
    }
    process.stdout.write(JSON.stringify(reply) + '\n');
  }
}

main();
