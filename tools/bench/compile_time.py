#!/usr/bin/python3
"""Draws how long agate compiles over the size of what it compiles, to see that it is linear.

  compile_time.py [--agate PATH] [--output-dir DIR] [--repeat N] [--most-nodes N] [MODEL.onnx...]

Generates CIFAR's residual networks, ResNet-20 to ResNet-1202 with BatchNorm kept, and graphs of blocks that all differ in
width, so that no two kernels are the same code; models given are added as they are. Writes compile_time.json and
compile_time.svg: the processor time of `agate compile` on one thread, and the time of each pass, over the nodes of the
file. Each is the least of some repetitions, and processor time, so that a busy machine changes little. The last lines say
by which power of the size the time grows from the middle to the largest; above 1.25 the exit code is 1.
"""
import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
import onnx

import machine

sys.path.insert(0, os.path.join(machine.ROOT, 'tools', 'models'))
from onnx_builder import Builder

DEPTHS = (3, 9, 18, 36, 72, 120, 200)     # blocks of each width: ResNet-20 to ResNet-1202
VARIED = (20, 40, 80, 160, 280, 400)      # blocks; the last is beyond 2,000 nodes
MOST_POWER = 1.25
PASS = re.compile(r'^\s*([0-9.]+) ms\s+[0-9.]+ %\s+(?!in all)(\S+)')


