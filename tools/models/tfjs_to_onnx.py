#!/usr/bin/python3
"""Converts a Keras network in TensorFlow.js's layers format (model.json and its shards) to ONNX.

  tfjs_to_onnx.py MODEL.json OUT.onnx [--form nchw|nhwc] [--batch N|COUNT] [--logits] [--labels-from JSON --labels FILE]

Two spellings of the same network: `nchw`, with paddings folded into the operators, a GlobalAveragePool and a Gemm; and
`nhwc`, as exporters for TensorFlow write it: an NHWC input with a Transpose, stand-alone Pads, ReduceMean, MatMul and Add.
"""
import argparse
import json
import os
import sys

import numpy as np

from onnx_builder import Builder, batch_argument


def read_weights(folder, manifest):
    weights = {}
    for group in manifest:
        data = b''
        for path in group['paths']:
            with open(os.path.join(folder, path), 'rb') as file:
                data += file.read()
        offset = 0
        for entry in group['weights']:
            if entry['dtype'] != 'float32' or 'quantization' in entry:
                sys.exit(f"tfjs_to_onnx: weight {entry['name']}: only plain float32 is read")
            count = int(np.prod(entry['shape'], dtype=np.int64))
            weights[entry['name']] = np.frombuffer(data, '<f4', count, offset).reshape(entry['shape'])
            offset += 4 * count
    return weights


