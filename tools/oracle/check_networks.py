#!/usr/bin/python3
"""Runs networks through agate and holds the answers against ONNX Runtime's.

  check_networks.py --agate PATH [--only NAME...] [--isa host,avx2] [--threads 1,2] [--batches 1,3,8] [--float64]
                    [--precision P] [MODELS...]

MODELS are folders that tools/models/export_torch.py or trained_set.py wrote, or .onnx files, which get seeded inputs
(default: the models/ folder). Checked for each network: outputs within the tolerance for every batch, thread count and
ISA; the same bits for every thread count; the same bits for a row alone and in a batch; for trained networks the same
top-5. One PASS, FAIL or SKIP line per check; the last line counts them.

With --float64, what differs from ONNX Runtime by more than the tolerance is judged by the same network computed in
float64 through torch (onnx_torch.py): it passes where no more of agate's values than of ONNX Runtime's are beyond the
tolerance there, and the line says how far each of them is off.

With --precision bf16, f16 or f32x3, agate's products are narrower. Then the answers are held against float64 alone, with the tolerance
that accuracy.py derives from the bits of the factors, and the same bits are asked for as ever. The first class of a row of a trained network must be that of float64 wherever that leads by more than the tolerance
(twice as much is what errors within it could take away); how many rows have the same first and the same five is reported.
"""
import argparse
import glob
import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np

import accuracy
from compare import ATOL, RTOL, beyond, compare

HERE = os.path.dirname(os.path.abspath(__file__))
RUNNER = os.path.join(HERE, 'ort_run.js')
BATCHES = (1, 3, 8)
TIMEOUT_SECONDS = 300


class Problem(Exception):
    """A program said no; the text is the first line it said."""


def run_program(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        raise Problem(f'no answer within {TIMEOUT_SECONDS} s')
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or ['(no message)']
        how = f'signal {-done.returncode}' if done.returncode < 0 else f'exit {done.returncode}'
        raise Problem(f'{how}: {lines[0]}')


def file_name(output):
    """The file an output is written to: its name with unusual characters replaced."""
    return re.sub(r'[^A-Za-z0-9._-]', '_', output) + '.npy'


def input_arguments(paths):
    return [word for name, path in paths.items() for word in ('--input', f'{name}={path}')]


class Outputs(dict):
    """Output file name to array."""

    @classmethod
    def of(cls, command):
        with tempfile.TemporaryDirectory() as folder:
            run_program(command + ['--output-dir', folder])
            return cls.in_folder(folder)

    @classmethod
    def in_folder(cls, folder):
        return cls((os.path.basename(p), np.load(p)) for p in glob.glob(os.path.join(folder, '*.npy')))

    def same_bits(self, other):
        return self.keys() == other.keys() and all(self[k].tobytes() == other[k].tobytes() for k in self)

    @classmethod
    def joined(cls, parts):
        """The rows of several, one after the other."""
        return cls((name, np.concatenate([part[name] for part in parts])) for name in parts[0])

    def row(self, index):
        return Outputs((name, array[index:index + 1]) for name, array in self.items())


class Network:
    """A model file, and for each batch its input files and, where they are known, ONNX Runtime's outputs."""

    def __init__(self, name, path, trained=False, dims=None):
        self.name, self.path, self.trained = name, path, trained
        self.dims = dims or {}  # sizes of free dimensions other than the batch
        self.inputs, self.references, self.exact_outputs = {}, {}, {}

    @classmethod
    def from_manifest(cls, path):
        with open(path) as file:
            manifest = json.load(file)
        folder = os.path.dirname(path)
        network = cls(manifest['name'], os.path.join(folder, manifest['model']), manifest['trained'],
                      manifest.get('dims'))
        for entry in manifest['batches']:
            batch = entry['batch']
            network.inputs[batch] = {k: os.path.join(folder, v) for k, v in entry['inputs'].items()}
            if manifest['reference'] == 'onnxruntime':
                network.references[batch] = Outputs((file_name(k), np.load(os.path.join(folder, v)))
                                                    for k, v in entry['outputs'].items())
        return network

    @classmethod
    def from_model(cls, path, scratch):
        """Seeded inputs by the model's own shapes; the first dimension is the batch where it is a symbol."""
        import onnx  # only here: large, and manifests need none of it
        graph = onnx.load(path).graph
        network = cls(os.path.splitext(os.path.basename(path))[0], path)
        weights = {w.name for w in graph.initializer}
        values = [v for v in graph.input if v.name not in weights]
        shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in values}
        if not all(all(shape[1:]) for shape in shapes.values()):
            sys.exit(f'check_networks: {path}: only the first dimension may be a symbol; write a manifest for this one')
        fixed = all(shape[:1] and shape[0] > 0 for shape in shapes.values())
        for batch in [next(iter(shapes.values()))[0]] if fixed else BATCHES:
            network.inputs[batch] = {}
            for name, shape in shapes.items():
                target = os.path.join(scratch, f'{network.name}.b{batch}.{len(network.inputs[batch])}.npy')
                # One stream per input, so that a smaller batch is the start of a larger one.
                np.save(target, np.random.RandomState(1).standard_normal([batch] + shape[1:]).astype(np.float32))
                network.inputs[batch][name] = target
        return network

    def reference(self, batch):
        if batch not in self.references:
            # As the model is written: what ONNX Runtime makes of it when it optimizes is sometimes something else.
            command = ['node', RUNNER, self.path, '--unoptimized']
            self.references[batch] = Outputs.of(command + input_arguments(self.inputs[batch]))
        return self.references[batch]

    def exact(self, batch):
        """The outputs in float64."""
        if batch not in self.exact_outputs:
            import exact  # only here: it takes torch
            inputs = self.arrays(batch)
            known = max((b for b in self.exact_outputs if b < batch and self.begins_with(b, inputs)), default=0)
            try:
                more = exact.outputs(self.path, {name: array[known:] for name, array in inputs.items()})
            except exact.Unsupported as problem:
                raise Problem(f'no float64 of it: {problem}')
            self.exact_outputs[batch] = Outputs((file_name(k), v) for k, v in more.items())
            if known:
                self.exact_outputs[batch] = Outputs.joined([self.exact_outputs[known], self.exact_outputs[batch]])
        return self.exact_outputs[batch]

    def arrays(self, batch):
        return {name: np.load(path) for name, path in self.inputs[batch].items()}

    def begins_with(self, batch, inputs):
        return all(np.array_equal(array, inputs[name][:batch]) for name, array in self.arrays(batch).items())


