"""A network's outputs in float64."""
import onnx
import torch

import onnx_torch


def outputs(path, inputs):
    """By name; `inputs` are arrays by name."""
    network = onnx_torch.Network(onnx.load(path), inputs, torch.float64)
    with torch.no_grad():
        answers = network(*(torch.from_numpy(inputs[name]).double() for name in network.input_names))
    return {name: answer.numpy() for name, answer in zip(network.output_names, answers)}
