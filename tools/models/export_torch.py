#!/usr/bin/python3
"""Exports networks to ONNX through torch, with seeded weights, inputs and reference outputs.

  export_torch.py [--output-dir DIR] [--group G] [--only NAME...] [--missing] [--opset N] [--seed N] [--list]

Per model: NAME.onnx, NAME.json (what it is and which files belong to it) and NAME.bN.output.npy for each batch N;
the inputs KIND.bN.npy are shared, and the smaller batches are the first rows of the largest. The reference is
ONNX Runtime's where tools/oracle/install.sh has put it, else torch's. The same seed and machine give the same bytes.
"""
import argparse
import os
import sys
import warnings

import numpy as np
import torch
from torch import nn
from torch.onnx import TrainingMode

from model_set import BATCHES, add_model
from networks import GROUPS, KIND_OF, KINDS, NETWORKS, build, last_norms

DEFAULT_OPSET = 13

# What a suffix changes in the export: kept = BatchNormalization stays, fixed = batch 1 is written into the shapes.
VARIANTS = {
    '': dict(kept=False, fixed=False),
    '_bn': dict(kept=True, fixed=False),
    '_b1': dict(kept=False, fixed=True),
    '_bn_b1': dict(kept=True, fixed=True),
}
# Fixed shapes differ from symbolic ones in no way that depends on depth: a few stand for all.
FIXED = ['resnet18', 'resnet50', 'cifar20']
# Nor does folding: of these the tests take one spelling, with the norms kept; and of fixed shapes one each.
DEEP = ['resnet34', 'resnet101', 'resnet152', 'resnet50v2', 'plain34']
TESTED_FIXED = ['resnet18_b1', 'resnet50_bn_b1', 'cifar20_b1']
# These have no BatchNorm that could be kept.
NORMLESS = ['alexnet', 'vgg16', 'vgg19', 'squeezenet1_1', 'convnext_tiny', 'conv_tasnet', 'wavenet', 'style_transfer']


def catalogue():
    for network in NETWORKS:
        for suffix, variant in VARIANTS.items():
            if (not variant['fixed'] or network in FIXED) and not (variant['kept'] and network in NORMLESS):
                yield network + suffix, network, variant


def is_tested(name, network, variant):
    """Is this one of those that the project's own tests run?"""
    if variant['fixed']:
        return name in TESTED_FIXED
    return network in GROUPS['family'] and (variant['kept'] or network not in DEEP)


def pictures(count, seed, kind):
    """Normalized pictures: smooth colour fields with some grain, as photos have. Lines and volumes likewise."""
    (channels, *extents), channels_last = KINDS[kind]
    generator = torch.Generator().manual_seed(seed)
    mode = {1: 'linear', 2: 'bilinear', 3: 'trilinear'}[len(extents)]
    fields = sum(nn.functional.interpolate(torch.randn(count, channels, *[cells] * len(extents), generator=generator),
                                           tuple(extents), mode=mode, align_corners=False) / (level + 1)
                 for level, cells in enumerate((4, 12, 40)))
    fields = fields + 0.1 * torch.randn(count, channels, *extents, generator=generator)
    return (fields.permute(0, 2, 3, 1) if channels_last else fields).contiguous()


def give_statistics(model, seed, kind):
    """Makes every BatchNorm non-trivial, and the network as well-conditioned as a trained one.

    Gamma and beta are drawn; mean and variance come from data, so that each layer's output is normalized; then they
    are bent a little, so that nothing is exactly normalized either. Random deep networks magnify rounding errors with
    each layer, until in 152 of them any two correct programs differ by 1e-4; trained ones do not. Small last gammas in
    residual branches and ReLUs that are mostly open, which training leads to, keep the errors at what they are there.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(like, low, high):
        return torch.rand(like.shape, generator=generator) * (high - low) + low

    norms = [m for m in model.modules() if isinstance(m, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d))]
    with torch.no_grad():
        for norm in norms:
            norm.weight.copy_(uniform(norm.weight, 0.4, 1.2))
            norm.bias.copy_(uniform(norm.bias, 0, 1))
            norm.momentum = None  # the average of all batches seen
        for last in last_norms(model):
            last.weight.mul_(0.3)
            last.bias.mul_(0.3)
        # Only the norms train: dropout would make what they see random.
        model.eval()
        for norm in norms:
            norm.train()
        model(pictures(4, seed + 1, kind))
        for norm in norms:
            spread = norm.running_var.sqrt()
            norm.running_mean.add_(spread * uniform(spread, -0.1, 0.1))
            norm.running_var.mul_(uniform(spread, 0.85, 1.2))
    model.eval()


def export(model, variant, opset, kind, path):
    axes = None if variant['fixed'] else {'input': {0: 'N'}, 'output': {0: 'N'}}
    torch.onnx.export(model, pictures(1, 0, kind), path, opset_version=opset, input_names=['input'],
                      output_names=['output'], dynamic_axes=axes, do_constant_folding=not variant['kept'],
                      training=TrainingMode.PRESERVE if variant['kept'] else TrainingMode.EVAL)


def answer(model, inputs):
    with torch.no_grad():
        return {'output': model(torch.from_numpy(inputs)).numpy()}


def write_inputs(kind, arguments):
    """Writes a kind's batches; returns the whole array and the file of each batch."""
    inputs = pictures(max(BATCHES), arguments.seed, kind).numpy()
    files = {batch: f'{kind}.b{batch}.npy' for batch in BATCHES}
    for batch, file in files.items():
        np.save(os.path.join(arguments.output_dir, file), inputs[:batch])
    return inputs, files


