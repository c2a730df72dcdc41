#!/usr/bin/python3
"""Converts dlib's ResNet-34 for ImageNet, or its ResNet for faces, to ONNX, without dlib.

  dlib_to_onnx.py FILE.dnn OUT.onnx [--size 227|150] [--affine bn|muladd|fold] [--batch N|COUNT] [--labels FILE]

The file holds each layer's parameters behind the layer's tag, in order of execution, between bookkeeping that is skipped
by searching for the next tag. Kernel sizes, strides and paddings come from the file; only the way blocks are put together
is known here: two convolutions each, and where the first has a stride, a shortcut through a 2x2 average, with zeros
appended to whichever side of the sum is smaller.
"""
import argparse
import re
import sys

import numpy as np

from onnx_builder import Builder, batch_argument

# dlib keeps BatchNorm, once trained, as gamma * x + beta: mean 0, and a variance that cancels epsilon.
EPSILON = 1e-5


class Reader:
    """dlib's serialization: integers are a byte of sign and length, then that many bytes."""

    def __init__(self, data):
        self.data, self.offset = data, 0

    def integer(self):
        control = self.data[self.offset]
        length = control & 0x0f
        if length > 8 or control & 0x70:
            raise ValueError('not an integer')
        value = int.from_bytes(self.data[self.offset + 1:self.offset + 1 + length], 'little')
        self.offset += 1 + length
        return -value if control & 0x80 else value

    def integers(self, count):
        return [self.integer() for _ in range(count)]

    def string(self):
        length = self.integer()
        self.offset += length
        return self.data[self.offset - length:self.offset].decode()

    def tensor(self):
        version, *shape = self.integers(5)
        if version != 2 or min(shape) < 0:
            raise ValueError('not a tensor')
        count = int(np.prod(shape, dtype=np.int64))
        values = np.frombuffer(self.data, '<f4', count, self.offset)
        self.offset += 4 * count
        return values

    def alias_shape(self):
        version, *shape = self.integers(5)
        if version != 1:
            raise ValueError('not an alias tensor')
        return shape


def read_convolution(reader):
    parameters = reader.tensor()
    reader.integers(3)  # filters, height and width: in the alias below once more
    stride, _, pad, _ = reader.integers(4)
    shape = reader.alias_shape()
    count = int(np.prod(shape))
    bias = parameters[count:count + shape[0]]
    return dict(kind='convolution', weights=parameters[:count].reshape(shape), stride=stride, pad=pad,
                bias=bias if bias.size else np.zeros(shape[0], np.float32))