def dim_arguments(network):
    return [word for dim, size in network.dims.items() for word in ('--dim', f'{dim}={size}')]


def info(agate, network, *words):
    """What agate says of it; empty where it cannot read it."""
    done = subprocess.run([agate, 'info', '--json', network.path, *dim_arguments(network), *words], capture_output=True, text=True)
    return json.loads(done.stdout) if done.returncode == 0 else {}


class Checker:
    def __init__(self, arguments):
        self.arguments = arguments
        self.allowed = accuracy.TOLERANCES.get(arguments.precision)  # None: products of f32
        self.counts = dict(PASS=0, FAIL=0, SKIP=0)

    def report(self, verdict, network, what, text):
        self.counts[verdict] += 1
        print(f'{verdict} {network.name} {what}: {text}', flush=True)

    def agate(self, network, inputs, threads, isa):
        command = [self.arguments.agate, 'run', network.path, '--threads', str(threads)]
        command += dim_arguments(network) + ['--precision', self.arguments.precision]
        command += [] if isa == 'host' else ['--isa', isa]
        return Outputs.of(command + input_arguments(inputs))

    def check_values(self, network, batch, threads, isa, answer):
        what = f'batch={batch} threads={threads} isa={isa}'
        reference = network.exact(batch) if self.allowed else network.reference(batch)
        if answer.keys() != reference.keys():
            self.report('FAIL', network, what, f'outputs {sorted(answer)} where {sorted(reference)} were expected')
        for name in answer.keys() & reference.keys():
            if self.allowed:
                ok, text = self.judge_narrow(network, reference[name], answer[name])
                self.report('PASS' if ok else 'FAIL', network, what, text)
                continue
            ok, text = compare(reference[name], answer[name], self.arguments.rtol, self.arguments.atol, network.trained)
            if not ok and self.arguments.float64 and reference[name].shape == answer[name].shape:
                ok, text = self.judge(network.exact(batch)[name], answer[name], reference[name])
            self.report('PASS' if ok else 'FAIL', network, what, text)

    def judge(self, exact, ours, theirs):
        """Which of the two is how far from the float64 result."""
        counts, words = [], []
        for who, array in (('agate', ours), ('ONNX Runtime', theirs)):
            counts.append(int(beyond(exact, array, self.arguments.rtol, self.arguments.atol).sum()))
            words.append(f'{who} {counts[-1]} beyond, max error {np.abs(array - exact).max():.2g}')
        return counts[0] <= counts[1], f"against float64, of {exact.size} values: {'; '.join(words)}"

    def judge_narrow(self, network, exact, answer):
        if exact.shape != answer.shape:
            return False, f'shape {list(answer.shape)} where {list(exact.shape)} was expected'
        if exact.dtype.kind != 'f':
            return True, f'{int((exact != answer).sum())} of {exact.size} values differ'
        found = accuracy.measure(exact, answer)
        ok = found['max'] <= self.allowed and not (network.trained and found.get('margin', 0) > self.allowed)
        return ok, f'{accuracy.say(found)}; {self.allowed:g} allowed'

    def check_bits(self, network, isa, what, first, second):
        same = first.same_bits(second)
        self.report('PASS' if same else 'FAIL', network, f'{what} isa={isa}', 'same bits' if same else 'other bits')

    def check_last_row(self, network, batch, threads, isa, answer):
        """The last row of a batch, run alone."""
        with tempfile.TemporaryDirectory() as folder:
            alone = {}
            for index, (name, path) in enumerate(network.inputs[batch].items()):
                alone[name] = os.path.join(folder, f'{index}.npy')
                np.save(alone[name], np.load(path)[-1:])
            row = self.agate(network, alone, threads, isa)
        self.check_bits(network, isa, f'row {batch - 1} alone', row, answer.row(batch - 1))

    def check_isa(self, network, isa):
        batches = [b for b in network.inputs if b in self.arguments.batches] or list(network.inputs)
        answers = {}
        for batch in batches:
            for threads in self.arguments.threads:
                answer = self.agate(network, network.inputs[batch], threads, isa)
                self.check_values(network, batch, threads, isa, answer)
                answers[batch, threads] = answer
        first = self.arguments.threads[0]
        for threads in self.arguments.threads[1:]:
            for batch in batches:
                self.check_bits(network, isa, f'batch={batch} threads={first} and {threads}', answers[batch, first],
                                answers[batch, threads])
        if len(batches) > 1:
            self.check_last_row(network, batches[-1], first, isa, answers[batches[-1], first])

    def check(self, network):
        for isa in self.arguments.isa:
            try:
                self.check_isa(network, isa)
            except Problem as problem:
                self.report('FAIL', network, f'isa={isa}', str(problem))


