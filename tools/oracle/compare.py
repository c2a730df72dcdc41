#!/usr/bin/python3
"""Compares two folders of .npy outputs, file by file; one PASS or FAIL line each, and a closing count.

  compare.py EXPECTED_DIR ACTUAL_DIR [--rtol R] [--atol A] [--top5]

A value passes when |actual - expected| <= atol + rtol * |expected|; NaNs must meet NaNs. With --top5 the five greatest of
each row must also be the same, in order, where the expected ones differ by more than the tolerance.
"""
import argparse
import glob
import os
import sys

import numpy as np

RTOL, ATOL = 1e-3, 1e-5


def top5_differs(expected, actual, rtol, atol):
    """The first row whose five greatest differ, or None. Near ties may change places."""
    for row, (e, a) in enumerate(zip(expected.reshape(len(expected), -1), actual.reshape(len(actual), -1))):
        ours, theirs = np.argsort(-a, kind='stable')[:5], np.argsort(-e, kind='stable')[:5]
        if (np.abs(e[ours] - e[theirs]) > atol + rtol * np.abs(e[theirs])).any():
            return row
    return None


def beyond(expected, actual, rtol=RTOL, atol=ATOL):
    """Which values are further off than the tolerance."""
    e, a = expected.astype(np.float64), actual.astype(np.float64)
    with np.errstate(invalid='ignore'):
        return ~((np.abs(a - e) <= atol + rtol * np.abs(e)) | (a == e) | (np.isnan(a) & np.isnan(e)))


def compare(expected, actual, rtol=RTOL, atol=ATOL, top5=False):
    """Whether two arrays agree, and a phrase that says how well."""
    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        return False, (f'shape {list(actual.shape)} {actual.dtype} where {list(expected.shape)} {expected.dtype} '
                       'was expected')
    if expected.dtype.kind != 'f':
        wrong = int((expected != actual).sum())
        return wrong == 0, 'equal' if wrong == 0 else f'{wrong} of {expected.size} values differ'
    if expected.size == 0:
        return True, 'empty'
    e, a = expected.astype(np.float64), actual.astype(np.float64)
    wrong = beyond(expected, actual, rtol, atol)
    with np.errstate(invalid='ignore'):
        error = np.nanmax(np.where(a == e, 0, np.abs(a - e)), initial=0)
        largest = np.nanmax(np.abs(e), initial=0)
    text = f'max error {error:.2g}, {error / largest if largest else 0:.2g} of the largest value'
    if wrong.any():
        first = np.unravel_index(np.argmax(wrong), wrong.shape)
        at = ','.join(map(str, first))
        return False, f'{int(wrong.sum())} of {e.size} values differ; at [{at}] {a[first]:.7g} for {e[first]:.7g}; {text}'
    if top5:
        row = top5_differs(e, a, rtol, atol)
        if row is not None:
            return False, f'top-5 differs in row {row}; {text}'
        text += ', same top-5'
    return True, text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('expected')
    parser.add_argument('actual')
    parser.add_argument('--rtol', type=float, default=RTOL)
    parser.add_argument('--atol', type=float, default=ATOL)
    parser.add_argument('--top5', action='store_true')
    arguments = parser.parse_args()
    paths = sorted(glob.glob(os.path.join(arguments.expected, '*.npy')))
    if not paths:
        parser.error(f'{arguments.expected} holds no .npy files')
    failed = 0
    for path in paths:
        name = os.path.basename(path)
        other = os.path.join(arguments.actual, name)
        ok, text = False, 'missing'
        if os.path.exists(other):
            ok, text = compare(np.load(path), np.load(other), arguments.rtol, arguments.atol, arguments.top5)
        failed += not ok
        print(f"{'PASS' if ok else 'FAIL'} {name} {text}")
    print(f'{len(paths) - failed} passed, {failed} failed, 0 skipped')
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