def read_affine(reader):
    parameters = reader.tensor()
    return dict(kind='affine', gamma=parameters[:parameters.size // 2], beta=parameters[parameters.size // 2:])


def read_dense(reader):
    outputs, inputs = reader.integers(2)
    parameters = reader.tensor()
    return dict(kind='dense', weights=parameters[:inputs * outputs].reshape(inputs, outputs),
                bias=parameters[inputs * outputs:])


TAGS = {b'con_': read_convolution, b'affine_': read_affine, b'fc_': read_dense}
TAG_PATTERN = re.compile(rb'\x01[\x04-\x08](con_|affine_|fc_)[0-9]?')


def read_layers(data):
    reader, layers = Reader(data), []
    while True:
        match = TAG_PATTERN.search(data, reader.offset)
        if not match:
            return layers
        reader.offset = match.end()
        try:
            layers.append(TAGS[match.group(1)](reader))
        except (ValueError, IndexError):
            reader.offset = match.end()


def read_labels(data, count):
    """The labels are the file's end: their number, then the strings."""
    reader = Reader(data)
    reader.offset = data.rfind(b'\x02' + count.to_bytes(2, 'little'))
    if reader.integer() != count:
        raise ValueError('no labels')
    return [reader.string() for _ in range(count)]


class Converter:
    def __init__(self, layers, size, affine, batch, opset):
        self.builder, self.layers = Builder(opset), iter(layers)
        self.size, self.affine, self.batch, self.count = size, affine, batch, 0

    def next(self, kind):
        layer = next(self.layers, None)
        if layer is None or layer['kind'] != kind:
            sys.exit(f'dlib_to_onnx: a layer of kind {kind} was expected; this is another network')
        return layer

    def node(self, op, inputs, **attributes):
        self.count += 1
        return self.builder.node(op, inputs, f'{op.lower()}_{self.count}', **attributes)

    def convolution(self, x, shape, layer):
        """Convolution and affine layer: the value and its (channels, height, width)."""
        affine = self.next('affine')
        weights, bias, gamma, beta = layer['weights'], layer['bias'], affine['gamma'], affine['beta']
        name, channels = f'conv_{self.count + 1}', weights.shape[0]
        if self.affine == 'fold':
            weights, bias = weights * gamma[:, None, None, None], bias * gamma + beta
        inputs = [x, self.builder.weight(name + '.weights', weights), self.builder.weight(name + '.bias', bias)]
        value = self.node('Conv', inputs, kernel_shape=list(weights.shape[2:]), strides=[layer['stride']] * 2,
                          pads=[layer['pad']] * 4)
        if self.affine == 'bn':
            self.count += 1
            variance = np.full(channels, 1 - EPSILON, np.float32)
            value = self.builder.batch_norm(value, f'bn_{self.count}', gamma, beta, np.zeros(channels, np.float32),
                                            variance, EPSILON)
        elif self.affine == 'muladd':
            for op, values in (('Mul', gamma), ('Add', beta)):
                value = self.node(op, [value, self.builder.weight(f'{name}.{op.lower()}', values.reshape(1, -1, 1, 1))])
        extent = [(e + 2 * layer['pad'] - k) // layer['stride'] + 1 for e, k in zip(shape[1:], weights.shape[2:])]
        return value, (channels, *extent)

    def grow(self, x, shape, target):
        """Zeros behind the channels, rows and columns, up to the target."""
        if shape == target:
            return x
        ends = [t - s for s, t in zip(shape, target)]
        pads = self.builder.weight(f'pads_{self.count + 1}', np.array([0] * 5 + ends, np.int64))
        return self.node('Pad', [x, pads], mode='constant')

    def block(self, x, shape, first):
        y, inner = self.convolution(x, shape, first)
        y, inner = self.convolution(self.node('Relu', [y]), inner, self.next('convolution'))
        if first['stride'] > 1:
            x = self.node('AveragePool', [x], kernel_shape=[2, 2], strides=[2, 2])
            shape = (shape[0], *((e - 2) // 2 + 1 for e in shape[1:]))
        target = tuple(max(pair) for pair in zip(inner, shape))
        total = self.node('Add', [self.grow(y, inner, target), self.grow(x, shape, target)])
        return self.node('Relu', [total]), target

    def convert(self):
        shape = (3, self.size, self.size)
        x = self.builder.input('input', [self.batch, *shape])
        x, shape = self.convolution(x, shape, self.next('convolution'))
        x = self.node('MaxPool', [self.node('Relu', [x])], kernel_shape=[3, 3], strides=[2, 2])
        shape = (shape[0], *((e - 3) // 2 + 1 for e in shape[1:]))
        for layer in self.layers:
            if layer['kind'] == 'dense':
                break
            x, shape = self.block(x, shape, layer)
        x = self.node('Flatten', [self.node('GlobalAveragePool', [x])], axis=1)
        # A classifier ends in a bias; what measures faces does not, and its output is a point among faces.
        weights, bias = layer['weights'], layer['bias']
        operands = [x, self.builder.weight('fc.weights', weights)]
        operands += [self.builder.weight('fc.bias', bias)] if bias.size else []
        output = self.builder.node('Gemm', operands, 'logits' if bias.size else 'descriptor')
        self.builder.output(output, [self.batch, weights.shape[1]])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('weights', help='resnet34_1000_imagenet_classifier.dnn, or '
                        'dlib_face_recognition_resnet_model_v1.dat')
    parser.add_argument('out', help='the ONNX file to write')
    parser.add_argument('--size', type=int, default=227, help='of the pictures; default 227, for faces 150')
    parser.add_argument('--affine', choices=['bn', 'muladd', 'fold'], default='bn', help='BatchNormalization nodes '
                        '(default), Mul and Add, or folded into the convolutions')
    parser.add_argument('--batch', type=batch_argument, default='N', help='a number, or N (default) for a symbolic batch')
    parser.add_argument('--opset', type=int, default=13, choices=range(11, 18), metavar='N', help='11 to 17, default 13')
    parser.add_argument('--labels', help='text file of labels to write')
    arguments = parser.parse_args()

    with open(arguments.weights, 'rb') as file:
        data = file.read()
    converter = Converter(read_layers(data), arguments.size, arguments.affine, arguments.batch, arguments.opset)
    converter.convert()
    converter.builder.save(arguments.out, 'resnet34', 'dlib_to_onnx')
    if arguments.labels:
        with open(arguments.labels, 'w') as file:
            file.write(''.join(label.replace('_', ' ') + '\n' for label in read_labels(data, 1000)))


if __name__ == '__main__':
    main()
