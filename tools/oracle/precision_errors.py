#!/usr/bin/python3
"""How far networks are from float64 in each precision, at their outputs and at every convolution.

  precision_errors.py --agate PATH [--precision f32,f32x6,f32x3,f16,bf16] [--threads N] [--rows N] [--only NAME...] MODELS...

MODELS are folders that tools/models/export_torch.py or trained_set.py wrote, or .onnx files, which get seeded inputs. Prints two
tables for each network. Its outputs, of the network as it is: errors as shares of the largest value, as accuracy.py has them.
And the values of its convolutions, each of which is an output of a copy of the network, so that it is written as f32: how many
of them are how far off. Errors are those of the whole network up to there, not of one layer.

They are counted in units in the last place of an f32 (ULP). Where a value is small next to others of the same convolution it is a
difference of terms as large as theirs, and no sum in f32 can have it to its own last place: the unit is that of the value in
float64, or of the root of the mean square of the convolution's values where that is larger.

`tiles` counts the copy's kernels that multiply by tiles of AMX: none, and every precision but bf16 and f16 is strict f32. Where a CPU has
none, build/tests/emulate/agate-amx computes the same values, some hundred times slower.
"""
import argparse
import os
import tempfile

import numpy as np
import onnx

import accuracy
import check_networks
import exact

BOUNDS = (0.5, 1, 2, 4, 8, 16, 32, 64, 256, 1024, 4096)  # ULP


def with_convolutions(model):
    """A copy whose further outputs are those of every Conv; returns their names, which are good for files."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    known = {value.name for value in copy.graph.output}
    names = {}
    for node in copy.graph.node:
        if node.op_type == 'Conv' and node.output[0] not in known:
            names[node.output[0]] = f'convolution.{len(names)}'
    for node in copy.graph.node:
        for values in (node.input, node.output):
            values[:] = [names.get(name, name) for name in values]
    # What is said of their shapes goes by the old names.
    del copy.graph.value_info[:]
    copy.graph.output.extend(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names.values())
    return copy, list(names.values())


def units(values):
    """The distance that an error is counted in, for each of a convolution's exact values."""
    size = np.maximum(np.abs(values), np.sqrt((values**2).mean()))
    return np.spacing(np.maximum(size, accuracy.TINY).astype(np.float32)).astype(np.float64)


class Histogram:
    def __init__(self):
        self.counts, self.total, self.squares, self.largest = np.zeros(len(BOUNDS) + 1, np.int64), 0, 0.0, 0.0

    def add(self, exact_values, answer):
        errors = np.abs(answer.astype(np.float64) - exact_values) / units(exact_values)
        self.counts += np.bincount(np.searchsorted(BOUNDS, errors.reshape(-1)), minlength=len(BOUNDS) + 1)
        self.total += errors.size
        self.squares += float((errors**2).sum())
        self.largest = max(self.largest, float(errors.max(initial=0)))

    def rms(self):
        return (self.squares / max(1, self.total))**0.5

    def shares(self):
        """Of values up to each bound, and beyond the last."""
        return [100 * count / max(1, self.total) for count in self.counts]


def run(settings, network, path, inputs, precision):
    """(outputs by file, what agate says of the model)"""
    twin = check_networks.Network(network.name, path, dims=network.dims)
    words = check_networks.dim_arguments(network) + ['--precision', precision]
    command = [settings.agate, 'run', path, '--threads', str(settings.threads), *words]
    outputs = check_networks.Outputs.of(command + check_networks.input_arguments(inputs))
    return outputs, check_networks.info(settings.agate, twin, '--precision', precision)


def inputs_of(network, settings, scratch):
    """Paths of the first rows, and their arrays."""
    batch = min((b for b in network.inputs if b >= settings.rows), default=max(network.inputs))
    arrays = {name: array[:settings.rows] for name, array in network.arrays(batch).items()}
    paths = {name: os.path.join(scratch, f'input{index}.npy') for index, name in enumerate(arrays)}
    for name, path in paths.items():
        np.save(path, arrays[name])
    return paths, arrays


def print_table(titles, rows):
    print('\n| ' + ' | '.join(titles) + ' |\n|' + ' --- |' * len(titles))
    for row in rows:
        print('| ' + ' | '.join(row) + ' |')
    print(flush=True)


def share_text(share):
    return '' if share == 0 else f'{share:.1f}' if share >= 0.05 else f'{share:.1g}'


def measure(settings, network, scratch):
    model = onnx.load(network.path)
    paths, arrays = inputs_of(network, settings, scratch)
    copy, names = with_convolutions(model)
    copy_path = os.path.join(scratch, network.name + '.onnx')
    onnx.save(copy, copy_path)
    right = {check_networks.file_name(name): array for name, array in exact.compute(copy, arrays).items()}
    convolutions = [check_networks.file_name(name) for name in names]
    ends = {name: right[name] for name in map(check_networks.file_name, (value.name for value in model.graph.output))}
    of_outputs, of_convolutions = [], []
    for precision in settings.precision:
        outputs, _ = run(settings, network, network.path, paths, precision)
        found = accuracy.measure_all(ends, outputs)
        of_outputs.append([precision, f"{found['max']:.3g}", f"{found['rms']:.3g}"])
        answers, facts = run(settings, network, copy_path, paths, precision)
        histogram = Histogram()
        for name in convolutions:
            histogram.add(right[name], answers[name])
        strategies = facts.get('strategies', {})
        tiles = sum(strategies.get(name, 0) for name in ('amx_bands', 'amx_conv'))
        of_convolutions.append([precision, str(tiles), f'{histogram.rms():.3g}', f'{histogram.largest:.3g}',
                                *map(share_text, histogram.shares())])
    print(f'{network.name}: {len(convolutions)} convolutions, {sum(right[name].size for name in convolutions)} values')
    print_table(['outputs', 'max', 'rms'], of_outputs)
    print_table(['convolutions, ULP', 'tiles', 'rms', 'max', *(f'to {bound:g}, %' for bound in BOUNDS), 'more, %'], of_convolutions)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('models', nargs='+', metavar='MODELS')
    parser.add_argument('--agate', required=True, help='the agate program')
    parser.add_argument('--precision', type=lambda text: text.split(','), default=['f32', 'f32x6', 'f32x3', 'f16', 'bf16'], metavar='P,...')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rows', type=int, default=1, metavar='N', help='of the inputs (default 1)')
    parser.add_argument('--only', nargs='+', metavar='NAME', help='these of the folders only')
    return parser.parse_args()


def main():
    settings = parse_arguments()
    with tempfile.TemporaryDirectory() as folder:
        for network in check_networks.networks(settings, folder):
            with tempfile.TemporaryDirectory() as scratch:
                measure(settings, network, scratch)


if __name__ == '__main__':
    main()
