#!/usr/bin/python3
"""Times agate and every peer that is installed on the same models and inputs, in turns, in one run.

  bench.py [OPTION]... [MODELS...]

MODELS are folders that tools/models/export_torch.py or trained_set.py wrote, or .onnx files (default: the models/ folder).
For each model, batch and number of threads, every peer loads the model in a process of its own and answers; answers that
do not agree with the reference are not timed, and make the exit code 1. Then the peers take turns for some rounds. Writes
bench.json, bench.md and bench.svg (see report.py), the peaks of the machine among them, measured before and after.

Another peer is one executable file: see peer.py.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np

import machine
import peer as peers
import report

sys.path.insert(0, os.path.join(machine.ROOT, 'tools', 'oracle'))
import check_networks
from compare import ATOL, RTOL, compare

LEAST_RUNS = 3


class Cell:
    """One network at one batch and number of threads."""

    def __init__(self, network, batch, threads, settings):
        self.network, self.batch, self.threads, self.settings = network, batch, threads, settings
        self.results, self.running, self.rounds = {}, [], {}

    def load(self, contenders):
        for contender in contenders:
            contender.start()
            self.rounds[contender.name] = []
            try:
                loaded = contender.ask('load', model=os.path.abspath(self.network.path), threads=self.threads,
                                       inputs=self.network.inputs[self.batch], dims=self.network.dims)
                self.check(contender)
                self.results[contender.name] = dict(load_ms=loaded['load_ms'])
                self.running.append(contender)
            except peers.Fault as fault:
                self.results[contender.name] = {fault.kind: str(fault)}
                contender.stop()

    def check(self, contender):
        """Holds its answer against the reference; raises where they differ."""
        with tempfile.TemporaryDirectory() as folder:
            contender.ask('answer', folder=folder)
            answer = check_networks.Outputs.in_folder(folder)
        try:
            reference = self.network.reference(self.batch)
        except (check_networks.Problem, FileNotFoundError):
            # Without ONNX Runtime the first that answers is what the others are held against.
            reference = self.network.references[self.batch] = answer
        if answer.keys() != reference.keys():
            raise peers.Fault('disagrees', f'outputs {sorted(answer)} where {sorted(reference)} were expected')
        for name in answer:
            ok, text = compare(reference[name], answer[name], self.settings.rtol, self.settings.atol)
            if not ok:
                raise peers.Fault('disagrees', f'{name}: {text}')

    def race(self):
        """The rounds; who begins changes from one to the next. Returns the share of the cores that others took."""
        seconds, foreign, wall = self.settings.seconds / self.settings.rounds, 0.0, 0.0
        for index in range(self.settings.rounds):
            turn = index % len(self.running)
            for contender in self.running[turn:] + self.running[:turn]:
                start, busy, spent = time.monotonic(), machine.busy_seconds(), contender.cpu_seconds()
                self.rounds[contender.name].append(contender.ask('time', seconds=seconds, least=LEAST_RUNS)['ms'])
                wall += time.monotonic() - start
                foreign += machine.busy_seconds() - busy - (contender.cpu_seconds() - spent)
        return max(0.0, foreign) / (wall * os.cpu_count())

    def summarize(self):
        for contender in self.running:
            times = sorted(t for r in self.rounds[contender.name] for t in r)
            self.results[contender.name].update(
                median_ms=statistics.median(times), min_ms=times[0], p90_ms=times[-(-9 * len(times) // 10) - 1],
                runs=len(times), round_ms=[statistics.median(r) for r in self.rounds[contender.name]],
                peak_rss_bytes=contender.peak_rss_bytes())

    def run(self, contenders):
        cell = dict(network=self.network.name, batch=self.batch, threads=self.threads, load_average=machine.load_average())
        try:
            self.load(contenders)
            if self.running:
                cell['foreign_share'] = self.race()
                self.summarize()
        except peers.Fault as fault:
            cell['fault'] = str(fault)
        finally:
            for contender in contenders:
                contender.stop()
        cell['peers'] = self.results
        return cell


def flops(agate, network):
    """Of one row, and of a run whatever its rows."""
    words = [word for name, size in network.dims.items() for word in ('--dim', f'{name}={size}')]
    done = subprocess.run([agate, 'info', '--json', network.path, *words], capture_output=True, text=True)
    return json.loads(done.stdout)['flops'] if done.returncode == 0 else dict(per_row=0, fixed=0)


def grow(network, batch, scratch):
    """Makes a batch that the set does not have out of its largest, row after row."""
    largest = max(network.inputs)
    if batch in network.inputs:
        return

    def repeat(array):
        return np.ascontiguousarray(np.take(array, np.arange(batch) % largest, axis=0))

    network.inputs[batch] = {}
    for index, (name, path) in enumerate(network.inputs[largest].items()):
        network.inputs[batch][name] = os.path.join(scratch, f'{network.name}.{batch}.{index}.npy')
        np.save(network.inputs[batch][name], repeat(np.load(path)))
    if largest in network.references:
        known = network.references[largest].items()
        network.references[batch] = check_networks.Outputs((name, repeat(array)) for name, array in known)


def say(cell):
    """One line as the run goes."""
    words = []
    for name, result in cell['peers'].items():
        kind = next((k for k in report.FAULTS if k in result), None)
        words.append(f'{name} {kind}: {result[kind]}' if kind else f"{name} {result.get('median_ms', 0):.2f} ms")
    noise = '  (others were busy)' if report.noisy(cell) else ''
    print(f"{cell['network']} batch {cell['batch']} threads {cell['threads']}: {'; '.join(words)}{noise}", flush=True)


def run(settings, contenders, result, scratch):
    """Fills result['cells']."""
    for network in check_networks.networks(settings, scratch):
        work = flops(settings.agate, network)
        for batch in settings.batches if len(network.inputs) > 1 else list(network.inputs):
            grow(network, batch, scratch)
            for threads in settings.threads:
                cell = Cell(network, batch, threads, settings).run(contenders)
                cell['flops'] = work['per_row'] * batch + work['fixed']
                say(cell)
                result['cells'].append(cell)
                # A long run that is broken off has been worth its while.
                write(settings, result)


def measure_peaks(settings, result):
    for threads in settings.threads:
        rows = result['peaks'].setdefault(str(threads), [])
        rows.append(machine.peaks(settings.agate, threads, settings.isa))


def write(settings, result):
    path = os.path.join(settings.output_dir, 'bench.json')
    with open(path + '.new', 'w') as file:
        json.dump(result, file, indent=1)
        file.write('\n')
    os.replace(path + '.new', path)


def parse_arguments():
    def numbers(text):
        return [int(word) for word in text.split(',')]

    build = os.path.join(machine.ROOT, 'build')
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('models', nargs='*', default=[os.path.join(machine.ROOT, 'models')], metavar='MODELS')
    parser.add_argument('--only', nargs='+', metavar='NAME', help='these of the folders only')
    parser.add_argument('--threads', type=numbers, default=[1, 2], metavar='N,...', help='default 1,2')
    parser.add_argument('--batches', type=numbers, default=[1, 8, 16], metavar='N,...', help='default 1,8,16')
    parser.add_argument('--rounds', type=int, default=7, help='turns that each peer gets (default 7)')
    parser.add_argument('--seconds', type=float, default=3.0, help='for each peer, over all its turns (default 3)')
    parser.add_argument('--output-dir', default=os.path.join(build, 'bench'), metavar='DIR', help='default build/bench')
    parser.add_argument('--agate', default=os.path.join(build, 'tools', 'agate'), help='the agate program')
    parser.add_argument('--library', default=os.path.join(build, 'libagate.so'), help='the library that is timed')
    parser.add_argument('--isa', help="agate's cap; the peers have none")
    parser.add_argument('--peers', action='append', default=[os.path.join(peers.HERE, 'peers')], metavar='FOLDER',
                        help='another folder of peers')
    parser.add_argument('--without', nargs='+', default=[], metavar='PEER', help='leave these out')
    parser.add_argument('--rtol', type=float, default=RTOL)
    parser.add_argument('--atol', type=float, default=ATOL)
    settings = parser.parse_args()
    if min([settings.rounds, *settings.threads, *settings.batches]) < 1 or settings.seconds < 0:
        parser.error('rounds, threads and batches are 1 or more, seconds 0 or more')
    return settings


def faulty(cell):
    return 'fault' in cell or any('disagrees' in result or 'error' in result for result in cell['peers'].values())


def main():
    settings = parse_arguments()
    os.makedirs(settings.output_dir, exist_ok=True)
    environment = dict(AGATE_LIBRARY=os.path.abspath(settings.library))
    if settings.isa:
        environment['AGATE_ISA'] = settings.isa
    found = peers.find(settings.peers, environment, settings.without)
    for peer, hello in found:
        print(f"{peer.name}: {hello.get('version') or 'not there: ' + hello['missing']}", flush=True)
    contenders = [peer for peer, hello in found if 'version' in hello]
    if not contenders:
        sys.exit('bench: no peer is there')
    result = dict(format=1, when=time.strftime('%Y-%m-%d %H:%M'), commit=machine.commit(), machine=machine.facts(),
                  load_average=[machine.load_average()],
                  settings=dict(rounds=settings.rounds, seconds=settings.seconds, isa=settings.isa),
                  peers={peer.name: hello for peer, hello in found}, peaks={}, cells=[])
    measure_peaks(settings, result)
    with tempfile.TemporaryDirectory() as scratch:
        run(settings, contenders, result, scratch)
    if not result['cells']:
        sys.exit('bench: no models; tools/models/export_torch.py writes some')
    measure_peaks(settings, result)
    result['load_average'].append(machine.load_average())
    write(settings, result)
    report.write(result, settings.output_dir)
    print(f'written: {settings.output_dir}/bench.json, bench.md, bench.svg')
    sys.exit(1 if any(map(faulty, result['cells'])) else 0)


if __name__ == '__main__':
    main()
