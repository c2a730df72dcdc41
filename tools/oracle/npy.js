// Reads and writes NumPy's .npy files as {type, dims, data}, with ONNX Runtime's names for the types.
'use strict';
const fs = require('fs');

// One row per type: .npy descriptor, ONNX Runtime's name, the array that holds it.
const TYPES = [
  ['<f4', 'float32', Float32Array],
  ['<f8', 'float64', Float64Array],
  ['<f2', 'float16', Uint16Array],
  ['<i8', 'int64', BigInt64Array],
  ['<u8', 'uint64', BigUint64Array],
  ['<i4', 'int32', Int32Array],
  ['<u4', 'uint32', Uint32Array],
  ['<i2', 'int16', Int16Array],
  ['<u2', 'uint16', Uint16Array],
  ['|i1', 'int8', Int8Array],
  ['|u1', 'uint8', Uint8Array],
  ['|b1', 'bool', Uint8Array],
];

function read(path) {
  const file = fs.readFileSync(path);
  if (file.length < 10 || file.toString('latin1', 0, 6) !== '\x93NUMPY') throw new Error(`${path}: not a .npy file`);
  const longHeader = file[6] >= 2;
  const headerStart = longHeader ? 12 : 10;
  const start = headerStart + (longHeader ? file.readUInt32LE(8) : file.readUInt16LE(8));
  const header = file.toString('latin1', headerStart, start);
  const descriptor = /'descr':\s*'([^']*)'/.exec(header)[1];
  if (/'fortran_order':\s*True/.test(header)) throw new Error(`${path}: column-major arrays are not read`);
  const dims = /'shape':\s*\(([^)]*)\)/.exec(header)[1].split(',').filter((s) => s.trim()).map(Number);
  const row = TYPES.find((t) => t[0] === descriptor);
  if (!row) throw new Error(`${path}: element type ${descriptor} is not read`);
  const count = dims.reduce((a, b) => a * b, 1);
  const bytes = new Uint8Array(count * row[2].BYTES_PER_ELEMENT);
  if (file.length - start < bytes.length) throw new Error(`${path}: shorter than its shape [${dims}]`);
  bytes.set(file.subarray(start, start + bytes.length));
  return { type: row[1], dims, data: new row[2](bytes.buffer) };
}

function write(path, { type, dims, data }) {
  const row = TYPES.find((t) => t[1] === type);
  if (!row) throw new Error(`${path}: element type ${type} is not written`);
  const shape = dims.length === 1 ? `${dims[0]},` : dims.join(', ');
  let header = `{'descr': '${row[0]}', 'fortran_order': False, 'shape': (${shape}), }`;
  header = header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11) + '\n';
  const prefix = Buffer.alloc(10);
  prefix.write('\x93NUMPY\x01\x00', 'latin1');
  prefix.writeUInt16LE(header.length, 8);
  const bytes = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  fs.writeFileSync(path, Buffer.concat([prefix, Buffer.from(header, 'latin1'), bytes]));
}

module.exports = { read, write };
