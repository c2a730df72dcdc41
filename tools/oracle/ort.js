// Finds ONNX Runtime for node: where node looks, else where tools/oracle/install.sh puts it.
'use strict';
const os = require('os');
const path = require('path');

// {ort, version}, or null where it is not installed.
function load() {
  const cache = process.env.AGATE_CACHE || path.join(os.homedir(), '.cache', 'agate');
  for (const where of ['onnxruntime-node', path.join(cache, 'oracle', 'node_modules', 'onnxruntime-node')]) {
    try {
      return { ort: require(where), version: require(path.join(where, 'package.json')).version };
    } catch (error) {
      if (error.code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  return null;
}

// A session that runs on this many threads.
function session(ort, model, threads, optimization = 'all') {
  return ort.InferenceSession.create(model, {
    intraOpNumThreads: threads, interOpNumThreads: 1, executionMode: 'sequential',
    graphOptimizationLevel: optimization, logSeverityLevel: 3,
  });
}

// The file that an output is written to.
function fileName(output) {
  return output.replace(/[^A-Za-z0-9._-]/g, '_') + '.npy';
}

module.exports = { load, session, fileName };