class Generator:
    def __init__(self):
        self.builder, self.random, self.count = Builder(13), np.random.RandomState(1), 0

    def node(self, op, inputs, **attributes):
        self.count += 1
        return self.builder.node(op, inputs, f'{op.lower()}_{self.count}', **attributes)

    def conv(self, x, inputs, outputs, stride=1, size=3):
        weights = self.random.standard_normal((outputs, inputs, size, size)) * math.sqrt(2 / (inputs * size * size))
        name = self.builder.weight(f'weights_{self.count}', weights.astype(np.float32))
        x = self.node('Conv', [x, name], kernel_shape=[size, size], strides=[stride] * 2, pads=[size // 2] * 4)
        self.count += 1
        ones = np.ones(outputs, np.float32)
        return self.builder.batch_norm(x, f'norm_{self.count}', ones, 0.1 * ones, 0 * ones, ones, 1e-5)

    def block(self, x, inputs, outputs, stride=1):
        """The paper's, with its shortcut of zeros."""
        y = self.node('Relu', [self.conv(x, inputs, outputs, stride)])
        y = self.conv(y, outputs, outputs)
        if stride > 1:
            cut = [self.builder.weight(f'cut_{self.count}_{i}', np.array(v, np.int64))
                   for i, v in enumerate(([0, 0], [2**31, 2**31], [2, 3], [2, 2]))]
            half = (outputs - inputs) // 2
            pads = self.builder.weight(f'pads_{self.count}', np.array([0, half, 0, 0, 0, half, 0, 0], np.int64))
            x = self.node('Pad', [self.node('Slice', [x, *cut]), pads])
        return self.node('Relu', [self.node('Add', [y, x])])

    def finish(self, x, channels, path):
        x = self.node('Flatten', [self.node('GlobalAveragePool', [x])])
        weights = self.builder.weight('classes', self.random.standard_normal((channels, 10)).astype(np.float32))
        self.builder.output(self.node('Gemm', [x, weights]), ['N', 10])
        self.builder.save(path, 'generated', 'compile_time')


def cifar(depth, path):
    g = Generator()
    x = g.node('Relu', [g.conv(g.builder.input('input', ['N', 3, 32, 32]), 3, 16)])
    for inputs, outputs in ((16, 16), (16, 32), (32, 64)):
        for index in range(depth):
            first = index == 0 and outputs != inputs
            x = g.block(x, inputs if first else outputs, outputs, 2 if first else 1)
    g.finish(x, 64, path)


def varied(blocks, path):
    """No two blocks have the same widths outside and inside, so each has two kernels that no other block has."""
    g, inside, outside = Generator(), 32, 16
    x = g.node('Relu', [g.conv(g.builder.input('input', ['N', 3, 8, 8]), 3, outside)])
    for index in range(blocks):
        if index and index % inside == 0:
            x, outside = g.node('Relu', [g.conv(x, outside, outside + 1, size=1)]), outside + 1
        width = 16 + index % inside
        y = g.node('Relu', [g.conv(x, outside, width, size=1)])
        x = g.node('Relu', [g.node('Add', [g.conv(y, width, outside, size=1), x])])
    g.finish(x, outside, path)


def processor_seconds(command):
    """Of a program and what it starts."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"compile_time: {' '.join(command)}: {said.strip()}")
    return usage.ru_utime + usage.ru_stime


def pass_times(agate, path):
    """Milliseconds by pass; what runs several times is summed."""
    done = subprocess.run([agate, 'dump', path, '--time-passes', '--threads', '1'], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, check=True)
    times = {}
    for milliseconds, name in (m.groups() for m in map(PASS.match, done.stderr.splitlines()) if m):
        times[name] = times.get(name, 0) + float(milliseconds)
    if not times:
        sys.exit('compile_time: no pass is in what agate dump --time-passes says')
    return times


def measure(agate, path, repeat, scratch):
    graph = onnx.load(path, load_external_data=False).graph
    runs = [processor_seconds([agate, 'compile', path, '-o', os.path.join(scratch, 'out.so'), '--threads', '1'])
            for _ in range(repeat)]
    passes = [pass_times(agate, path) for _ in range(repeat)]
    return dict(nodes=len(graph.node), seconds=min(runs), passes={name: min(p.get(name, 0) for p in passes)
                                                                           for name in passes[0]})


def power(rows, value):
    """The exponent of growth from the middle one to the largest."""
    middle, last = rows[len(rows) // 2 - 1], rows[-1]
    if len(rows) < 2 or min(value(middle), value(last)) <= 0:
        return 0.0
    return math.log(value(last) / value(middle)) / math.log(last['nodes'] / middle['nodes'])


def draw(curves, path):
    import matplotlib
    matplotlib.use('Agg')
    matplotlib.rcParams['svg.hashsalt'] = 'agate'
    from matplotlib import pyplot
    grown = [name for name, rows in curves.items() if len(rows) > 1]
    figure, axes = pyplot.subplots(1, 1 + len(grown), squeeze=False, figsize=(5 + 5 * len(grown), 4.5))
    whole, *parts = axes[0]
    for name, rows in curves.items():
        nodes = [row['nodes'] for row in rows]
        line, = whole.plot(nodes, [row['seconds'] for row in rows], 'o-', ms=4, label=name)
        if len(rows) > 1:
            slope = rows[-1]['seconds'] / rows[-1]['nodes']
            whole.plot([0, nodes[-1]], [0, slope * nodes[-1]], '--', lw=0.8, color=line.get_color())
    whole.set_title('agate compile, one thread: processor time, s\n(dashed: in proportion to the largest)', fontsize=9)
    for axis, name in zip(parts, grown):
        rows = curves[name]
        for each in sorted(rows[-1]['passes'], key=rows[-1]['passes'].get, reverse=True)[:7]:
            axis.plot([row['nodes'] for row in rows], [row['passes'].get(each, 0) for row in rows], 'o-', ms=3, label=each)
        axis.set_title(f'{name}: the longest passes, ms', fontsize=9)
    for axis in axes[0]:
        axis.set_xlabel('nodes of the ONNX file', fontsize=8)
        axis.set_xlim(0)
        axis.set_ylim(0)
        axis.legend(fontsize=7)
        axis.grid(lw=0.3)
    figure.tight_layout()
    figure.savefig(path, metadata=dict(Date=None))
    # The same as a picture of points, for those who cannot look at the other.
    figure.savefig(os.path.splitext(path)[0] + '.png', dpi=100)


def run(arguments, scratch):
    """Name of each curve to its points."""
    curves, path = {}, os.path.join(scratch, 'model.onnx')
    for name, make, sizes, per_block in (('CIFAR ResNets', cifar, DEPTHS, 21), ('blocks that differ', varied, VARIED, 7)):
        curves[name] = []
        for size in sizes:
            if size * per_block > arguments.most_nodes:
                continue
            make(size, path)
            row = measure(arguments.agate, path, arguments.repeat, scratch)
            curves[name].append(row)
            print(f"{name}, {row['nodes']} nodes: {row['seconds']:.2f} s", flush=True)
    for model in arguments.models:
        curves[os.path.basename(model)] = [measure(arguments.agate, model, arguments.repeat, scratch)]
    return curves


def main():
    build = os.path.join(machine.ROOT, 'build')
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('models', nargs='*', metavar='MODEL.onnx')
    parser.add_argument('--agate', default=os.path.join(build, 'tools', 'agate'), help='the agate program')
    parser.add_argument('--output-dir', default=os.path.join(build, 'bench'), metavar='DIR', help='default build/bench')
    parser.add_argument('--repeat', type=int, default=3, help='default 3')
    parser.add_argument('--most-nodes', type=int, default=10**6, metavar='N', help='leave larger graphs out')
    arguments = parser.parse_args()
    machine.make_folder('compile_time', arguments.output_dir)
    with tempfile.TemporaryDirectory() as scratch:
        curves = run(arguments, scratch)
    with open(os.path.join(arguments.output_dir, 'compile_time.json'), 'w') as file:
        json.dump(dict(machine=machine.facts(), commit=machine.commit(), curves=curves), file, indent=1)
    draw(curves, os.path.join(arguments.output_dir, 'compile_time.svg'))
    worst = 0.0
    for name, rows in curves.items():
        if len(rows) > 1:
            grown = power(rows, lambda row: row['seconds'])
            worst = max(worst, grown)
            print(f'{name}: compile time grows by the power {grown:.2f} of the nodes')
            for each in sorted(rows[-1]['passes'], key=rows[-1]['passes'].get, reverse=True)[:5]:
                grown = power(rows, lambda row: row['passes'].get(each, 0))
                print(f"    {each}: {rows[-1]['passes'][each]:.1f} ms at {rows[-1]['nodes']} nodes, power {grown:.2f}")
    sys.exit(1 if worst > MOST_POWER else 0)


if __name__ == '__main__':
    main()
