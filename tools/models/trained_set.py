#!/usr/bin/python3
"""Writes the trained ImageNet ResNets in every spelling, with photos as inputs, for tools/oracle/check_networks.py.

  trained_set.py [--output-dir DIR] [--only NAME...] [--list]

Fetches what is missing through fetch.sh. ResNet-50 comes in Keras's two forms (see tfjs_to_onnx.py), ResNet-34 with its
BatchNorm as nodes, as Mul and Add, and folded (see dlib_to_onnx.py); each with a symbolic or a fixed batch.
"""
import argparse
import glob
import os
import subprocess
import sys

import numpy as np

import preprocess
from model_set import BATCHES, HERE, add_model, default_folder

KERAS, DLIB = 'resnet50', 'resnet34'

# name: source, options of the converter, preprocessing, layout, input and output names
MODELS = {
    'keras_resnet50': (KERAS, [], 'keras-caffe', 'nchw', ('input_1', 'fc1000')),
    'keras_resnet50_logits_b1': (KERAS, ['--logits', '--batch', '1'], 'keras-caffe', 'nchw', ('input_1', 'fc1000_logits')),
    'keras_resnet50_nhwc': (KERAS, ['--form', 'nhwc'], 'keras-caffe', 'nhwc', ('input_1', 'fc1000')),
    'keras_resnet50_nhwc_b1': (KERAS, ['--form', 'nhwc', '--batch', '1'], 'keras-caffe', 'nhwc', ('input_1', 'fc1000')),
    'dlib_resnet34': (DLIB, [], 'dlib', 'nchw', ('input', 'logits')),
    'dlib_resnet34_muladd': (DLIB, ['--affine', 'muladd'], 'dlib', 'nchw', ('input', 'logits')),
    'dlib_resnet34_folded_b1': (DLIB, ['--affine', 'fold', '--batch', '1'], 'dlib', 'nchw', ('input', 'logits')),
}


def fetch(name):
    """The paths that fetch.sh prints."""
    command = [os.path.join(HERE, 'fetch.sh'), name]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f'trained_set: {name} could not be fetched')
    return done.stdout.splitlines()


def convert(source, options, path):
    folder = os.path.dirname(fetch(source)[0])
    script, weights = {
        KERAS: ('tfjs_to_onnx.py', os.path.join(folder, 'tfjs', 'model.json')),
        DLIB: ('dlib_to_onnx.py', os.path.join(folder, 'resnet34_1000_imagenet_classifier.dnn')),
    }[source]
    subprocess.run([os.path.join(HERE, script), weights, path, *options], check=True)


def write_inputs(folder, name, layout):
    """The photos as one .npy for each batch; returns the file names."""
    photos = sorted(glob.glob(os.path.join(fetch('photos')[0], '*.jpg')))[:max(BATCHES)]
    files = {batch: f'photos.{name}.{layout}.b{batch}.npy' for batch in BATCHES}
    tensor = preprocess.batch_of(photos, name, layout)
    for batch, file in files.items():
        np.save(os.path.join(folder, file), tensor[:batch])
    return files


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--output-dir', default=default_folder('models', 'trained'), help='default: in the cache')
    parser.add_argument('--only', nargs='+', metavar='NAME', choices=list(MODELS), default=list(MODELS))
    parser.add_argument('--list', action='store_true', help='print the names and stop')
    arguments = parser.parse_args()
    if arguments.list:
        print('\n'.join(MODELS))
        return
    os.makedirs(arguments.output_dir, exist_ok=True)
    for name in arguments.only:
        source, options, preprocessing, layout, ends = MODELS[name]
        convert(source, options, os.path.join(arguments.output_dir, name + '.onnx'))
        inputs = write_inputs(arguments.output_dir, preprocessing, layout)
        fixed = '--batch' in options
        add_model(arguments.output_dir, name, (1,) if fixed else BATCHES, inputs, ends, network=source, trained=True,
                  preprocess=preprocessing, batch='1' if fixed else 'N', exporter='tools/models')


if __name__ == '__main__':
    main()
