"""Folders of models for tools/oracle/check_networks.py: NAME.onnx, NAME.json, inputs and reference outputs as .npy."""
import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np

BATCHES = (1, 3, 8)
HERE = os.path.dirname(os.path.abspath(__file__))
RUNNER = os.path.join(HERE, '..', 'oracle', 'ort_run.js')


def ort_outputs(model_path, input_name, input_path, output_names):
    """ONNX Runtime's answers of a model with one input, by name; None when ONNX Runtime is not installed."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(['node', RUNNER, model_path, '--input', f'{input_name}={input_path}', '--output-dir', folder],
                                  capture_output=True, text=True)
        except FileNotFoundError:
            return None
        if done.returncode == 0:
            return {name: np.load(os.path.join(folder, re.sub('[^A-Za-z0-9._-]', '_', name) + '.npy')) for name in output_names}
    if 'not installed' in done.stderr:
        return None
    return sys.exit(f'{model_path}: {done.stderr.strip()}')


def add_model(folder, name, batches, input_files, ends, fallback=None, prefixes=False, **facts):
    """Writes the reference outputs of NAME.onnx and NAME.json; returns the outputs, by name, by batch.

    `input_files` maps a batch to its .npy in the folder, `ends` is the input's name and the names of the outputs,
    `fallback` answers a batch where ONNX Runtime is not installed, `facts` go into the manifest. With `prefixes`, the
    smaller batches are the first rows of the largest, which alone is computed.
    """
    outputs, entries, reference = {}, [], 'onnxruntime'
    input_name, output_names = ends
    for batch in sorted(batches, reverse=True):
        if prefixes and outputs:
            outputs[batch] = {output: array[:batch] for output, array in outputs[max(batches)].items()}
            continue
        model, data = (os.path.join(folder, file) for file in (name + '.onnx', input_files[batch]))
        outputs[batch] = ort_outputs(model, input_name, data, output_names)
        if outputs[batch] is None:
            if fallback is None:
                sys.exit('ONNX Runtime is not installed; tools/oracle/install.sh does it')
            outputs[batch], reference = fallback(batch), 'torch'
    for batch in batches:
        files = {}
        for index, output in enumerate(output_names):
            files[output] = f'{name}.b{batch}.output{index or ""}.npy'
            np.save(os.path.join(folder, files[output]), outputs[batch][output])
        entries.append(dict(batch=batch, inputs={input_name: input_files[batch]}, outputs=files))
    manifest = dict(name=name, model=name + '.onnx', **facts, reference=reference, batches=entries)
    with open(os.path.join(folder, name + '.json'), 'w') as file:
        json.dump(manifest, file, indent=2)
        file.write('\n')
    size = os.path.getsize(os.path.join(folder, name + '.onnx')) / 2**20
    print(f'{name}: {size:.1f} MiB, reference by {reference}', flush=True)
    return outputs


def default_folder(*inside):
    """A folder in the cache."""
    return os.path.join(os.environ.get('AGATE_CACHE') or os.path.expanduser('~/.cache/agate'), *inside)
