#!/usr/bin/python3
"""Whole networks by agate beside their convolutions alone by oneDNN, in turns.

  convolutions.py [OPTION]... MODEL.onnx...

oneDNN (Debian's libdnnl-dev; build/tools/onednn is built where it is installed) is what PyTorch, TensorFlow and OpenVINO compute
convolutions with. Here it has no more to do than those: each in the layout that it likes, its weights and its input where the last
run left them, no activations, no residual adds, no pools, no matrix products, and nothing converted between two layers. agate
runs the network from input to answer. Prints a Markdown table of medians over the rounds, in ms; a ratio above 1 says that
agate is through with all before oneDNN is with the convolutions.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys

import machine
import report

RUNS = 12    # of all convolutions, in one turn
MARK = 'convolutions'


class Problem(Exception):
    pass


def output_of(command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise Problem(done.stderr.strip() or f'{command[0]} ended with {done.returncode}')
    return json.loads(done.stdout)


def convolutions_of(agate, model, batch):
    """The lines that onednn reads, of the network as it was imported and simplified."""
    graph = output_of([agate, 'dump', model, '--stage', 'canonical', '--format', 'json'])
    types = {value['value']: value['type'] for value in graph['params']}
    types.update((value['value'], value['type']) for node in graph['nodes'] for value in node['results'])

    def sizes(value):
        dims = re.search(r'\[(.*?)\]', types[value]).group(1).split(',')
        return [batch if dim == 'N' else int(dim) for dim in dims]

    lines = []
    for node in graph['nodes']:
        if node['op'] == 'conv':
            x, weights, y = (sizes(value) for value in (*node['operands'][:2], node['results'][0]['value']))
            words = node['attrs']
            lines.append([batch, words['group'], *x[1:], *y[1:], *weights[2:], *words['strides'], *words['dilations'], *words['pads']])
    return lines


class OneDnn:
    def __init__(self, program, precision, threads, lines):
        environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
        self.process = subprocess.Popen([program, precision], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, env=environment)
        self.say('\n'.join(' '.join(map(str, line)) for line in lines))

    def say(self, text):
        try:
            self.process.stdin.write(text + '\n')
            self.process.stdin.flush()
        except BrokenPipeError:
            pass    # it has said why

    def turn(self):
        times = []
        for _ in range(RUNS):
            self.say('go')
            answer = self.process.stdout.readline()
            if not answer:
                raise Problem(self.process.stderr.read().strip() or 'onednn ended')
            times.append(float(answer))
        return statistics.median(times)

    def end(self):
        self.process.communicate()


def measure(arguments, model):
    lines = convolutions_of(arguments.agate, model, arguments.batch)
    command = [arguments.agate, 'bench', model, '--json', '--threads', str(arguments.threads), '--precision', arguments.precision,
               '--batch', str(arguments.batch), '--seconds', str(arguments.seconds)]
    peer = OneDnn(arguments.onednn, arguments.precision, arguments.threads, lines)
    try:
        peer.turn()
        pairs = [(output_of(command)['median_ms'], peer.turn()) for _ in range(arguments.rounds)]
    finally:
        peer.end()
    ours, theirs = (statistics.median(times) for times in zip(*pairs))
    ratio = statistics.median(b / a for a, b in pairs)
    name = os.path.splitext(os.path.basename(model))[0]
    return [name, str(len(lines)), f'{ours:.2f}', f'{theirs:.2f}', f'{ratio:.2f}']


def positive(text):
    if int(text) < 1:
        raise ValueError
    return int(text)


def main():
    tools = os.path.join(machine.ROOT, 'build', 'tools')
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('models', nargs='+', metavar='MODEL.onnx')
    parser.add_argument('--precision', choices=('f32', 'bf16'), default='f32')
    parser.add_argument('--threads', type=positive, default=1)
    parser.add_argument('--batch', type=positive, default=1)
    parser.add_argument('--rounds', type=positive, default=5)
    parser.add_argument('--seconds', type=float, default=1, help='of agate, a round')
    parser.add_argument('--agate', default=os.path.join(tools, 'agate'), help='the agate program')
    parser.add_argument('--onednn', default=os.path.join(tools, 'onednn'), help='the program built of onednn.c')
    parser.add_argument('--publish', action='store_true', help='into docs/benchmark.md, too')
    arguments = parser.parse_args()
    if not os.path.exists(arguments.onednn):
        sys.exit(f'convolutions: {arguments.onednn} is not there: install libdnnl-dev (tools/setup.sh bench), then configure and build again')
    try:
        rows = [measure(arguments, model) for model in arguments.models]
    except Problem as problem:
        sys.exit(f'convolutions: {problem}')
    header = ['network', 'convolutions', 'agate, whole network', 'oneDNN, convolutions alone', 'ratio']
    plural = 's' if arguments.threads > 1 else ''
    lines = [f'{arguments.precision}, {arguments.threads} thread{plural}, batch {arguments.batch}; ms', '', *report.table(header, rows)]
    print('\n'.join(lines))
    if arguments.publish:
        report.replace(os.path.join(machine.ROOT, 'docs', 'benchmark.md'), MARK, lines)


if __name__ == '__main__':
    main()
