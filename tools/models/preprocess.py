#!/usr/bin/python3
"""Turns pictures into a model's input tensor, as PREPROCESS.md defines it; the reference for `agate run --preprocess`.

  preprocess.py NAME OUT.npy PICTURE... [--size HEIGHT WIDTH] [--layout nchw|nhwc] [--grey]
"""
import argparse

import numpy as np
from PIL import Image

# name: default size, whether a margin is cut off, channels, divisor, mean, scale
ROWS = {
    'imagenet': (224, True, 'RGB', 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    'keras-caffe': (224, True, 'BGR', 1, (103.939, 116.779, 123.68), (1, 1, 1)),
    'dlib': (227, True, 'RGB', 1, (122.782, 117.001, 104.298), (256, 256, 256)),
    'unit': (224, False, 'RGB', 255, (0, 0, 0), (1, 1, 1)),
    'digits': (28, False, 'grey', 255, (0,), (1,)),
}


def filter_matrix(source, result):
    """The resize along one axis, as a (result, source) matrix of triangle filters."""
    ratio = source / result
    reach = max(ratio, 1.0)
    matrix = np.zeros((result, source))
    for row in range(result):
        centre = (row + 0.5) * ratio
        first, end = max(0, int(centre - reach + 0.5)), min(source, int(centre + reach + 0.5))
        weights = np.maximum(0, 1 - np.abs(np.arange(first, end) + 0.5 - centre) / reach)
        matrix[row, first:end] = weights / weights.sum()
    return matrix


def resize(picture, height, width):
    """(h, w, c) to (height, width, c)."""
    rows = np.einsum('xw,hwc->hxc', filter_matrix(picture.shape[1], width), picture, optimize=True)
    return np.einsum('yh,hxc->yxc', filter_matrix(picture.shape[0], height), rows, optimize=True)


def preprocess(path, name, height=None, width=None, grey=False):
    """One picture as float32 (height, width, channels)."""
    size, margin, channels, divisor, mean, scale = ROWS[name]
    height, width = height or size, width or size
    picture = np.asarray(Image.open(path).convert('RGB')).astype(np.float32)
    shorter = max(height, width)
    if margin:
        # Python's round, like C's lrint, takes halves to the even number.
        shorter = round(shorter * 256 / 224)
    rows, columns = picture.shape[:2]
    smaller = min(rows, columns)
    picture = resize(picture, shorter * rows // smaller, shorter * columns // smaller)
    top, left = round((picture.shape[0] - height) / 2), round((picture.shape[1] - width) / 2)
    picture = picture[top:top + height, left:left + width].astype(np.float32)
    if channels == 'grey' or (name == 'unit' and grey):
        picture = picture @ np.array([0.299, 0.587, 0.114], np.float32)[:, None]
        mean, scale = mean[:1], scale[:1]
    elif channels == 'BGR':
        picture = picture[..., ::-1]
    values = (picture / np.float32(divisor) - np.array(mean, np.float32)) / np.array(scale, np.float32)
    if name == 'digits':
        ring = np.concatenate([values[0], values[-1], values[1:-1, 0], values[1:-1, -1]])
        if ring.mean() > 0.5:
            values = 1 - values
    return values


def batch_of(paths, name, layout='nchw', height=None, width=None, grey=False):
    pictures = np.stack([preprocess(path, name, height, width, grey) for path in paths])
    return np.ascontiguousarray(pictures.transpose(0, 3, 1, 2) if layout == 'nchw' else pictures)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('name', choices=list(ROWS))
    parser.add_argument('out')
    parser.add_argument('pictures', nargs='+', metavar='PICTURE')
    parser.add_argument('--size', nargs=2, type=int, default=[None, None], metavar=('HEIGHT', 'WIDTH'))
    parser.add_argument('--layout', choices=['nchw', 'nhwc'], default='nchw')
    parser.add_argument('--grey', action='store_true', help='one channel, for `unit`')
    arguments = parser.parse_args()
    np.save(arguments.out, batch_of(arguments.pictures, arguments.name, arguments.layout, *arguments.size, arguments.grey))


if __name__ == '__main__':
    main()
