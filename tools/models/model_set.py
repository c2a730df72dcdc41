"""Folders of models for tools/oracle/check_networks.py: NAME.onnx, NAME.json, inputs and reference outputs as .npy."""
import glob
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

BATCHES = (1, 3, 8)
HERE = os.path.dirname(os.path.abspath(__file__))
RUNNER = os.path.join(HERE, '..', 'oracle', 'ort_run.js')


def ort_output(model_path, input_name, input_path):
    """ONNX Runtime's answer of a model with one input and one output; None when ONNX Runtime is not installed."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(['node', RUNNER, model_path, '--input', f'{input_name}={input_path}', '--output-dir', folder],
                                  capture_output=True, text=True)
        except FileNotFoundError:
            return None
        if done.returncode == 0:
            return np.load(glob.glob(os.path.join(folder, '*.npy'))[0])
    if 'not installed' in done.stderr:
        return None
    return sys.exit(f'{model_path}: {done.stderr.strip()}')


def add_model(folder, name, batches, input_files, ends, fallback=None, **facts):
    """Writes the reference outputs of NAME.onnx and NAME.json; returns the outputs by batch.

    `input_files` maps a batch to its .npy in the folder, `ends` is the pair of input and output names, `fallback` answers
    a batch where ONNX Runtime is not installed, `facts` go into the manifest.
    """
    outputs, entries, reference = {}, [], 'onnxruntime'
    for batch in batches:
        output_file = f'{name}.b{batch}.output.npy'
        outputs[batch] = ort_output(os.path.join(folder, name + '.onnx'), ends[0], os.path.join(folder, input_files[batch]))
        if outputs[batch] is None:
            if fallback is None:
                sys.exit('ONNX Runtime is not installed; tools/oracle/install.sh does it')
            outputs[batch], reference = fallback(batch), 'torch'
        np.save(os.path.join(folder, output_file), outputs[batch])
        entries.append(dict(batch=batch, inputs={ends[0]: input_files[batch]}, outputs={ends[1]: output_file}))
    manifest = dict(name=name, model=name + '.onnx', **facts, reference=reference, batches=entries)
    with open(os.path.join(folder, name + '.json'), 'w') as file:
        json.dump(manifest, file, indent=2)
        file.write('\n')
    size = os.path.getsize(os.path.join(folder, name + '.onnx')) / 1e6
    print(f'{name}: {size:.1f} MB, reference by {reference}', flush=True)
    return outputs


def default_folder(*inside):
    """A folder in the cache."""
    return os.path.join(os.environ.get('AGATE_CACHE') or os.path.expanduser('~/.cache/agate'), *inside)
