"""How far an answer is from the float64 one, and how far products of fewer bits may take it.

An error is a share of the largest value of the output. Of probabilities, those of classes that nobody would name would count
for nothing and one near 1/2 for everything; their logarithms, less the mean, are the logits that a softmax took, so these are
compared. In an output of rows of classes, the first class and the set of the first five are compared too.

What narrower products may make of an answer is a share of the largest value as well, one for each kind of numbers. Rounding
to bfloat16 takes at most u = 2^-8 of a number, 0.42 u in the root of the mean square, 0.6 u for the product of two. Errors of
products are as good as independent, so a sum is off by 0.6 u of what such sums are in the mean, and those of L layers in a
row, each of which hands on what it was given, by 0.6 u sqrt(L); the largest error among the outputs stands to the largest
output about as the means do. That is 0.029 for 152 layers. Layers of random weights with norms behind them, and no
shortcuts, magnify errors besides: by up to 1.21 each where half of the ReLUs are open (Yang et al., A Mean Field Theory of
Batch Normalization, 2019), which makes 0.041 of 13 layers. So 0.05 are allowed.

Rounding to IEEE half precision, of 11 bits instead of 8, takes 2^-3 of that at most, of numbers between 2^-14 and 65504. Below, it
takes as much as of 2^-14, which is nothing next to the values of a layer; above, a value is infinite, and no answer passes.

Two bfloat16 numbers round to 2^-17 of a number at most, and what is left out of a product, that of the two second ones, is as
much of it: 2^-8 of what one rounding takes, as is what is allowed. Three hold an f32 whole, so f32x6 is held to what f32 is.
"""
import numpy as np

TOLERANCES = dict(bf16=0.05, f16=0.05 / 2**3, f32x3=0.05 / 2**8)
TINY = float(np.finfo(np.float32).tiny)


def are_probabilities(array):
    return array.ndim == 2 and array.shape[1] > 1 and bool((array >= 0).all()) and np.allclose(array.sum(axis=1), 1, atol=1e-3)


def logits(array):
    logs = np.log(np.maximum(array, TINY))
    return logs - logs.mean(axis=1, keepdims=True)


def firsts(array, count):
    return np.argsort(-array, axis=1, kind='stable')[:, :count]


def measure_classes(exact, answer):
    """`margin` is by how much the exact first leads where the answer names another, the most of all rows."""
    rows = np.arange(len(exact))
    best, chosen = firsts(exact, 1)[:, 0], firsts(answer, 1)[:, 0]
    five = [set(a) == set(b) for a, b in zip(firsts(exact, 5).tolist(), firsts(answer, 5).tolist())]
    lead = exact[rows, best] - exact[rows, chosen]
    return dict(rows=len(exact), top1=int((best == chosen).sum()), top5=sum(five), margin=float(lead.max(initial=0)))


def measure(exact, answer):
    """Of one output: largest and root mean square error, and for rows of more than five classes what became of the first."""
    exact, answer = exact.astype(np.float64), answer.astype(np.float64)
    if are_probabilities(exact):
        exact, answer = logits(exact), logits(answer)
    largest = np.abs(exact[np.isfinite(exact)]).max(initial=0) or 1.0
    with np.errstate(invalid='ignore'):
        errors = np.abs(answer - exact) / largest
    # What is no number is infinitely far off, unless it is none in both.
    errors = np.where(np.isfinite(errors), errors, np.where((answer == exact) | (np.isnan(answer) & np.isnan(exact)), 0, np.inf))
    found = dict(max=float(errors.max(initial=0)), rms=float(np.sqrt((errors**2).mean())) if errors.size else 0.0)
    if exact.ndim == 2 and exact.shape[1] > 5:
        found |= measure_classes(exact / largest, answer / largest)
    return found


def measure_all(exact, answer):
    """Of all outputs of floats that both have: the one that is furthest off, and of classes the first there is."""
    found = [measure(exact[name], answer[name]) for name in sorted(exact)
             if name in answer and exact[name].dtype.kind == 'f' and exact[name].shape == answer[name].shape]
    if not found:
        return None
    classes = next((f for f in found if 'rows' in f), {})
    return classes | {key: max(f[key] for f in found) for key in ('max', 'rms')}


def say(found):
    text = f"max error {found['max']:.2g}, rms {found['rms']:.2g} of the largest value"
    if 'rows' in found:
        text += f"; same first in {found['top1']} of {found['rows']} rows, same five in {found['top5']}"
    return text
