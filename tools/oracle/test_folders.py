#!/usr/bin/python3
"""Writes a set of models as ONNX test folders, for `agate test`: one folder per model, one data set per batch.

  test_folders.py MODELS_DIR OUT_DIR [--only NAME...]

`agate test` compiles a folder's model once and runs every data set on it, so that batches 1, 3 and 8 pass through one
compiled model. The model itself is linked to, not copied.
"""
import argparse
import glob
import json
import os
import sys

import numpy as np
import onnx
from onnx import numpy_helper


def write_tensor(path, name, source):
    with open(path, 'wb') as file:
        file.write(numpy_helper.from_array(np.load(source), name).SerializeToString())


def write_data_set(folder, value_order, models, entry):
    os.makedirs(folder, exist_ok=True)
    for kind, names in value_order.items():
        for index, name in enumerate(names):
            write_tensor(os.path.join(folder, f'{kind}_{index}.pb'), name, os.path.join(models, entry[kind + 's'][name]))


def write_folder(out, models, manifest):
    os.makedirs(out, exist_ok=True)
    link = os.path.join(out, 'model.onnx')
    path = os.path.abspath(os.path.join(models, manifest['model']))
    if os.path.lexists(link):
        os.remove(link)
    os.symlink(path, link)
    graph = onnx.load(path).graph
    weights = {w.name for w in graph.initializer}
    value_order = dict(input=[v.name for v in graph.input if v.name not in weights], output=[v.name for v in graph.output])
    for index, entry in enumerate(manifest['batches']):
        write_data_set(os.path.join(out, f'test_data_set_{index}'), value_order, models, entry)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('models')
    parser.add_argument('out')
    parser.add_argument('--only', nargs='+', metavar='NAME')
    arguments = parser.parse_args()
    count = 0
    for path in sorted(glob.glob(os.path.join(arguments.models, '*.json'))):
        with open(path) as file:
            manifest = json.load(file)
        if arguments.only and manifest['name'] not in arguments.only:
            continue
        write_folder(os.path.join(arguments.out, manifest['name']), arguments.models, manifest)
        count += 1
    print(f'{count} test folders in {arguments.out}')
    sys.exit(0 if count else 1)


if __name__ == '__main__':
    main()
