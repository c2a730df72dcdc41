#!/usr/bin/env node
// Runs a model in ONNX Runtime, as the oracle for agate's answers.
//
//   ort_run.js MODEL --input [NAME=]FILE.npy ... [--output-dir DIR] [--threads N] [--unoptimized]
//
// With --output-dir each output is written as DIR/NAME.npy, where characters of the name other than letters, digits,
// '.', '_' and '-' become '_'; without it their types and shapes are printed.
'use strict';
const fs = require('fs');
const path = require('path');
const npy = require('./npy.js');
const oracle = require('./ort.js');

const USAGE = fs.readFileSync(__filename, 'utf8').split('\n').slice(1, 7).map((line) => line.slice(3)).join('\n');

function fail(message) {
  process.stderr.write(`ort_run: ${message}\n`);
  process.exit(1);
}

function parseArguments(words) {
  const options = { inputs: [], threads: 1, outputDir: null, model: null, optimization: 'all' };
  const count = (word, what) => {
    if (!/^[0-9]+$/.test(word || '')) fail(`${what} wants a number`);
    return Number(word);
  };
  for (let i = 0; i < words.length; i++) {
    if (words[i] === '--help') { process.stdout.write(USAGE + '\n'); process.exit(0); }
    else if (words[i] === '--input') options.inputs.push(words[++i]);
    else if (words[i] === '--output-dir') options.outputDir = words[++i];
    else if (words[i] === '--threads') options.threads = count(words[++i], '--threads');
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

async function main() {
  const options = parseArguments(process.argv.slice(2));
  const found = oracle.load();
  if (!found) fail('ONNX Runtime is not installed; tools/oracle/install.sh does it');
  const { ort } = found;
  const session = await oracle.session(ort, options.model, options.threads, options.optimization);
  const feeds = readInputs(session, ort, options.inputs);
  const outputs = await session.run(feeds);
  for (const name of session.outputNames) {
    if (!options.outputDir) {
      process.stdout.write(`${name}: ${outputs[name].type}[${outputs[name].dims}]\n`);
      continue;
    }
    fs.mkdirSync(options.outputDir, { recursive: true });
    npy.write(path.join(options.outputDir, oracle.fileName(name)), outputs[name]);
  }
}

main().catch((error) => fail(error.message));