class Exporter:
    """Exports the variants of one network after another: what they share is made once."""

    def __init__(self, arguments):
        self.arguments, self.network, self.model, self.exact = arguments, None, None, None

    def take(self, network, inputs, kind):
        if network == self.network:
            return
        torch.manual_seed(self.arguments.seed)
        self.network, self.model = network, build(network)
        give_statistics(self.model, self.arguments.seed, kind)
        self.exact = answer(self.model, inputs[:1])['output']

    def write(self, name, network, variant):
        arguments = self.arguments
        name = name if arguments.opset == DEFAULT_OPSET else f'{name}_opset{arguments.opset}'
        # The manifest is written last: where it is, all is.
        if arguments.missing and os.path.exists(os.path.join(arguments.output_dir, name + '.json')):
            return
        kind = KIND_OF.get(network, 'imagenet')
        inputs, files = write_inputs(kind, arguments)
        self.take(network, inputs, kind)
        export(self.model, variant, arguments.opset, kind, os.path.join(arguments.output_dir, name + '.onnx'))
        outputs = add_model(
            arguments.output_dir, name, (1,) if variant['fixed'] else BATCHES, files, ('input', ['output']),
            lambda batch: answer(self.model, inputs[:batch]), prefixes=True, network=network, trained=False,
            opset=arguments.opset, batch_norm='kept' if variant['kept'] else 'folded',
            batch='1' if variant['fixed'] else 'N', seed=arguments.seed, exporter=f'torch {torch.__version__}')
        # The export itself must have kept the meaning.
        error = np.abs(self.exact - outputs[1]['output']).max() / np.abs(self.exact).max()
        if not error < 1e-3:
            sys.exit(f'export_torch: {name}: the exported file computes something else than torch (error {error:.2g})')


def main():
    root = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--output-dir', default=os.path.normpath(os.path.join(root, 'models')), help='default: models/')
    parser.add_argument('--group', default='family', choices=[*GROUPS, 'tested', 'all'],
                        help='family: ResNets and plain ones (default); cifar: the deeper ones for CIFAR-10; beside: the '
                        'other classifiers; pixels: segmentation; others: sound, films, pictures that are made; tested: of '
                        'the family, what tools/test.sh runs')
    parser.add_argument('--only', nargs='+', metavar='NAME',
                        help='these models only, of any group, by the names of --list --group all')
    parser.add_argument('--missing', action='store_true', help='leave alone what an earlier run has written')
    parser.add_argument('--opset', type=int, default=DEFAULT_OPSET, choices=range(10, 18), metavar='10..17',
                        help=f'default {DEFAULT_OPSET}; others are added to the names')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--list', action='store_true', help='print the names and stop')
    arguments = parser.parse_args()

    everything = list(catalogue())
    entries = [entry for entry in everything if arguments.group == 'all' or
               (is_tested(*entry) if arguments.group == 'tested' else entry[1] in GROUPS[arguments.group])]
    if arguments.list:
        print('\n'.join(name for name, _, _ in entries))
        return
    if arguments.only:
        unknown = set(arguments.only) - {name for name, _, _ in everything}
        if unknown:
            parser.error(f"no model named {', '.join(sorted(unknown))}; --list --group all shows the names")
        entries = [entry for entry in everything if entry[0] in arguments.only]

    # What the exporter leaves unfolded is what we want to see.
    warnings.filterwarnings('ignore', module='torch.onnx')
    # The order of torch's sums, and so the last bits of the statistics, depends on the number of threads.
    torch.set_num_threads(1)
    os.makedirs(arguments.output_dir, exist_ok=True)
    exporter = Exporter(arguments)
    for name, network, variant in entries:
        exporter.write(name, network, variant)


if __name__ == '__main__':
    main()