class Converter:
    """Walks the layers in order. `values` maps a layer to its ONNX value, `shapes` to (channels, height, width) or (units,)."""

    def __init__(self, weights, form, batch, logits, opset):
        self.builder = Builder(opset)
        self.weights, self.nhwc, self.batch, self.logits = weights, form == 'nhwc', batch, logits
        self.values, self.shapes = {}, {}
        # ZeroPadding2D layers folded into what follows: (top, left, bottom, right).
        self.pending_pads = {}

    def convert(self, layer):
        method = getattr(self, 'convert_' + layer['class_name'], None)
        if method is None:
            sys.exit(f"tfjs_to_onnx: layer {layer['name']}: class {layer['class_name']} is not known here")
        sources = [inbound[0] for inbound in layer['inbound_nodes'][0]] if layer['inbound_nodes'] else []
        name, config = layer['name'], layer['config']
        self.values[name], self.shapes[name] = method(name, config, sources)

    def activate(self, x, name, function):
        if function == 'relu':
            return self.builder.node('Relu', [x], name)
        if function == 'softmax' and not self.logits:
            return self.builder.node('Softmax', [x], name, axis=-1 if self.builder.opset >= 13 else 1)
        if function in ('linear', 'softmax'):
            return x
        return sys.exit(f'tfjs_to_onnx: layer {name}: activation {function} is not known here')

    def window(self, config, source, size):
        """The ONNX pads of a window over `source`, and the result's height and width."""
        pads = list(self.pending_pads.get(source, (0, 0, 0, 0)))
        result = []
        for axis in (0, 1):
            extent, stride = self.shapes[source][1 + axis], config['strides'][axis]
            if config['padding'] == 'same':
                total = max((-(-extent // stride) - 1) * stride + size[axis] - extent, 0)
                pads[axis] += total // 2
                pads[2 + axis] += total - total // 2
                result.append(-(-extent // stride))
            else:
                result.append((extent - size[axis]) // stride + 1)
        return pads, tuple(result)

    def convert_InputLayer(self, name, config, sources):
        _, height, width, channels = config['batch_input_shape']
        if self.nhwc:
            self.builder.input(name, [self.batch, height, width, channels])
            value = self.builder.node('Transpose', [name], name + '_nchw', perm=[0, 3, 1, 2])
        else:
            value = self.builder.input(name, [self.batch, channels, height, width])
        return value, (channels, height, width)

    def convert_ZeroPadding2D(self, name, config, sources):
        (top, bottom), (left, right) = config['padding']
        channels, height, width = self.shapes[sources[0]]
        value = self.values[sources[0]]
        if self.nhwc:
            pads = self.builder.weight(name + '.pads', np.array([0, 0, top, left, 0, 0, bottom, right], np.int64))
            value = self.builder.node('Pad', [value, pads], name, mode='constant')
        else:
            self.pending_pads[name] = (top, left, bottom, right)
        return value, (channels, height + top + bottom, width + left + right)

    def convert_Conv2D(self, name, config, sources):
        kernel = self.weights[name + '/kernel'].transpose(3, 2, 0, 1)
        pads, extent = self.window(config, sources[0], kernel.shape[2:])
        inputs = [self.values[sources[0]], self.builder.weight(name + '.kernel', kernel)]
        if config['use_bias']:
            inputs.append(self.builder.weight(name + '.bias', self.weights[name + '/bias']))
        value = self.builder.node('Conv', inputs, name, kernel_shape=list(kernel.shape[2:]), pads=pads,
                                  strides=config['strides'], dilations=config['dilation_rate'])
        return self.activate(value, name + '_activation', config['activation']), (kernel.shape[0],) + extent

    def convert_BatchNormalization(self, name, config, sources):
        gamma, beta, mean, variance = (self.weights[f'{name}/{key}']
                                       for key in ('gamma', 'beta', 'moving_mean', 'moving_variance'))
        value = self.builder.batch_norm(self.values[sources[0]], name, gamma, beta, mean, variance, config['epsilon'])
        return value, self.shapes[sources[0]]

    def convert_Activation(self, name, config, sources):
        return self.activate(self.values[sources[0]], name, config['activation']), self.shapes[sources[0]]

    def convert_Add(self, name, config, sources):
        return self.builder.node('Add', [self.values[s] for s in sources], name), self.shapes[sources[0]]

    def convert_MaxPooling2D(self, name, config, sources):
        # A zero pad folded in becomes one of minus infinity: the same behind a ReLU, where these networks have it.
        pads, extent = self.window(config, sources[0], config['pool_size'])
        value = self.builder.node('MaxPool', [self.values[sources[0]]], name, kernel_shape=config['pool_size'], pads=pads,
                                  strides=config['strides'])
        return value, (self.shapes[sources[0]][0],) + extent

    def convert_GlobalAveragePooling2D(self, name, config, sources):
        x = self.values[sources[0]]
        if self.nhwc:
            value = self.builder.node('ReduceMean', [x], name, axes=[2, 3], keepdims=0)
        else:
            value = self.builder.node('Flatten', [self.builder.node('GlobalAveragePool', [x], name + '_mean')], name, axis=1)
        return value, self.shapes[sources[0]][:1]

    def convert_Dense(self, name, config, sources):
        x, kernel, bias = self.values[sources[0]], self.weights[name + '/kernel'], self.weights[name + '/bias']
        if self.nhwc:
            product = self.builder.node('MatMul', [x, self.builder.weight(name + '.kernel', kernel)], name + '_product')
            value = self.builder.node('Add', [product, self.builder.weight(name + '.bias', bias)], name + '_logits')
        else:
            weights = [self.builder.weight(name + '.kernel', kernel.T), self.builder.weight(name + '.bias', bias)]
            value = self.builder.node('Gemm', [x] + weights, name + '_logits', transB=1)
        return self.activate(value, name, config['activation']), kernel.shape[1:]


def write_labels(source, path):
    """Labels as one line per class, from JSON of class number to name."""
    with open(source) as file:
        names = json.load(file)
    with open(path, 'w') as file:
        for number in range(len(names)):
            file.write(names[str(number)].replace('_', ' ') + '\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('model', help='model.json')
    parser.add_argument('out', help='the ONNX file to write')
    parser.add_argument('--form', choices=['nchw', 'nhwc'], default='nchw')
    parser.add_argument('--batch', type=batch_argument, default='N', help='a number, or N (default) for a symbolic batch')
    parser.add_argument('--logits', action='store_true', help='leave out the Softmax at the end')
    parser.add_argument('--opset', type=int, default=13, help='13 to 17, default 13', choices=range(13, 18), metavar='N')
    parser.add_argument('--labels-from', help='JSON of class number to name')
    parser.add_argument('--labels', help='text file of labels to write')
    arguments = parser.parse_args()

    with open(arguments.model) as file:
        description = json.load(file)
    weights = read_weights(os.path.dirname(arguments.model), description['weightsManifest'])
    config = description['modelTopology']['model_config']['config']
    converter = Converter(weights, arguments.form, arguments.batch, arguments.logits, arguments.opset)
    for layer in config['layers']:
        converter.convert(layer)
    for name, _, _ in config['output_layers']:
        converter.builder.output(converter.values[name], [arguments.batch, *converter.shapes[name]])
    converter.builder.save(arguments.out, config['name'], 'tfjs_to_onnx')
    if arguments.labels_from and arguments.labels:
        write_labels(arguments.labels_from, arguments.labels)


if __name__ == '__main__':
    main()
