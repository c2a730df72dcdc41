#!/usr/bin/python3
"""Writes graphs of random operators over tensors of any rank and element type, one for each seed.

  random_tensors.py --output-dir DIR [--first SEED] [--count N] [--nodes N]

Where random_networks.py grows images, this grows anything else: pointwise ops with broadcasting between every two types,
moves (transposes, slices, gathers, pads, tiles, reshapes), reductions over any axes, products of matrices with batches of
their own, softmax and norms along any axis, windows of one and three dimensions. In every second graph the first dimension
of an input is free, and grows from there: joined with others, folded into its neighbours, moved inwards and back. Where a
jump (rounding, a comparison, the place of a maximum) would turn the last bit into a whole number, its operand is one that no
rounding has touched. A seed always gives the same file.
"""
import numpy as np

from batch_inside import moved_in_and_back
from random_builder import Moves, write
from tensor_graph import FLOATS, INTEGERS, MOST_ELEMENTS, Batch, Tensor, TensorGraph, at, element_type, is_free

move = Moves()  # a move returns a tensor


class Graph(TensorGraph):
    def grow(self, nodes):
        self.grow_by(move, nodes)

    # ---- pointwise ----

    @move(5)
    def unary(self):
        t = self.tensor(lambda t: t.is_float)
        if not t:
            return None
        op = self.pick(('Sigmoid', 'Tanh', 'Elu', 'Selu', 'Celu', 'Softplus', 'Softsign', 'HardSigmoid', 'HardSwish', 'Mish', 'Erf',
                        'Sin', 'Cos', 'Atan', 'Exp', 'LeakyRelu', 'Abs', 'Neg', 'Relu', 'Sign', 'Floor', 'Ceil', 'Round',
                        'ThresholdedRelu', 'Shrink', 'Sqrt', 'Log', 'Reciprocal'))
        if op == 'Mish' and self.opset < 18:
            return None
        # What ONNX Runtime has for f32 alone.
        if op in ('Selu', 'Celu', 'HardSigmoid', 'Mish', 'Erf', 'Softsign', 'ThresholdedRelu', 'Atan') and t.dtype != 'float32':
            return None
        if op in ('Sign', 'Floor', 'Ceil', 'Round', 'ThresholdedRelu', 'Shrink') and not t.exact:
            return None
        if op in ('Sqrt', 'Log', 'Reciprocal'):
            t = self.put('Abs', [t], t.dtype, t.shape, t.exact)
            t = self.put('Add', [t, self.scalar(t.dtype, 1)], t.dtype, t.shape, False)
        if op == 'Exp':
            t = self.put('Min', [t, self.scalar(t.dtype, 2)], t.dtype, t.shape, t.exact)
        exact = t.exact and op in ('Abs', 'Neg', 'Relu', 'Sign', 'Floor', 'Ceil', 'Round', 'ThresholdedRelu', 'Shrink')
        return self.put(op, [t], t.dtype, t.shape, exact)

    @move(1)
    def unary_integer(self):
        t = self.tensor(lambda t: t.dtype in ('int32', 'int64', 'int8'))
        return t and self.put(self.pick(('Abs', 'Neg', 'Sign')), [t], t.dtype, t.shape, True)

    @move(6)
    def binary(self):
        t = self.tensor(lambda t: t.dtype in (*FLOATS, 'int32', 'int64'))
        if not t:
            return None
        other = self.partner(t, [t.dtype])
        shape = self.joined(t.shape, other.shape)
        ops = ('Add', 'Sub', 'Mul', 'Max', 'Min') + (('Div', 'Mean', 'Sum', 'PRelu') if t.is_float else ())
        op = self.pick(ops)
        if op == 'Mean' and t.dtype != 'float32':
            return None
        pair = [t, other] if self.chance(.5) else [other, t]
        exact = t.exact and other.exact and (op in ('Max', 'Min') or t.is_integer)
        if op == 'PRelu':
            pair = [t, other]
            if self.joined(t.shape, other.shape) != t.shape:
                return None
        if op == 'Div':
            below = self.put('Abs', [pair[1]], t.dtype, pair[1].shape, pair[1].exact)
            pair[1] = self.put('Add', [below, self.scalar(t.dtype, 1)], t.dtype, below.shape, False)
        result = self.put(op, pair, t.dtype, shape, exact)
        return self.tame(result) if op in ('Mul', 'Add', 'Sub', 'Sum') else result

    @move(2)
    def compared(self):
        t = self.tensor(lambda t: t.exact and t.dtype in ('float32', 'float64', 'int32', 'int64'))
        if not t:
            return None
        other = self.partner(t, [t.dtype])
        if not other.exact:
            return None
        op = self.pick(('Greater', 'Less', 'GreaterOrEqual', 'LessOrEqual', 'Equal'))
        return self.put(op, [t, other], 'bool', self.joined(t.shape, other.shape), True)

    @move(1)
    def logic(self):
        t = self.tensor(lambda t: t.dtype == 'bool')
        if not t:
            return None
        if self.chance(.3):
            return self.put('Not', [t], 'bool', t.shape, True)
        other = self.partner(t, ['bool'])
        return self.put(self.pick(('And', 'Or', 'Xor')), [t, other], 'bool', self.joined(t.shape, other.shape), True)

    @move(1)
    def bitwise(self):
        t = self.tensor(lambda t: t.is_integer)
        if not t:
            return None
        if t.dtype.startswith('u') and t.dtype != 'uint16' and self.chance(.4):
            other = self.weights_of(t.dtype, [])
            return self.put('BitShift', [t, other], t.dtype, t.shape, True, direction=self.pick(('LEFT', 'RIGHT')))
        if self.opset < 18:
            return None
        other = self.partner(t, [t.dtype])
        op = self.pick(('BitwiseAnd', 'BitwiseOr', 'BitwiseXor'))
        return self.put(op, [t, other], t.dtype, self.joined(t.shape, other.shape), True)

    @move(2)
    def chosen(self):
        condition = self.tensor(lambda t: t.dtype == 'bool')
        if not condition:
            return None
        types = ['float32', 'int64', 'float64', 'int32', 'uint8']
        a = self.partner(condition, types)
        shape = self.joined(condition.shape, a.shape)
        b = self.partner(Tensor('', a.dtype, shape, True), [a.dtype])
        shape = self.joined(shape, b.shape)
        pair = [a, b] if self.chance(.5) else [b, a]
        return self.put('Where', [condition, *pair], a.dtype, shape, a.exact and b.exact)

    @move(3)
    def cast(self):
        t = self.tensor()
        kinds = (*FLOATS, *INTEGERS, 'bool', 'float32', 'float32', 'float32', 'int64', 'int32')
        dtype = self.pick(kinds)
        if t.is_float and dtype not in FLOATS:
            if not t.exact:
                return None
            if dtype.startswith('u'):
                if t.dtype == 'float16':
                    return None
                t = self.put('Relu', [t], t.dtype, t.shape, True)
        if t.dtype.startswith('int') and dtype.startswith('u'):
            return None
        exact = t.exact and not (t.is_float and dtype == 'float16')
        return self.put('Cast', [t], dtype, t.shape, exact, to=element_type(dtype))

    # ---- moves ----

    @move(4)
    def transpose(self):
        t = self.tensor(lambda t: t.rank > 1)
        if not t:
            return None
        if is_free(t.shape):
            perm = [0, *(1 + self.random.permutation(t.rank - 1))]
        else:
            perm = self.random.permutation(t.rank)
        perm = [int(p) for p in perm]
        return self.put('Transpose', [t], t.dtype, [t.shape[p] for p in perm], t.exact, perm=perm)

    @move(4)
    def reshape(self):
        t = self.tensor(lambda t: t.rank < 6) or self.tensors[0]
        free = is_free(t.shape)
        rest = t.shape[1:] if free else t.shape
        total = int(np.prod(rest))
        factors, left = [], total
        for _ in range(self.pick((0, 1, 2, 3))):
            divisors = [d for d in range(1, left + 1) if left % d == 0]
            factors.append(self.pick(divisors))
            left //= factors[-1]
        factors.append(left)
        factors = [factors[i] for i in self.random.permutation(len(factors))]
        if free:
            how = self.pick(('zero', 'minus', 'folded'))
            if how == 'folded':
                head = Batch(t.shape[0].scale * factors[0], t.shape[0].offset * factors[0])
                return self.put('Reshape', [t, self.ints(-1, *factors[1:])], t.dtype, [head, *factors[1:]], t.exact)
            return self.put('Reshape', [t, self.ints(0 if how == 'zero' else -1, *factors)], t.dtype, [t.shape[0], *factors], t.exact)
        target = list(factors)
        if self.chance(.3):
            target[self.random.randint(len(target))] = -1
        return self.put('Reshape', [t, self.ints(*target)], t.dtype, factors, t.exact)

    @move(1)
    def ones(self):
        t = self.tensor(lambda t: t.rank < 6) or self.tensors[0]
        if self.chance(.5):
            axis = self.random.randint(is_free(t.shape), t.rank + 1)
            shape = t.shape[:axis] + [1] + t.shape[axis:]
            return self.put('Unsqueeze', [t, self.ints(self.signed(axis, t.rank + 1))], t.dtype, shape, t.exact)
        axes = [i for i, d in enumerate(t.shape) if d == 1]
        if not axes:
            return None
        axis = self.pick(axes)
        return self.put('Squeeze', [t, self.ints(self.signed(axis, t.rank))], t.dtype, t.shape[:axis] + t.shape[axis + 1:], t.exact)

    @move(1)
    def flatten(self):
        t = self.tensor(lambda t: t.rank > 0)
        axis = self.random.randint(is_free(t.shape), t.rank + 1) if t else 0
        if not t or (is_free(t.shape) and t.shape[0].offset):
            return None
        behind = int(np.prod(t.shape[axis:]))
        if is_free(t.shape):
            front = Batch(t.shape[0].scale * int(np.prod(t.shape[1:axis])))
        else:
            front = int(np.prod(t.shape[:axis]))
        return self.put('Flatten', [t], t.dtype, [front, behind], t.exact, axis=self.signed(axis, t.rank) if axis < t.rank else axis)

    @move(3)
    def slice(self):
        t = self.tensor(lambda t: t.rank > 0)
        axis = self.axis(t, fixed=True) if t else None
        if axis is None:
            return None
        size = t.shape[axis]
        first, last = sorted((self.random.randint(size), self.random.randint(size)))
        step = self.pick((1, 1, 1, 2, 3))
        length = (last - first) // step + 1
        start, end = first, last + 1
        if self.chance(.2):  # backwards
            start, end, step = last, first - 1 if first else -size - 1, -step
        elif self.chance(.3):
            start, end = start - size, (end - size) or np.iinfo(np.int64).max
        shape = t.shape[:axis] + [length] + t.shape[axis + 1:]
        return self.put('Slice', [t, self.ints(start), self.ints(end), self.ints(self.signed(axis, t.rank)), self.ints(step)],
                        t.dtype, shape, t.exact)

    @move(3)
    def concat(self):
        t = self.tensor(lambda t: t.rank > 0)
        axis = self.axis(t) if t else None
        if axis is None:
            return None
        parts = [t]
        for _ in range(self.pick((1, 1, 2, 3))):
            fits = lambda o: (o.dtype == t.dtype and o.rank == t.rank and
                              all(i == axis or a == b for i, (a, b) in enumerate(zip(o.shape, t.shape))))
            other = self.tensor(fits)
            if self.chance(.3) and not (is_free(t.shape) and axis):
                shape = list(t.shape)
                shape[axis] = self.pick((1, 2, 3, 8))
                other = self.weights_of(t.dtype, shape)
            parts.append(other)
        parts = [parts[i] for i in self.random.permutation(len(parts))]
        sizes = [p.shape[axis] for p in parts]
        whole = sum(at(s, 0) for s in sizes)
        scale = sum(s.scale for s in sizes if isinstance(s, Batch))
        shape = t.shape[:axis] + [Batch(scale, whole) if scale else whole] + t.shape[axis + 1:]
        return self.put('Concat', parts, t.dtype, shape, all(p.exact for p in parts), axis=self.signed(axis, t.rank))

    @move(2)
    def split(self):
        t = self.tensor(lambda t: t.rank > 0)
        axis = self.axis(t, fixed=True) if t else None
        if axis is None or t.shape[axis] < 2:
            return None
        size = t.shape[axis]
        first = self.random.randint(1, size)
        names = [self.name('part') for _ in range(2)]
        self.several('Split', [t.name, self.ints(first, size - first)], names, axis=self.signed(axis, t.rank))
        parts = [Tensor(name, t.dtype, t.shape[:axis] + [length] + t.shape[axis + 1:], t.exact)
                 for name, length in zip(names, (first, size - first))]
        self.tensors.append(parts[0])
        return parts[1]

    @move(2)
    def gather(self):
        t = self.tensor(lambda t: t.rank > 0)
        axis = self.axis(t, fixed=True) if t else None
        if axis is None:
            return None
        size = t.shape[axis]
        indices = self.random.randint(-size, size, self.pick(((), (1,), (3,), (7,), (2, 3))))
        if self.chance(.3):
            indices = np.abs(np.sort(indices, axis=None)).reshape(indices.shape) % size
        if t.rank - 1 + indices.ndim > 6:
            return None
        shape = t.shape[:axis] + list(indices.shape) + t.shape[axis + 1:]
        inputs = [t, self.constant(indices, self.pick((np.int64, np.int32)))]
        return self.put('Gather', inputs, t.dtype, shape, t.exact, axis=self.signed(axis, t.rank))

    @move(1)
    def gather_by_data(self):
        """Rows of a table by what an input says."""
        t = self.tensor(lambda t: t.dtype in ('int64', 'int32') and t.rank < 4 and t.exact)
        if not t:
            return None
        rows, width = self.pick((3, 8, 17)), self.pick(((), (1,), (5,), (16,), (2, 9)))
        index = self.put('Mod', [t, self.scalar(t.dtype, rows)], t.dtype, t.shape, True)
        table = self.weights_of(self.pick(('float32', 'int64', 'float32')), [rows, *width])
        return self.put('Gather', [table, index], table.dtype, [*t.shape, *width], True)

    @move(2)
    def pad(self):
        t = self.tensor(lambda t: t.rank > 0 and t.dtype in ('float32', 'float64', 'int32', 'int64', 'uint8', 'int8', 'bool'))
        if not t:
            return None
        mode = self.pick(('constant', 'constant', 'reflect', 'edge'))
        front, behind = ([self.pick((0, 0, 1, 2)) for _ in t.shape] for _ in range(2))
        for i, d in enumerate(t.shape):
            if isinstance(d, Batch):
                front[i] = behind[i] = 0
            if mode == 'reflect' and not isinstance(d, Batch) and d < 3:
                front[i] = behind[i] = 0
            if mode == 'constant' and not isinstance(d, Batch) and d > 4 and self.chance(.1):
                front[i] = -1
        if t.dtype == 'bool' and mode != 'constant':
            return None
        shape = [d if isinstance(d, Batch) else d + f + b for d, f, b in zip(t.shape, front, behind)]
        inputs = [t, self.ints(*front, *behind)]
        if mode == 'constant' and self.chance(.6):
            inputs.append(self.constant(self.numbers(t.dtype, ()), t.dtype))
        return self.put('Pad', inputs, t.dtype, shape, t.exact, mode=mode)

    @move(1)
    def tile(self):
        t = self.tensor(lambda t: t.rank > 0)
        if not t:
            return None
        times = [self.pick((1, 1, 2, 3)) for _ in t.shape]
        if is_free(t.shape):
            times[0] = 1
        return self.put('Tile', [t, self.ints(*times)], t.dtype, [d if n == 1 else d * n for d, n in zip(t.shape, times)], t.exact)

    @move(2)
    def expand(self):
        t = self.tensor(lambda t: 1 in t.shape or t.rank < 3)
        if not t:
            return None
        shape = [self.pick((1, 3, 8, 16)) if d == 1 else d for d in t.shape]
        target = [1 if isinstance(d, Batch) else d for d in shape]
        if self.chance(.3) and t.rank < 5 and not is_free(t.shape):
            shape, target = [2] + shape, [2] + target
        return self.put('Expand', [t, self.ints(*target)], t.dtype, shape, t.exact)

    @move(1)
    def triangle(self):
        t = self.tensor(lambda t: t.rank > 1 and not (t.rank == 2 and is_free(t.shape)) and t.dtype in ('float32', 'float64', 'int64'))
        if not t:
            return None
        k = self.scalar('int64', self.random.randint(-5, 6))
        return self.put('Trilu', [t, k], t.dtype, t.shape, t.exact, upper=int(self.chance(.5)))

    @move(1)
    def like_itself(self):
        """Reshaped by a shape that the graph computes, as exporters write it."""
        t = self.tensor(lambda t: t.rank > 1)
        if not t:
            return None
        shape = self.node('Shape', [t.name], self.name('shape'))
        head = self.node('Slice', [shape, self.ints(0), self.ints(1)], self.name('head'))
        target = self.node('Concat', [head, self.ints(-1)], self.name('target'), axis=0)
        return self.put('Reshape', [t, target], t.dtype, [t.shape[0], int(np.prod(t.shape[1:]))], t.exact)

    @move(2)
    def batch_inside(self):
        return moved_in_and_back(self, MOST_ELEMENTS)

    # ---- reductions, rows, products ----

    @move(5)
    def reduce(self):
        t = self.tensor(lambda t: t.rank > 0 and t.dtype in ('float32', 'float64', 'int32', 'int64'))
        first = 1 if t and is_free(t.shape) and self.chance(.9) else 0
        if not t or t.rank == first:
            return None
        axes = [i for i in range(first, t.rank) if self.chance(.5)] or [self.random.randint(first, t.rank)]
        ops = ('ReduceSum', 'ReduceMean', 'ReduceMax', 'ReduceMin', 'ReduceL1', 'ReduceL2', 'ReduceLogSumExp', 'ReduceSumSquare')
        op = self.pick(ops if t.is_float else ('ReduceSum', 'ReduceMax', 'ReduceMin'))
        keep = self.chance(.5)
        shape = [1 if i in axes else d for i, d in enumerate(t.shape) if keep or i not in axes]
        exact = t.exact and (op in ('ReduceMax', 'ReduceMin') or t.is_integer)
        signed = [self.signed(a, t.rank) for a in axes]
        by_input = op == 'ReduceSum' or self.opset >= 18
        inputs, attributes = ([t, self.ints(*signed)], {}) if by_input else ([t], dict(axes=signed))
        return self.tame(self.put(op, inputs, t.dtype, shape, exact, keepdims=int(keep), **attributes))

    @move(1)
    def reduce_all(self):
        t = self.tensor(lambda t: t.dtype == 'float32' and not is_free(t.shape))
        if not t:
            return None
        return self.put(self.pick(('ReduceMean', 'ReduceMax')), [t], t.dtype, [1] * t.rank, False)

    @move(2)
    def place_of_most(self):
        t = self.tensor(lambda t: t.exact and t.rank > 0 and t.dtype in ('float32', 'float64', 'int32'))
        axis = self.axis(t, fixed=True) if t else None
        if axis is None:
            return None
        keep = self.chance(.5)
        shape = t.shape[:axis] + ([1] if keep else []) + t.shape[axis + 1:]
        return self.put(self.pick(('ArgMax', 'ArgMin')), [t], 'int64', shape, True, axis=self.signed(axis, t.rank), keepdims=int(keep),
                        select_last_index=int(self.chance(.3)))

    @move(2)
    def row_wise(self):
        t = self.tensor(lambda t: t.rank > 0 and t.dtype in ('float32', 'float64'))
        axis = self.axis(t, fixed=True) if t else None
        if axis is None:
            return None
        op = self.pick(('Softmax', 'LogSoftmax', 'Hardmax', 'LpNormalization', 'MeanVarianceNormalization'))
        if op == 'Hardmax':
            return self.put(op, [t], t.dtype, t.shape, True, axis=self.signed(axis, t.rank)) if t.exact else None
        if op == 'LpNormalization':
            away = self.put('Add', [self.put('Abs', [t], t.dtype, t.shape, t.exact), self.scalar(t.dtype, 1)], t.dtype, t.shape, False)
            return self.put(op, [away], t.dtype, t.shape, False, axis=self.signed(axis, t.rank), p=self.pick((1, 2)))
        if op == 'MeanVarianceNormalization':
            axes = [i for i in range(is_free(t.shape), t.rank) if i == axis or self.chance(.3)]
            if t.dtype != 'float32' or np.prod([t.shape[i] for i in axes]) < 4:
                return None
            return self.put(op, [t], t.dtype, t.shape, False, axes=axes)
        return self.put(op, [t], t.dtype, t.shape, False, axis=self.signed(axis, t.rank))

    @move(1)
    def layer_norm(self):
        t = self.tensor(lambda t: t.rank > 0 and t.dtype == 'float32')
        axis = self.axis(t, fixed=True) if t else None
        if axis is None:
            return None
        inner = t.shape[axis:]
        if np.prod(inner) < 4:
            return None
        inputs = [t, self.weights_of('float32', inner)] + ([self.weights_of('float32', inner)] if self.chance(.5) else [])
        return self.put('LayerNormalization', inputs, t.dtype, t.shape, False, axis=self.signed(axis, t.rank), epsilon=.1)

    @move(4)
    def matmul(self):
        t = self.tensor(lambda t: t.rank > 0 and t.dtype in (*FLOATS, 'int32') and not (t.rank == 1 and is_free(t.shape)))
        if not t:
            return None
        inner = t.shape[-1]
        other = self.tensor(lambda o: o.dtype == t.dtype and o.rank > 1 and o.shape[-2] == inner and
                            self.joined(t.shape[:-2], o.shape[:-2]) is not None)
        if other and self.chance(.4):
            left, right = t, other
        else:
            left = t
            shape = [inner, self.pick((1, 3, 8, 16, 17, 40))]
            if self.chance(.15):
                shape = shape[:1]
            elif t.rank > 2 and self.chance(.4):
                batches = [d if not isinstance(d, Batch) and self.chance(.5) else 1 for d in t.shape[:-2]]
                shape = batches[self.random.randint(len(batches) + 1):] + shape
            right = self.weights_of(t.dtype, shape)
            if t.is_float and inner > 1:
                scaled = self.numbers(t.dtype, shape) / np.asarray(np.sqrt(inner), t.dtype)
                right = Tensor(self.constant(scaled, t.dtype), t.dtype, shape, True)
        batches = self.joined(left.shape[:-2], right.shape[:-2])
        rows = left.shape[-2:-1]
        columns = right.shape[-1:] if right.rank > 1 else []
        if batches is None or any(isinstance(d, Batch) for d in (batches + rows + columns)[1:]):
            return None
        return self.tame(self.put('MatMul', [left, right], t.dtype, batches + rows + columns, t.is_integer))

    @move(2)
    def gemm(self):
        t = self.tensor(lambda t: t.rank == 2 and t.dtype in ('float32', 'float64'))
        if not t:
            return None
        turned = not is_free(t.shape) and self.chance(.4)
        rows, inner = t.shape[::-1] if turned else t.shape
        columns = self.pick((1, 4, 16, 19))
        flip = self.chance(.5)
        right = self.weights_of(t.dtype, [columns, inner] if flip else [inner, columns])
        inputs = [t, right]
        if self.chance(.7):
            inputs.append(self.weights_of(t.dtype, self.pick(([columns], [1, columns], [], [1], [1, 1]))))
        result = self.put('Gemm', inputs, t.dtype, [rows, columns], False, transA=int(turned), transB=int(flip),
                          alpha=self.pick((1.0, .25, -.5)), beta=self.pick((1.0, 2.0, .5)))
        return self.tame(result)

    @move(2)
    def window(self):
        """Convolutions and pools of one and of three dimensions."""
        t = self.tensor(lambda t: t.dtype in ('float32', 'float16') and t.rank in (3, 5))
        if not t:
            return None
        extent = t.shape[2:]
        kernel = [self.pick([k for k in (1, 2, 3, 4) if k <= size]) for size in extent]
        strides = [self.pick((1, 1, 2)) for _ in kernel]
        pads = [self.random.randint(0, k) if k > 1 else 0 for k in kernel + kernel]
        count = len(kernel)
        kind = self.pick(('Conv', 'Conv', 'Conv', 'MaxPool', 'AveragePool', 'GlobalAveragePool', 'GlobalMaxPool', 'InstanceNormalization'))
        channels = t.shape[1]
        attributes = dict(kernel_shape=kernel, strides=strides, pads=pads)
        reach = kernel
        if kind == 'Conv' and self.chance(.3):
            attributes['dilations'] = [2 if 2 * (k - 1) < size else 1 for k, size in zip(kernel, extent)]
            reach = [d * (k - 1) + 1 for d, k in zip(attributes['dilations'], kernel)]
        results = [(size + a + b - k) // s + 1 for size, a, b, k, s in zip(extent, pads, pads[count:], reach, strides)]
        if kind.startswith('Global'):
            return self.put(kind, [t], t.dtype, [*t.shape[:2], *[1] * count], t.exact and kind == 'GlobalMaxPool')
        if kind == 'InstanceNormalization':
            if np.prod(extent) < 4:
                return None
            inputs = [t, self.weights_of(t.dtype, [channels]), self.weights_of(t.dtype, [channels])]
            return self.tame(self.put(kind, inputs, t.dtype, t.shape, False, epsilon=.1))
        if kind == 'MaxPool':
            return self.put(kind, [t], t.dtype, [*t.shape[:2], *results], t.exact, **attributes)
        if kind == 'AveragePool':
            return self.put(kind, [t], t.dtype, [*t.shape[:2], *results], False, count_include_pad=int(self.chance(.5)), **attributes)
        group = self.pick([g for g in (1, 1, channels, 2, 4) if channels % g == 0])
        outputs = group * self.pick((1, 2, 3) if group > 1 else (1, 3, 8, 16, 17))
        fan_in = channels // group
        weights = self.numbers(t.dtype, [outputs, fan_in, *kernel]) / np.asarray(np.sqrt(fan_in * np.prod(kernel)), t.dtype)
        attributes['group'] = group
        inputs = [t, self.constant(weights, t.dtype)] + ([self.weights_of(t.dtype, [outputs])] if self.chance(.5) else [])
        return self.tame(self.put(kind, inputs, t.dtype, [t.shape[0], outputs, *results], False, **attributes))


if __name__ == '__main__':
    write(__doc__, Graph, 'tensors', nodes=30)