def networks(arguments, scratch):
    for place in arguments.models:
        if os.path.isdir(place):
            for path in sorted(glob.glob(os.path.join(place, '*.json'))):
                if not arguments.only or os.path.basename(path)[:-len('.json')] in arguments.only:
                    yield Network.from_manifest(path)
        else:
            yield Network.from_model(place, scratch)


def main():
    root = os.path.normpath(os.path.join(HERE, '..', '..'))

    def numbers(text):
        return [int(word) for word in text.split(',')]

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('models', nargs='*', default=[os.path.join(root, 'models')], metavar='MODELS')
    parser.add_argument('--agate', required=True, help='the agate program')
    parser.add_argument('--only', nargs='+', metavar='NAME')
    parser.add_argument('--isa', type=lambda text: text.split(','), default=['host', 'avx2'])
    parser.add_argument('--threads', type=numbers, default=[1, 2])
    parser.add_argument('--batches', type=numbers, default=list(BATCHES))
    parser.add_argument('--precision', choices=['f32', 'f32x6', *accuracy.TOLERANCES], default='f32', help='of products in convolutions')
    parser.add_argument('--float64', action='store_true', help='let float64 judge what differs')
    parser.add_argument('--rtol', type=float, default=RTOL)
    parser.add_argument('--atol', type=float, default=ATOL)
    arguments = parser.parse_args()

    checker = Checker(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        for network in networks(arguments, scratch):
            if os.path.exists(network.path):
                checker.check(network)
            else:
                checker.report('SKIP', network, 'all', f'{network.path} is not there')
    counts = checker.counts
    print(f"{counts['PASS']} passed, {counts['FAIL']} failed, {counts['SKIP']} skipped")
    sys.exit(1 if counts['FAIL'] or not counts['PASS'] else 0)


if __name__ == '__main__':
    main()
