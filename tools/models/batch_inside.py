"""Random work on a tensor whose batch has been moved inwards, for random_tensors.py: it ends with the batch in front again."""
import numpy as np

from tensor_graph import Batch, is_free


def place(t):
    """The axis of the batch."""
    return next(i for i, d in enumerate(t.shape) if isinstance(d, Batch))


def times(dim, count):
    return Batch(dim.scale * count, dim.offset * count)


def turned(graph, t, perm):
    perm = [int(p) for p in perm]
    return graph.put('Transpose', [t], t.dtype, [t.shape[p] for p in perm], t.exact, perm=perm)


def reshaped(graph, t, shape):
    return graph.put('Reshape', [t, graph.ints(*(-1 if isinstance(d, Batch) else d for d in shape))], t.dtype, shape, t.exact)


# ---- steps: each returns a tensor with a batch somewhere, or None where it does not fit ----


def shuffled(graph, t):
    return turned(graph, t, graph.random.permutation(t.rank))


def unary(graph, t):
    op = graph.pick(('Neg', 'Relu', 'Tanh', 'Sigmoid'))
    return graph.put(op, [t], t.dtype, t.shape, t.exact and op in ('Neg', 'Relu'))


def with_constant(graph, t):
    shape = [1 if isinstance(d, Batch) or graph.chance(.4) else d for d in t.shape]
    shape = shape[graph.random.randint(t.rank + 1):] if graph.chance(.4) else shape
    pair = [t, graph.weights_of(t.dtype, shape)]
    return graph.tame(graph.put(graph.pick(('Add', 'Mul', 'Sub')), pair if graph.chance(.5) else pair[::-1], t.dtype, t.shape, False))


def with_itself(graph, t):
    """Joined with what lies otherwise in memory: the same, turned twice on other ways."""
    perm = graph.random.permutation(t.rank)
    other = turned(graph, unary(graph, turned(graph, t, perm)), np.argsort(perm))
    return graph.tame(graph.put(graph.pick(('Add', 'Mul', 'Max')), [t, other], t.dtype, t.shape, False))


def sliced(graph, t, axis):
    start = graph.random.randint(t.shape[axis])
    shape = t.shape[:axis] + [t.shape[axis] - start] + t.shape[axis + 1:]
    return graph.put('Slice', [t, graph.ints(start), graph.ints(1 << 40), graph.ints(graph.signed(axis, t.rank))], t.dtype, shape, t.exact)


def gathered(graph, t, axis):
    indices = graph.random.randint(0, t.shape[axis], graph.pick(((), (2,), (1,), (2, 2))))
    if t.rank - 1 + indices.ndim > 6:
        return None
    shape = t.shape[:axis] + list(indices.shape) + t.shape[axis + 1:]
    return graph.put('Gather', [t, graph.constant(indices, np.int64)], t.dtype, shape, t.exact, axis=graph.signed(axis, t.rank))


def joined(graph, t, axis):
    shape = t.shape[:axis] + [2 * t.shape[axis]] + t.shape[axis + 1:]
    return graph.put('Concat', [t, unary(graph, t)], t.dtype, shape, False, axis=graph.signed(axis, t.rank))


def padded(graph, t, axis):
    pads = [0] * (2 * t.rank)
    pads[axis], pads[t.rank + axis] = graph.pick((0, 1)), graph.pick((1, 2))
    shape = t.shape[:axis] + [t.shape[axis] + pads[axis] + pads[t.rank + axis]] + t.shape[axis + 1:]
    return graph.put('Pad', [t, graph.ints(*pads)], t.dtype, shape, t.exact)


def softmax(graph, t, axis):
    return graph.put(graph.pick(('Softmax', 'LogSoftmax')), [t], t.dtype, t.shape, False, axis=graph.signed(axis, t.rank))


def reduced(graph, t, axis):
    keep = graph.chance(.5)
    shape = t.shape[:axis] + [1] * keep + t.shape[axis + 1:]
    return graph.put('ReduceSum', [t, graph.ints(graph.signed(axis, t.rank))], t.dtype, shape, False, keepdims=int(keep))


