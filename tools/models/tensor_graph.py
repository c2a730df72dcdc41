"""Graphs of tensors of any rank and element type, for random_tensors.py: what there is and what fits with what."""
import numpy as np
import onnx

from random_builder import RandomBuilder

FLOATS = ('float32', 'float64', 'float16')
INTEGERS = ('int64', 'int32', 'uint8', 'int8', 'int16', 'uint16', 'uint32', 'uint64')
EXTENTS = (1, 1, 2, 3, 3, 4, 5, 7, 8, 9, 15, 16, 17, 20, 31, 33)
MOST_ELEMENTS = 1 << 13  # of a tensor, for each row of a batch


class Batch:
    """A number of rows: scale * N + offset."""

    def __init__(self, scale, offset=0):
        self.scale, self.offset = scale, offset

    def __eq__(self, other):
        return isinstance(other, Batch) and (self.scale, self.offset) == (other.scale, other.offset)

    def at(self, n):
        return self.scale * n + self.offset


def at(dim, n):
    return dim.at(n) if isinstance(dim, Batch) else dim


def element_type(dtype):
    return onnx.mapping.NP_TYPE_TO_TENSOR_TYPE[np.dtype(dtype)]


def is_free(shape):
    return bool(shape) and isinstance(shape[0], Batch)


class Tensor:
    """A value: its element type, its shape, and whether every implementation must have the same bits of it."""

    def __init__(self, name, dtype, shape, exact):
        self.name, self.dtype, self.shape, self.exact = name, dtype, list(shape), exact

    @property
    def rank(self):
        return len(self.shape)

    @property
    def elements(self):
        return int(np.prod([at(d, 1) for d in self.shape]))

    @property
    def is_float(self):
        return self.dtype in FLOATS

    @property
    def is_integer(self):
        return self.dtype in INTEGERS


class TensorGraph(RandomBuilder):
    """A graph of tensors; the first dimension of odd seeds is free."""

    def __init__(self, seed):
        super().__init__(seed, opset=17 + seed // 2 % 2)
        self.tensors = []
        free = seed % 2
        for index in range(self.pick((1, 1, 2, 3))):
            rank = self.pick((1, 2, 2, 3, 3, 4, 4, 5, 6) if free else (0, 1, 2, 2, 3, 3, 4, 4, 5, 6))
            shape = self.extents(rank)
            if free and (index == 0 or self.chance(.5)):
                shape[0] = Batch(1)
            dtype = 'float32' if index == 0 else self.pick(('float32', 'float32', *FLOATS, *INTEGERS, 'bool'))
            name = self.input(f'x{index}', ['N' if isinstance(d, Batch) else d for d in shape], element_type(dtype))
            self.tensors.append(Tensor(name, dtype, shape, True))

    # ---- chance ----

    def extents(self, rank):
        while True:
            shape = [self.pick(EXTENTS) for _ in range(rank)]
            if np.prod(shape) <= MOST_ELEMENTS // 2:
                return shape

    def tensor(self, fits=lambda t: True):
        """A tensor of those that fit, a late one more likely; or None."""
        fitting = [t for t in self.tensors if fits(t)]
        return self.late(fitting) if fitting else None

    def axis(self, t, fixed=False):
        """An axis of `t`, with `fixed` none whose size is the batch's; or None."""
        first = 1 if fixed and is_free(t.shape) else 0
        return self.random.randint(first, t.rank) if t.rank > first else None

    def signed(self, axis, rank):
        """The axis, or the same counted from the end."""
        return int(axis - rank if self.chance(.3) else axis)

    # ---- nodes ----

    def put(self, op, inputs, dtype, shape, exact, **attributes):
        inputs = [t.name if isinstance(t, Tensor) else t for t in inputs]
        return Tensor(self.node(op, inputs, self.name(op), **attributes), dtype, shape, exact)

    def numbers(self, dtype, shape):
        """Small numbers of a type, halves among them where it has any."""
        if dtype == 'bool':
            return self.random.randint(0, 2, shape).astype(bool)
        low = 0 if dtype.startswith('u') else -4
        numbers = self.random.randint(low, 5, shape)
        return numbers.astype(dtype) / np.asarray(2, dtype) if dtype in FLOATS else numbers.astype(dtype)

    def weights_of(self, dtype, shape):
        return Tensor(self.constant(self.numbers(dtype, shape), dtype), dtype, shape, True)

    def scalar(self, dtype, value):
        return self.constant(value, dtype)

    # ---- shapes ----

    def joined(self, a, b):
        """The shape that two broadcast to, or None."""
        rank = max(len(a), len(b))
        shape = []
        for x, y in zip([1] * (rank - len(a)) + a, [1] * (rank - len(b)) + b):
            if x == 1 or y == 1 or x == y:
                shape.append(y if x == 1 else x)
            else:
                return None
        if any(isinstance(d, Batch) for d in shape[1:]):
            return None
        return shape

    def partner(self, t, kinds):
        """Something of one of these types that broadcasts with `t`: another tensor, or a constant of any such shape."""
        other = self.tensor(lambda o: o.dtype in kinds and self.joined(t.shape, o.shape) is not None)
        if other and self.chance(.6):
            return other
        shape = [d if not isinstance(d, Batch) and self.chance(.6) else 1 for d in t.shape]
        while shape and self.chance(.3):
            shape = shape[1:]
        if self.chance(.1) and len(shape) == t.rank and t.rank < 6 and not is_free(t.shape):
            shape = [2] + shape
        return self.weights_of(self.pick(kinds), shape)

    def tame(self, t):
        """The same, and no larger: what has been multiplied or summed stays where types and tolerances can hold it."""
        if t.is_float:
            return self.put('Clip', [t, self.scalar(t.dtype, -8), self.scalar(t.dtype, 8)], t.dtype, t.shape, t.exact)
        if t.dtype in ('int32', 'int64'):
            return self.put('Mod', [t, self.scalar(t.dtype, 11)], t.dtype, t.shape, True)
        return t

    # ---- the whole ----

    def grow_by(self, moves, nodes):
        for _ in range(50 * nodes):
            if self.count >= nodes:
                return
            t = self.moved(moves)
            if t and t.elements <= MOST_ELEMENTS and all(at(d, 1) > 0 for d in t.shape):
                self.tensors.append(t)

    def finish(self):
        read = {name for node in self.nodes for name in node.input}
        given = {value.name for value in self.inputs}
        made = [t for t in self.tensors if t.name not in given]
        for t in [t for t in made if t.name not in read or self.chance(.1)] or made[-1:]:
            shape = ['N' if d == Batch(1) else None if isinstance(d, Batch) else d for d in t.shape]
            self.output(t.name, shape, element_type(t.dtype))
