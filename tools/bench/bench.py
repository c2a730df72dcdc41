#!/usr/bin/python3
"""Times agate and every peer that is installed on the same models and inputs, in turns, in one run.

  bench.py [OPTION]... [MODELS...]

MODELS are folders that tools/models/export_torch.py or trained_set.py wrote, or .onnx files (default: the models/ folder).
For each model, batch and number of threads, every peer loads the model in a process of its own and answers; answers that
do not agree with the reference are not timed, and make the exit code 1. In the first cell of a model, answers are also
held against float64. Then the peers take turns for some rounds. Writes bench.json, bench.md and the pictures (see
report.py), the peaks of the machine among them, measured before and after.

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
import results

sys.path.insert(0, os.path.join(machine.ROOT, 'tools', 'oracle'))
import accuracy
import check_networks
from compare import ATOL, RTOL, compare

LEAST_RUNS = 2
EXACT_FLOPS = 3e10  # about so many of a network are spent on float64


class Sample:
    """What is asked of every peer before it is timed, in pieces of the cell's batch, and what the answers should be."""

    def __init__(self, network, batch, rows, scratch):
        self.source = batch if batch > 1 or rows == 1 else max(network.inputs)
        self.network, self.rows = network, rows
        self.arrays = {name: np.load(path)[:rows] for name, path in network.inputs[self.source].items()}
        self.pieces = [self.save(scratch, first, batch) for first in range(0, rows, batch)]
        self.exact = None

    def save(self, scratch, first, batch):
        files = {}
        for index, (name, array) in enumerate(self.arrays.items()):
            files[name] = os.path.join(scratch, f'{self.network.name}.piece{first}.{index}.npy')
            np.save(files[name], array[first:first + batch])
        return files

    def compute_exact(self, folder):
        """In float64, where torch is there and knows all the operators."""
        try:
            import exact
            import onnx_torch
        except ImportError:
            return
        try:
            known = exact.kept_outputs(self.network.path, self.arrays, folder)
            self.exact = {check_networks.file_name(name): array for name, array in known.items()}
        except onnx_torch.Unsupported as reason:
            print(f'{self.network.name}: not in float64: {reason}', flush=True)

    def ask(self, contender):
        answers = []
        for piece in self.pieces:
            with tempfile.TemporaryDirectory() as folder:
                contender.ask('answer', folder=folder, inputs=piece)
                answers.append(check_networks.Outputs.in_folder(folder))
        return answers[0] if len(answers) == 1 else check_networks.Outputs.joined(answers)

    def reference(self, answer):
        try:
            known = self.network.reference(self.source)
        except (check_networks.Problem, FileNotFoundError):
            # Without ONNX Runtime the first that answers is what the others are held against.
            known = self.network.references[self.source] = answer
        return check_networks.Outputs((name, array[:self.rows]) for name, array in known.items())