def wider(graph, t):
    """One more dimension of 1, or many."""
    axis = graph.random.randint(t.rank + 1)
    if t.rank > 5:
        return None
    t = graph.put('Unsqueeze', [t, graph.ints(axis)], t.dtype, t.shape[:axis] + [1] + t.shape[axis:], t.exact)
    if graph.chance(.5):
        return t
    shape = t.shape[:axis] + [2] + t.shape[axis + 1:]
    return graph.put('Expand', [t, graph.ints(*(1 if isinstance(d, Batch) else d for d in shape))], t.dtype, shape, t.exact)


def product(graph, t):
    """By a matrix from either side, by a stack of them, or by others of the same stack where the batch is in that."""
    if t.rank < 2:
        return None
    if isinstance(t.shape[-1], Batch):
        rows, inner = graph.pick((1, 3, 8)), t.shape[-2]
        left = graph.weights_of(t.dtype, graph.pick(([], [*t.shape[:-2]])) + [rows, inner])
        return graph.tame(graph.put('MatMul', [left, t], t.dtype, t.shape[:-2] + [rows, t.shape[-1]], False))
    if place(t) < t.rank - 2 and graph.chance(.5):
        other = turned(graph, t, [*range(t.rank - 2), t.rank - 1, t.rank - 2])
        return graph.tame(graph.put('MatMul', [t, other], t.dtype, t.shape[:-1] + [t.shape[-2]], False))
    columns = graph.pick((1, 3, 8))
    stack = [1 if isinstance(d, Batch) else d for d in t.shape[:-2]] if graph.chance(.3) else []
    right = graph.weights_of(t.dtype, [*stack, t.shape[-1], columns])
    return graph.tame(graph.put('MatMul', [t, right], t.dtype, t.shape[:-1] + [columns], False))


def folded_behind(graph, t):
    """The dimension behind the batch, or a part of it, becomes the batch's."""
    at_batch = place(t)
    if at_batch == t.rank - 1:
        return None
    size = t.shape[at_batch + 1]
    taken = graph.pick([d for d in range(1, size + 1) if size % d == 0])
    rest = [size // taken] if graph.chance(.8) or taken != size else []
    return reshaped(graph, t, t.shape[:at_batch] + [times(t.shape[at_batch], taken)] + rest + t.shape[at_batch + 2:])


def folded_in_front(graph, t):
    """The batch becomes the rows of what is in front of it, is worked on as such, and comes back."""
    at_batch = place(t)
    if at_batch == 0:
        return None
    batch, size = t.shape[at_batch], t.shape[at_batch - 1]
    rows = reshaped(graph, t, t.shape[:at_batch - 1] + [times(batch, size)] + t.shape[at_batch + 1:])
    for _ in range(graph.pick((1, 2, 3))):
        work = graph.pick((unary, with_constant, product, shuffled))
        rows = work(graph, rows) or rows
    front = place(rows)
    return reshaped(graph, rows, rows.shape[:front] + [size, batch] + rows.shape[front + 1:])


AROUND = (shuffled, unary, with_constant, with_itself, wider, product, folded_behind, folded_in_front)
ALONG = (sliced, gathered, joined, padded, softmax, reduced)


def moved_in_and_back(graph, most_elements):
    t = graph.tensor(lambda t: t.dtype == 'float32' and t.rank > 1 and is_free(t.shape) and t.elements <= most_elements // 8)
    if not t:
        return None
    t = shuffled(graph, t)
    for _ in range(graph.pick((1, 2, 3, 5))):
        axes = [i for i, d in enumerate(t.shape) if not isinstance(d, Batch)]
        if axes and graph.chance(.5):
            result = graph.pick(ALONG)(graph, t, graph.pick(axes))
        else:
            result = graph.pick(AROUND)(graph, t)
        if result and result.elements <= most_elements:
            t = result
    front = place(t)
    rest = [i for i in range(t.rank) if i != front]
    return turned(graph, t, [front, *(rest[i] for i in graph.random.permutation(len(rest)))])
