"""A network's outputs in float64."""
import hashlib
import os

import numpy as np
import onnx
import torch

import onnx_torch
from onnx_torch import Unsupported  # what compute raises


def compute(model, inputs):
    network = onnx_torch.Network(model, inputs, torch.float64)
    with torch.no_grad():
        answers = network(*(torch.from_numpy(inputs[name]).double() for name in network.input_names))
    return {name: answer.numpy() for name, answer in zip(network.output_names, answers)}


def outputs(path, inputs):
    """By name; `inputs` are arrays by name."""
    return compute(onnx.load(path), inputs)


def kept_outputs(path, inputs, folder):
    """The same, from a file in the folder where they were computed before."""
    model = onnx.load(path)
    key = hashlib.sha256(model.SerializeToString())
    for name in sorted(inputs):
        key.update(f'{name} {inputs[name].dtype} {inputs[name].shape}'.encode())
        key.update(np.ascontiguousarray(inputs[name]))
    kept = os.path.join(folder, key.hexdigest()[:32] + '.npz')
    if not os.path.exists(kept):
        os.makedirs(folder, exist_ok=True)
        np.savez(kept + '.new.npz', **{str(i): array for i, array in enumerate(compute(model, inputs).values())})
        os.replace(kept + '.new.npz', kept)
    with np.load(kept) as file:
        return {value.name: file[str(i)] for i, value in enumerate(model.graph.output)}
