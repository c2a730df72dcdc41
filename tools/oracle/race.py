#!/usr/bin/python3
"""Times agate against ONNX Runtime on the same models, in turns, so that both meet the same state of the machine.

  race.py --agate PATH [--rounds N] [--runs N] [--threads N] [--batch N] [--isa I] [--only NAME...] [MODELS...]

MODELS are folders written by tools/models/export_torch.py or trained_set.py (default: the models/ folder). Each round
runs both programs once, and each of them warms up before it measures. Prints the median of the rounds' medians in ms.
"""
import argparse
import glob
import json
import os
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def measure(command):
    """median_ms out of the JSON a program prints."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"race: {' '.join(command)}: {done.stderr.strip()}")
    return json.loads(done.stdout)['median_ms']


def race(manifest_path, arguments):
    with open(manifest_path) as file:
        manifest = json.load(file)
    entry = next((e for e in manifest['batches'] if e['batch'] == arguments.batch), None)
    if entry is None:
        return
    folder = os.path.dirname(manifest_path)
    model = os.path.join(folder, manifest['model'])
    threads = str(arguments.threads)
    agate = [arguments.agate, 'bench', model, '--json', '--threads', threads, '--batch', str(arguments.batch)]
    agate += ['--isa', arguments.isa] if arguments.isa else []
    oracle = ['node', os.path.join(HERE, 'ort_run.js'), model, '--time', str(arguments.runs), '--threads', threads]
    for name, file in entry['inputs'].items():
        oracle += ['--input', f'{name}={os.path.join(folder, file)}']
    ours, theirs = [], []
    for _ in range(arguments.rounds):
        ours.append(measure(agate))
        theirs.append(measure(oracle))
    first, second = statistics.median(ours), statistics.median(theirs)
    print(f"{manifest['name']:28} {first:9.2f} {second:9.2f} {first / second:7.2f}", flush=True)


def main():
    root = os.path.normpath(os.path.join(HERE, '..', '..'))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('models', nargs='*', default=[os.path.join(root, 'models')], metavar='MODELS')
    parser.add_argument('--agate', required=True, help='the agate program')
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--runs', type=int, default=20, help="ONNX Runtime's runs in each round (default 20)")
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--isa', help="agate's cap; ONNX Runtime has none")
    parser.add_argument('--only', nargs='+', metavar='NAME')
    arguments = parser.parse_args()
    print(f"{'model':28} {'agate':>9} {'onnxrt':>9} {'ratio':>7}   {arguments.threads} thread(s), batch {arguments.batch}, ms")
    for folder in arguments.models:
        for path in sorted(glob.glob(os.path.join(folder, '*.json'))):
            if not arguments.only or os.path.basename(path)[:-len('.json')] in arguments.only:
                race(path, arguments)


if __name__ == '__main__':
    main()
