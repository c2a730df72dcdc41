#!/usr/bin/env node
// Runs a model in ONNX Runtime, as the oracle for agate's answers and times.
//
//   ort_run.js MODEL --input [NAME=]FILE.npy ... [--output-dir DIR] [--threads N] [--unoptimized]
//   ort_run.js MODEL --input [NAME=]FILE.npy ... --time RUNS [--warm-up RUNS] [--threads N]
//
// With --output-dir each output is written as DIR/NAME.npy, where characters of the name other than letters, digits,
// '.', '_' and '-' become '_'. With --time one line of JSON goes to standard output, times in milliseconds.
'use strict';
const fs = require('fs');
const os = require('os');
const path = require('path');
const npy = require('./npy.js');

const USAGE = fs.readFileSync(__filename, 'utf8').split('\n').slice(1, 8).map((line) => line.slice(3)).join('\n');

function fail(message) {
  process.stderr.write(`ort_run: ${message}\n`);
  process.exit(1);
}

function loadRuntime() {
  const cache = process.env.AGATE_CACHE || path.join(os.homedir(), '.cache', 'agate');
  for (const where of ['onnxruntime-node', path.join(cache, 'oracle', 'node_modules', 'onnxruntime-node')]) {
    try {
      return { ort: require(where), version: require(path.join(where, 'package.json')).version };
    } catch (error) {
      if (error.code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  return fail('ONNX Runtime is not installed; tools/oracle/install.sh does it');
}

function parseArguments(words) {
  const options = { inputs: [], threads: 1, warmUp: 5, runs: 0, outputDir: null, model: null, optimization: 'all' };
  const count = (word, what) => {
    if (!/^[0-9]+$/.test(word || '')) fail(`${what} wants a number`);
    return Number(word);
  };
  for (let i = 0; i < words.length; i++) {
    if (words[i] === '--help') { process.stdout.write(USAGE + '\n'); process.exit(0); }
    else if (words[i] === '--input') options.inputs.push(words[++i]);
    else if (words[i] === '--output-dir') options.outputDir = words[++i];
    else if (words[i] === '--threads') options.threads = count(words[++i], '--threads');
    else if (words[i] === '--time') options.runs = count(words[++i], '--time');
    else if (words[i] === '--warm-up') options.warmUp = count(words[++i], '--warm-up');
    else if (words[i] === '--unoptimized') options.optimization = 'disabled';
    else if (words[i].startsWith('--') || options.model) fail(`unexpected '${words[i]}'; see --help`);
    else options.model = words[i];
  }
  if (!options.model) fail('no model given; see --help');
  return options;
}

function readInputs(session, ort, words) {
  const feeds = {};
  words.forEach((word, index) => {
    const equals = word.indexOf('=');
    const name = equals > 0 ? word.slice(0, equals) : session.inputNames[index];
    const { type, dims, data } = npy.read(equals > 0 ? word.slice(equals + 1) : word);
    if (!session.inputNames.includes(name)) fail(`the model has no input '${name}', but ${session.inputNames}`);
    feeds[name] = new ort.Tensor(type, data, dims);
  });
  return feeds;
}

async function time(session, feeds, options, version) {
  const samples = [];
  for (let i = 0; i < options.warmUp; i++) await session.run(feeds);
  for (let i = 0; i < options.runs; i++) {
    const start = process.hrtime.bigint();
    await session.run(feeds);
    samples.push(Number(process.hrtime.bigint() - start) / 1e6);
  }
  samples.sort((a, b) => a - b);
  const at = (share) => Number(samples[Math.min(samples.length - 1, Math.floor(share * samples.length))].toFixed(4));
  const report = {
    runtime: 'onnxruntime', version, model: path.basename(options.model), threads: options.threads, warm_up: options.warmUp,
    runs: options.runs, median_ms: at(0.5), min_ms: at(0), p90_ms: at(0.9), p99_ms: at(0.99),
  };
  process.stdout.write(JSON.stringify(report) + '\n');
}

async function main() {
  const options = parseArguments(process.argv.slice(2));
  const { ort, version } = loadRuntime();
  const session = await ort.InferenceSession.create(options.model, {
    intraOpNumThreads: options.threads, interOpNumThreads: 1, executionMode: 'sequential',
    graphOptimizationLevel: options.optimization, logSeverityLevel: 3,
  });
  const feeds = readInputs(session, ort, options.inputs);
  if (options.runs > 0) await time(session, feeds, options, version);
  if (options.runs > 0 && !options.outputDir) return;
  const outputs = await session.run(feeds);
  for (const name of session.outputNames) {
    if (!options.outputDir) {
      process.stdout.write(`${name}: ${outputs[name].type}[${outputs[name].dims}]\n`);
      continue;
    }
    fs.mkdirSync(options.outputDir, { recursive: true });
    npy.write(path.join(options.outputDir, name.replace(/[^A-Za-z0-9._-]/g, '_') + '.npy'), outputs[name]);
  }
}

main().catch((error) => fail(error.message));
