#!/usr/bin/python3
"""What networks consist of once fused: every kernel counted by the ops in its body.

  check_kernels.py AGATE MODEL.onnx|FOLDER...

No BatchNorm, Add or ReLU may stand alone, every convolution is there once, and an export's spelling (BatchNorm folded or
kept, batch fixed or free, opset) makes no difference. One PASS, FAIL or SKIP line per model; the last line counts them.
"""
import collections
import glob
import os
import re
import subprocess
import sys

TOP = {'max_pool': 1, 'reduce_mean': 1, 'matmul add': 1}  # around the blocks of an ImageNet network
# Two shortcuts are cut down and padded, by the convolution that adds them.
CIFAR = {'reduce_mean': 1, 'matmul add': 1, 'conv slice pad add relu': 2}


def residual(relu, added, plain, **others):
    """Convolutions by what finishes them: a relu; the shortcut's add and a relu; nothing (they are added elsewhere)."""
    return {'conv relu': relu, 'conv add relu': added, 'conv': plain, **others}


def bottleneck(blocks, **others):
    """A residual network of 1x1, 3x3 and 1x1; the first block's last convolution and its shortcut's are one (merge-sums)."""
    return residual(2 * blocks + 2, blocks - 1, 3, concat=1, **others)


# `a b -> 2` is a kernel with two results: the sum that goes on to the next shortcut, and its norm and relu.
EXPECTED = {
    'resnet18': residual(9, 8, 3, **TOP),
    'resnet34': residual(17, 16, 3, **TOP),
    'resnet50': bottleneck(16, **TOP),
    'resnet101': bottleneck(33, **TOP),
    'resnet152': bottleneck(50, **TOP),
    'resnet18_tf': residual(9, 8, 3, transpose=1, **TOP),
    'plain18': {'conv relu': 17, **TOP},
    'plain34': {'conv relu': 33, **TOP},
    'resnet18v2': {'conv': 4, 'conv relu': 8, 'conv add mul add relu': 4, 'conv add mul add relu -> 2': 4,
                   'max_pool mul add relu -> 2': 1, 'reduce_mean': 1, 'matmul add': 1},
    'resnet50v2': {'conv': 4, 'conv relu': 32, 'conv add mul add relu': 4, 'conv add mul add relu -> 2': 11,
                   'conv mul add relu -> 2': 1, 'max_pool mul add relu': 1, 'concat': 1, 'reduce_mean': 1,
                   'matmul add': 1},
    'cifar20': {'conv relu': 10, 'conv add relu': 7, **CIFAR},
    'resnet20_cifar10': {'conv relu': 10, 'conv add relu': 7, **CIFAR},
    'resnet56_cifar10': {'conv relu': 28, 'conv add relu': 25, **CIFAR},
    'mlperf_tiny_resnet8': residual(4, 3, 2, **{'reduce_mean': 1, 'matmul add': 1, 'softmax': 1}),
    'digits': residual(4, 3, 2, **{'reduce_mean': 1, 'matmul add': 1}),
    'keras_resnet50': bottleneck(16, softmax=1, **TOP),
    'keras_resnet50_logits': bottleneck(16, **TOP),
    'keras_resnet50_nhwc': bottleneck(16, softmax=1, transpose=1, **TOP),
    'dlib_resnet34': residual(17, 13, 0, avg_pool=3, **{'conv pad add relu': 3}, **TOP),
}
SPELLINGS = re.compile(r'_(bn|b1|opset\d+|muladd|folded)(?=_|$)')


def count_kernels(text):
    """Kernels by their bodies, and ops outside of kernels by name, of a graph printed as text."""
    found, body = collections.Counter(), None
    for line in text.splitlines():
        op = re.match(r'\s+(%.*?) = (\w+)', line)
        if op and op[2] == 'kernel':
            body, results = [], op[1].count('%')
        elif op and body is not None:
            body.append(op[2])
        elif op and op[2] not in ('const', 'weight', 'reshape'):
            found['outside: ' + op[2]] += 1
        elif line.startswith('  }'):
            found[' '.join(body) + (f' -> {results}' if results > 1 else '')] += 1
            body = None
    return found


def check(agate, path):
    name = os.path.splitext(os.path.basename(path))[0]
    expected = EXPECTED.get(SPELLINGS.sub('', name))
    if expected is None:
        return 'SKIP', f'{name} is not in the table'
    done = subprocess.run([agate, 'dump', '--stage', 'fused', '--verify-each', path], capture_output=True, text=True)
    if done.returncode != 0:
        return 'FAIL', f'{name} {done.stderr.strip()}'
    found = count_kernels(done.stdout)
    wrong = [f'{found[body]} instead of {expected.get(body, 0)} of [{body}]'
             for body in sorted(found.keys() | expected.keys()) if found[body] != expected.get(body, 0)]
    return ('FAIL', f'{name} ' + '; '.join(wrong)) if wrong else ('PASS', f'{name} {sum(found.values())} kernels')


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__.strip())
    agate, counts = sys.argv[1], collections.Counter()
    for path in sys.argv[2:]:
        models = sorted(glob.glob(os.path.join(path, '*.onnx'))) if os.path.isdir(path) else [path]
        for model in models:
            result, reason = check(agate, model) if os.path.exists(model) else ('SKIP', f'{model} is not there')
            counts[result] += 1
            print(result, reason, flush=True)
    print(f'{counts["PASS"]} passed, {counts["FAIL"]} failed, {counts["SKIP"]} skipped')
    sys.exit(1 if counts['FAIL'] else 0)


if __name__ == '__main__':
    main()
