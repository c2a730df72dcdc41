#!/usr/bin/python3
"""Holds `agate run --preprocess` against tools/models/preprocess.py, through models that hand their input on.

  check_preprocess.py AGATE
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
from PIL import Image

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tools', 'models'))
from onnx_builder import Builder  # noqa: E402
from preprocess import ROWS, batch_of  # noqa: E402

# name, layout, channels, height and width of the model's input
CASES = [(name, 'nchw', 1 if name == 'digits' else 3, row[0], row[0]) for name, row in ROWS.items()] + [
    ('imagenet', 'nhwc', 3, 64, 64),
    ('keras-caffe', 'nhwc', 3, 224, 224),
    ('imagenet', 'nchw', 3, 60, 91),
    ('unit', 'nchw', 1, 31, 33),
    ('unit', 'nchw', 3, 32, 32),
    ('digits', 'nhwc', 1, 28, 28),
]
# A hundredth of a step of a byte, in the units of each row; 1/255 or so of a unit is a step.
TOLERANCE = {'imagenet': 0.01 / 255 / 0.22, 'keras-caffe': 0.01, 'dlib': 0.01 / 256, 'unit': 0.01 / 255, 'digits': 0.01 / 255}


def write_pictures(folder):
    """Pictures of odd shapes: taller, wider, smaller and larger than the crops, grey, and with alpha."""
    random = np.random.RandomState(3)
    paths = []
    for index, (height, width, mode) in enumerate([(300, 457, 'RGB'), (211, 97, 'RGB'), (40, 40, 'L'), (120, 131, 'RGBA')]):
        small = random.randint(0, 256, (9, 11, 4), np.uint8)
        picture = Image.fromarray(small, 'RGBA').resize((width, height), Image.BICUBIC).convert(mode)
        paths.append(os.path.join(folder, f'{index}-{mode}.png'))
        picture.save(paths[-1])
    digits = os.path.join(ROOT, 'tools', 'models', 'digits')
    return paths + [os.path.join(digits, 'drawn-2.png'), os.path.join(digits, 'drawn-4.png')]


def write_model(path, layout, channels, height, width):
    builder = Builder(13)
    shape = ['N', channels, height, width] if layout == 'nchw' else ['N', height, width, channels]
    builder.input('picture', shape)
    builder.output(builder.node('Identity', ['picture'], 'same'), shape)
    builder.save(path, 'same', 'check_preprocess')


def check(agate, folder, picture, case):
    name, layout, channels, height, width = case
    model = os.path.join(folder, 'model.onnx')
    write_model(model, layout, channels, height, width)
    done = subprocess.run([agate, 'run', model, picture, '--preprocess', name, '--output-dir', folder],
                          capture_output=True, text=True)
    if done.returncode != 0:
        return done.stderr.strip()
    ours = np.load(os.path.join(folder, 'same.npy'))
    expected = batch_of([picture], name, layout, height, width, channels == 1)
    if ours.shape != expected.shape:
        return f'shape {ours.shape} where {expected.shape} was expected'
    error = np.abs(ours - expected).max()
    return None if error <= TOLERANCE[name] else f'max error {error:.3g} above {TOLERANCE[name]:.3g}'


def main():
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for picture in write_pictures(folder):
            for case in CASES:
                problem = check(sys.argv[1], folder, picture, case)
                passed, failed = passed + (problem is None), failed + (problem is not None)
                if problem:
                    name, layout, channels, height, width = case
                    print(f'FAIL {name} {layout} {channels}x{height}x{width} {os.path.basename(picture)}: {problem}')
    print(f'{passed} passed, {failed} failed, 0 skipped')
    sys.exit(1 if failed or not passed else 0)


if __name__ == '__main__':
    main()