class Cell:
    """One network at one batch and number of threads."""

    def __init__(self, network, batch, threads, settings):
        self.network, self.batch, self.threads, self.settings = network, batch, threads, settings
        self.results, self.running, self.rounds = {}, [], {}
        self.sample = None

    def load(self, contenders):
        for contender in contenders:
            contender.start()
            self.rounds[contender.name] = []
            try:
                loaded = contender.ask('load', model=os.path.abspath(self.network.path), threads=self.threads,
                                       inputs=self.network.inputs[self.batch], dims=self.network.dims)
                self.results[contender.name] = dict(load_ms=loaded['load_ms']) | self.check(contender)
                self.running.append(contender)
            except peers.Fault as fault:
                self.results[contender.name] = {fault.kind: str(fault)}
                contender.stop()

    def check(self, contender):
        """Holds its answer against the reference; raises where they differ. Returns how far from float64 it is."""
        answer = self.sample.ask(contender)
        reference = self.sample.reference(answer)
        if answer.keys() != reference.keys():
            raise peers.Fault('disagrees', f'outputs {sorted(answer)} where {sorted(reference)} were expected')
        for name in answer:
            ok, text = self.agrees(contender, reference[name], answer[name])
            if not ok:
                raise peers.Fault('disagrees', f'{name}: {text}')
        found = accuracy.measure_all(self.sample.exact, answer) if self.sample.exact else None
        return dict(accuracy=found) if found else {}

    def agrees(self, contender, reference, answer):
        allowed = accuracy.TOLERANCES.get(contender.products)
        if not allowed or reference.shape != answer.shape or reference.dtype.kind != 'f':
            return compare(reference, answer, self.settings.rtol, self.settings.atol)
        found = accuracy.measure(reference, answer)
        return found['max'] <= allowed, f'{accuracy.say(found)}; {allowed:g} allowed'

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
        kind = next((k for k in results.FAULTS if k in result), None)
        words.append(f'{name} {kind}: {result[kind]}' if kind else f"{name} {result.get('median_ms', 0):.2f} ms")
    noise = '  (others were busy)' if results.noisy(cell) else ''
    print(f"{cell['network']} batch {cell['batch']} threads {cell['threads']}: {'; '.join(words)}{noise}", flush=True)


def plan(settings, network, contenders):
    """(batch, threads, peers) of a network's cells; the first is also held against float64."""
    batches = settings.batches if len(network.inputs) > 1 else list(network.inputs)
    places = [(batch, threads) for batch in batches for threads in settings.threads]
    thorough = settings.thorough is None or network.name in settings.thorough
    quick = [contender for contender in contenders if contender.name not in settings.slow]
    yield (*places[0], contenders if thorough else quick)
    for place in places[1:] if thorough else ():
        yield (*place, quick)


def sample_of(network, batch, work, first, scratch, settings):
    rows = batch
    if first and batch == 1:
        rows = int(min(max(network.inputs), max(1, EXACT_FLOPS // max(1, work['per_row']))))
    sample = Sample(network, batch, rows, scratch)
    if first and settings.float64:
        sample.compute_exact(os.path.join(settings.output_dir, 'float64'))
    return sample


def run_network(settings, network, contenders, result, scratch):
    facts = check_networks.info(settings.agate, network)
    work = facts.get('flops', dict(per_row=0, fixed=0))
    for index, (batch, threads, some) in enumerate(plan(settings, network, contenders)):
        grow(network, batch, scratch)
        cell = Cell(network, batch, threads, settings)
        cell.sample = sample_of(network, batch, work, index == 0, scratch, settings)
        found = cell.run(some)
        found['flops'] = work['per_row'] * batch + work['fixed']
        say(found)
        result['cells'].append(found)
        # A long run that is broken off has been worth its while.
        write(settings, result)


def run(settings, contenders, result):
    """Fills result['cells']."""
    with tempfile.TemporaryDirectory() as folder:
        for network in check_networks.networks(settings, folder):
            with tempfile.TemporaryDirectory() as scratch:
                run_network(settings, network, contenders, result, scratch)


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
    parser.add_argument('--thorough', nargs='*', metavar='NAME',
                        help='these at each batch and number of threads, the others at the first alone (default: all)')
    parser.add_argument('--slow', nargs='+', default=[], metavar='PEER',
                        help='these at the first batch and number of threads alone, of the networks of --thorough')
    parser.add_argument('--no-float64', dest='float64', action='store_false', help='do not measure errors')
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
    machine.make_folder('bench', settings.output_dir)
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
    run(settings, contenders, result)
    if not result['cells']:
        sys.exit('bench: no models; tools/models/export_torch.py writes some')
    measure_peaks(settings, result)
    result['load_average'].append(machine.load_average())
    write(settings, result)
    report.write(result, settings.output_dir)
    print(f'written: {settings.output_dir}/bench.json, bench.md and pictures')
    sys.exit(1 if any(map(faulty, result['cells'])) else 0)


if __name__ == '__main__':
    main()
