#!/usr/bin/python3
"""Writes convolutional networks of random shapes and random joints, one for each seed.

  random_networks.py --output-dir DIR [--first SEED] [--count N] [--nodes N]

A network grows operator by operator over images that are there already: convolutions of any group, stride, dilation and
border, norms and activations in front and behind, sums and products of what has one shape, concats, splits, shuffles,
pools, squeeze-and-excite, resizing, tokens and a classifier. What nobody reads is an output, and so is now and then
what others read. Weights keep values near 1, so that no answer drowns in rounding. A seed always gives the same file.
"""
import numpy as np

from random_builder import Moves, RandomBuilder, write

ACTIVATIONS = ('Relu', 'LeakyRelu', 'Clip', 'HardSwish', 'HardSigmoid', 'Sigmoid', 'Tanh', 'Elu', 'PRelu', 'Silu', 'Gelu',
               'Softplus')
# Widths around a vector's and a block's, and the odd ones between.
CHANNELS = (1, 2, 3, 4, 5, 7, 8, 12, 15, 16, 17, 20, 24, 30, 32, 33, 40, 48, 56, 64, 65, 72, 96)
MOST_ELEMENTS = 1 << 17  # of an image with all its channels


class Image:
    """A value of shape [N, channels, height, width]."""

    def __init__(self, name, channels, height, width):
        self.name, self.channels, self.height, self.width = name, channels, height, width

    @property
    def extent(self):
        return self.height, self.width

    @property
    def shape(self):
        return ['N', self.channels, self.height, self.width]


move = Moves()  # a move returns an image


class Network(RandomBuilder):
    def __init__(self, seed):
        super().__init__(seed, opset=17)
        self.flat = []  # outputs that are no images: name, shape
        extent = (self.pick((1, 2, 5, 7, 8, 13, 14, 16, 21, 28, 32, 33, 40)),
                  self.pick((1, 3, 6, 7, 8, 12, 14, 17, 25, 28, 31, 32, 40)))
        channels = self.pick((1, 2, 3, 3, 4, 16, 17, 32, 64))
        self.images = [Image(self.input('x', ['N', channels, *extent]), channels, *extent)]

    def image(self, *others):
        """An image, a late one more likely; of the same height and width as `others`, if any."""
        fitting = [i for i in self.images if all(i.extent == o.extent for o in others)]
        return self.late(fitting)

    # ---- nodes ----

    def put(self, op, inputs, **attributes):
        return self.node(op, inputs, self.name(op), **attributes)

    def around(self, center, spread, *shape):
        return self.constant(center + spread * self.random.uniform(-1, 1, shape))

    def activate(self, x, channels):
        kind = self.pick(ACTIVATIONS)
        if kind == 'Clip':
            return self.put('Clip', [x, self.constant(self.pick((0, -1))), self.constant(self.pick((1, 6)))])
        if kind == 'PRelu':
            return self.put('PRelu', [x, self.around(.2, .1, channels, 1, 1)])
        if kind == 'Silu':
            return self.put('Mul', [x, self.put('Sigmoid', [x])])
        if kind == 'Gelu':
            inner = self.put('Erf', [self.put('Div', [x, self.constant(np.sqrt(2))])])
            return self.put('Mul', [self.put('Mul', [x, self.put('Add', [inner, self.constant(1)])]), self.constant(.5)])
        return self.put(kind, [x])

    def norm(self, x, channels):
        name = self.name('batch_norm')
        r = self.random
        return self.batch_norm(x, name, *(a.astype(np.float32) for a in (
            r.uniform(.5, 1.5, channels), r.uniform(-.5, .5, channels), r.uniform(-.5, .5, channels),
            r.uniform(.5, 2, channels))), epsilon=1e-5)

    def decorate(self, x, channels):
        """Norms, activations and scalars, in any order."""
        for _ in range(self.pick((0, 1, 1, 2, 3))):
            step = self.pick(('norm', 'activate', 'activate', 'scale', 'shift', 'scalar'))
            if step == 'norm':
                x = self.norm(x, channels)
            elif step == 'activate':
                x = self.activate(x, channels)
            elif step == 'scale':
                x = self.put('Mul', [x, self.around(1, .5, *self.pick(((1, channels, 1, 1), (channels, 1, 1))))])
            elif step == 'shift':
                x = self.put('Add', [self.around(0, .5, 1, channels, 1, 1), x])
            else:
                x = self.put(self.pick(('Add', 'Sub', 'Mul', 'Div', 'Max', 'Min')), [x, self.constant(self.random.uniform(.5, 2))])
        return x

    def grown(self, x, channels, height, width, plain=False):
        if not plain:
            x = self.decorate(x, channels)
        return Image(x, channels, height, width)

    def filters(self, *shape):
        fan_in = int(np.prod(shape[1:]))
        return self.constant(self.random.standard_normal(shape) / np.sqrt(fan_in))

    # ---- what a window covers ----

    def window(self, extent, kernels, strides, dilations):
        """For each of height and width: kernel, stride, dilation, pads in front and behind, and how many results."""
        sides = []
        square = self.chance(.7)
        for size in extent:
            if square and sides:
                kernel, stride, dilation, front, behind, _ = sides[0]
            else:
                kernel, stride, dilation = self.pick(kernels), self.pick(strides), self.pick(dilations)
                reach = dilation * (kernel - 1)
                front, behind = self.pick(((reach // 2, reach - reach // 2), (reach // 2, reach - reach // 2), (0, 0),
                                           (reach, 0), (0, reach), (min(1, reach), reach // 2)))
            room = size + front + behind - dilation * (kernel - 1) - 1
            if room < 0:
                return None
            sides.append((kernel, stride, dilation, front, behind, room // stride + 1))
        return [list(numbers) for numbers in zip(*sides)]

    def same(self, x, kernel):
        """A window of odd size whose results are as many as the elements of `x`."""
        return [[kernel] * 2, [1, 1], [1, 1], [kernel // 2] * 2, [kernel // 2] * 2, list(x.extent)]

    def convolved(self, x, channels, group, window):
        kernel, strides, dilations, front, behind, extent = window
        weights = self.filters(channels, x.channels // group, *kernel)
        inputs = [x.name, weights] + ([self.around(0, .5, channels)] if self.chance(.6) else [])
        name = self.put('Conv', inputs, kernel_shape=kernel, strides=strides, dilations=dilations, pads=front + behind,
                        group=group)
        return name, extent

    @move(8)
    def conv(self):
        x = self.image()
        window = self.window(x.extent, (1, 1, 1, 2, 3, 3, 3, 5, 7), (1, 1, 1, 1, 2, 3), (1, 1, 1, 1, 2, 3))
        if not window:
            return None
        channels = self.pick(CHANNELS)
        group = 1
        if self.chance(.2):
            group = self.pick([g for g in range(1, x.channels + 1) if x.channels % g == 0])
            channels = group * self.pick((1, 1, 2, 3, 8, 16) if group > 4 else (1, 4, 8, 16, 17))
        if channels > 160:
            return None
        name, extent = self.convolved(x, channels, group, window)
        return self.grown(name, channels, *extent)

    @move(1)
    def conv_as_keras(self):
        """Borders by their name, which depend on the stride."""
        x = self.image()
        kernel, strides = [self.pick((1, 2, 3, 5)) for _ in range(2)], [self.pick((1, 2, 3)) for _ in range(2)]
        how = self.pick(('SAME_UPPER', 'SAME_LOWER', 'VALID'))
        if how == 'VALID' and any(size < k for size, k in zip(x.extent, kernel)):
            return None
        extent = [-(-(size if how != 'VALID' else size - k + 1) // s) for size, k, s in zip(x.extent, kernel, strides)]
        channels = self.pick(CHANNELS)
        name = self.put('Conv', [x.name, self.filters(channels, x.channels, *kernel)], kernel_shape=kernel, strides=strides,
                        auto_pad=how)
        return self.grown(name, channels, *extent)

    @move(1)
    def conv_of_lines(self):
        """One dimension: rows one behind the other."""
        x = self.image()
        length = x.height * x.width
        kernel = self.pick((1, 3, 4))
        if length < kernel:
            return None
        channels = self.pick(CHANNELS)
        line = self.put('Reshape', [x.name, self.ints(0, x.channels, length)])
        name = self.put('Conv', [line, self.filters(channels, x.channels, kernel), self.around(0, .5, channels)],
                        pads=[kernel // 2, kernel - 1 - kernel // 2])
        if self.chance(.5):
            name = self.put('Relu', [name])
        name = self.put('Reshape', [name, self.ints(0, channels, *x.extent)])
        return self.grown(name, channels, *x.extent, plain=self.chance(.5))

    @move(3)
    def depthwise(self):
        x = self.image()
        window = self.window(x.extent, (3, 3, 3, 5, 7, 2), (1, 1, 1, 2), (1, 1, 1, 2))
        if not window:
            return None
        multiplier = self.pick((1, 1, 1, 1, 2))
        name, extent = self.convolved(x, multiplier * x.channels, x.channels, window)
        return self.grown(name, multiplier * x.channels, *extent)

    @move(4)
    def residual_block(self):
        x = self.image()
        inner = self.pick(CHANNELS)
        source = x
        if self.chance(.3):
            source = Image(self.decorate(x.name, x.channels), x.channels, *x.extent)
        body, _ = self.convolved(source, inner, 1, self.same(x, 1))
        body = Image(self.decorate(body, inner), inner, *x.extent)
        if self.chance(.7):
            name, _ = self.convolved(body, inner, self.pick((1, 1, inner)), self.same(x, 3))
            body = Image(self.decorate(name, inner), inner, *x.extent)
        shortcut, channels = x.name, x.channels
        if self.chance(.3):
            channels = self.pick(CHANNELS)
            shortcut, _ = self.convolved(x, channels, 1, self.same(x, 1))
        body, _ = self.convolved(body, channels, 1, self.same(x, self.pick((1, 1, 3))))
        pair = [body, shortcut] if self.chance(.5) else [shortcut, body]
        return self.grown(self.put('Add', pair), channels, *x.extent)

    @move(3)
    def pointwise(self):
        a = self.image()
        equal = [i for i in self.images if i.channels == a.channels and i.extent == a.extent and i is not a]
        if not equal:
            return None
        b = self.pick(equal)
        return self.grown(self.put(self.pick(('Add', 'Add', 'Mul', 'Sub', 'Max')), [a.name, b.name]), a.channels, *a.extent)

    @move(3)
    def concat(self):
        parts = [self.image()]
        for _ in range(self.pick((1, 1, 2, 3))):
            parts.append(self.image(parts[0]))
        channels = sum(p.channels for p in parts)
        if channels > 300:
            return None
        return self.grown(self.put('Concat', [p.name for p in parts], axis=1), channels, *parts[0].extent)

    @move(2)
    def split(self):
        x = self.image()
        if x.channels < 2:
            return None
        first = self.pick((x.channels // 2, max(1, x.channels // 3), self.random.randint(1, x.channels)))
        halves = []
        for start, end in ((0, first), (first, x.channels)):
            name = self.put('Slice', [x.name, self.ints(start), self.ints(end), self.ints(1)])
            halves.append(self.grown(name, end - start, *x.extent, plain=self.chance(.7)))
        self.images.append(halves[0])
        return halves[1]

    @move(1)
    def split_into_many(self):
        x = self.image()
        counts = [c for c in (2, 3, 4) if x.channels % c == 0]
        if not counts:
            return None
        count = self.pick(counts)
        names = [self.name('part') for _ in range(count)]
        self.several('Split', [x.name], names, axis=1)
        parts = [Image(name, x.channels // count, *x.extent) for name in names]
        self.images += parts[1:]
        return parts[0]

    @move(1)
    def shuffle(self):
        x = self.image()
        groups = [g for g in (2, 3, 4, 8) if x.channels % g == 0]
        if not groups:
            return None
        group = self.pick(groups)
        apart = self.put('Reshape', [x.name, self.ints(0, group, x.channels // group, *x.extent)])
        turned = self.put('Transpose', [apart], perm=[0, 2, 1, 3, 4])
        name = self.put('Reshape', [turned, self.ints(0, x.channels, *x.extent)])
        return self.grown(name, x.channels, *x.extent, plain=True)

    @move(3)
    def pool(self):
        x = self.image()
        window = self.window(x.extent, (2, 3, 3, 5), (1, 1, 2, 2, 3), (1,))
        if not window:
            return None
        kernel, strides, _, front, behind, extent = window
        if any(f >= k or b >= k for f, b, k in zip(front, behind, kernel)):
            return None
        attributes = {}
        if self.chance(.2) and not any(front + behind):
            attributes['ceil_mode'] = 1
            extent = [-(-(size - k) // s) + 1 for size, k, s in zip(x.extent, kernel, strides)]
            # A window that begins behind the image is one that implementations differ about.
            if any((e - 1) * s >= size for e, s, size in zip(extent, strides, x.extent)):
                return None
        op = self.pick(('MaxPool', 'AveragePool'))
        if op == 'AveragePool':
            if attributes:
                return None
            attributes['count_include_pad'] = int(self.chance(.5))
        name = self.put(op, [x.name], kernel_shape=kernel, strides=strides, pads=front + behind, **attributes)
        return self.grown(name, x.channels, *extent, plain=self.chance(.5))

    @move(1)
    def squeeze_excite(self):
        x = self.image()
        pooled = self.put('GlobalAveragePool', [x.name])
        inner = self.pick((1, 4, 8, 16, 20))
        pixel = Image(pooled, x.channels, 1, 1)
        name, _ = self.convolved(pixel, inner, 1, self.same(pixel, 1))
        name, _ = self.convolved(Image(self.put('Relu', [name]), inner, 1, 1), x.channels, 1, self.same(pixel, 1))
        gate = self.put(self.pick(('Sigmoid', 'HardSigmoid')), [name])
        return self.grown(self.put('Mul', [x.name, gate]), x.channels, *x.extent, plain=self.chance(.5))

    @move(1)
    def spatial_gate(self):
        """A number for each pixel, from all channels, by which they are multiplied."""
        x = self.image()
        means = self.put('ReduceMean', [x.name], axes=[1], keepdims=1)
        most = self.put('ReduceMax', [x.name], axes=[1], keepdims=1)
        both = Image(self.put('Concat', [means, most], axis=1), 2, *x.extent)
        name, _ = self.convolved(both, 1, 1, self.same(x, 3))
        return self.grown(self.put('Mul', [x.name, self.put('Sigmoid', [name])]), x.channels, *x.extent, plain=self.chance(.5))

    @move(1)
    def outer_product(self):
        x = self.image()
        column = self.put('ReduceMean', [x.name], axes=[2, 3], keepdims=1)
        pixel = self.put(self.pick(('ReduceMean', 'ReduceL2', 'ReduceMin')), [x.name], axes=[1], keepdims=1)
        return self.grown(self.put(self.pick(('Mul', 'Add')), [column, pixel]), x.channels, *x.extent, plain=self.chance(.5))

    @move(1)
    def choice(self):
        x = self.image()
        above = self.put('Greater', [x.name, self.around(0, .1, 1, x.channels, 1, 1)])
        other = self.put('Mul', [x.name, self.constant(.25)])
        return self.grown(self.put('Where', [above, x.name, other]), x.channels, *x.extent, plain=self.chance(.7))

    @move(1)
    def image_norm(self):
        """An instance norm, of each channel or of groups of them."""
        x = self.image()
        if x.height * x.width < 4:
            return None
        groups = self.pick([g for g in (x.channels, 1, 2, 4, 8) if x.channels % g == 0])
        apart = self.put('Reshape', [x.name, self.ints(0, groups, -1)])
        ones, zeros = self.constant(np.ones(groups)), self.constant(np.zeros(groups))
        norm = self.put('InstanceNormalization', [apart, ones, zeros], epsilon=1e-2)
        shape = self.put('Shape', [x.name])  # as torch writes it: the batch comes from there
        name = self.put('Reshape', [norm, shape])
        name = self.put('Mul', [name, self.around(1, .5, 1, x.channels, 1, 1)])
        name = self.put('Add', [name, self.around(0, .5, 1, x.channels, 1, 1)])
        return self.grown(name, x.channels, *x.extent, plain=self.chance(.5))

    @move(1)
    def resize(self):
        x = self.image()
        scale = self.pick((2, 2, 3, 1.5, .5))
        extent = [int(size * scale) for size in x.extent]
        if not all(extent):
            return None
        mode, where = self.pick((('nearest', 'asymmetric'), ('linear', 'half_pixel'), ('linear', 'align_corners'),
                                 ('linear', 'pytorch_half_pixel')))
        attributes = dict(mode=mode, coordinate_transformation_mode=where)
        if mode == 'nearest':
            attributes['nearest_mode'] = 'floor'
        name = self.put('Resize', [x.name, '', self.constant([1, 1, scale, scale])], **attributes)
        return self.grown(name, x.channels, *extent, plain=self.chance(.7))

    @move(1)
    def transposed(self):
        x = self.image()
        kernel, stride = self.pick(((2, 2), (3, 2), (4, 2), (3, 1), (1, 2), (2, 3)))
        pad = self.pick((0, 0, min(1, kernel - 1)))
        extent = [(size - 1) * stride + kernel - 2 * pad for size in x.extent]
        if min(extent) < 1:
            return None
        channels = self.pick((1, 3, 8, 16, 20, 32))
        group = self.pick([g for g in (1, 1, 2, 4) if x.channels % g == 0])
        channels *= group
        weights = self.constant(self.random.standard_normal((x.channels, channels // group, kernel, kernel)) / np.sqrt(x.channels))
        inputs = [x.name, weights] + ([self.around(0, .5, channels)] if self.chance(.5) else [])
        attributes = dict(output_padding=[1, 1]) if stride > 1 and self.chance(.3) else {}
        extent = [size + 1 for size in extent] if attributes else extent
        name = self.put('ConvTranspose', inputs, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, group=group,
                        **attributes)
        return self.grown(name, channels, *extent)

    @move(1)
    def border(self):
        x = self.image()
        mode = self.pick(('constant', 'constant', 'reflect', 'edge'))
        pads = [self.random.randint(0, 3) for _ in range(4)]
        if mode == 'reflect' and min(x.extent) < 4:
            return None
        front = [0, self.random.randint(0, 4) if mode == 'constant' and self.chance(.3) else 0]
        inputs = [x.name, self.ints(*front, *pads[:2], 0, 0, *pads[2:])]
        name = self.put('Pad', inputs, mode=mode)
        extent = [size + a + b for size, a, b in zip(x.extent, pads[:2], pads[2:])]
        return self.grown(name, x.channels + front[1], *extent, plain=self.chance(.7))

    @move(1)
    def crop(self):
        x = self.image()
        if min(x.extent) < 4:
            return None
        step = self.pick((1, 1, 2))
        name = self.put('Slice', [x.name, self.ints(1, 0), self.ints(x.height, x.width - 1), self.ints(2, 3), self.ints(step, 1)])
        return self.grown(name, x.channels, -(-(x.height - 1) // step), x.width - 1, plain=self.chance(.7))

    @move(1)
    def depth_to_space(self):
        x = self.image()
        if x.channels % 4 or min(x.extent) < 1:
            return None
        name = self.put('DepthToSpace', [x.name], blocksize=2, mode=self.pick(('DCR', 'CRD')))
        return self.grown(name, x.channels // 4, 2 * x.height, 2 * x.width, plain=self.chance(.5))

    @move(1)
    def by_pixel(self):
        """Channels last, and there a product with a matrix or a layer norm, as Keras and ConvNeXt have them."""
        x = self.image()
        last = self.put('Transpose', [x.name], perm=[0, 2, 3, 1])
        channels = x.channels
        if self.chance(.5):
            last = self.put('LayerNormalization', [last, self.around(1, .5, channels), self.around(0, .5, channels)], axis=-1,
                            epsilon=1e-3)
        if self.chance(.7):
            channels = self.pick(CHANNELS)
            weights = self.random.standard_normal((x.channels, channels)) / np.sqrt(x.channels)
            last = self.put('MatMul', [last, self.constant(weights)])
            if self.chance(.7):
                last = self.put('Add', [last, self.around(0, .5, channels)])
        name = self.put('Transpose', [last], perm=[0, 3, 1, 2])
        return self.grown(name, channels, *x.extent, plain=self.chance(.5))

    @move(1)
    def attention(self):
        """Tokens that look at each other."""
        x = self.image()
        tokens = x.height * x.width
        if tokens > 300:
            return None
        rows = self.put('Reshape', [x.name, self.ints(0, x.channels, tokens)])
        turned = self.put('Transpose', [rows], perm=[0, 2, 1])
        scores = self.put('MatMul', [turned, rows])
        scores = self.put('Mul', [scores, self.constant(1 / x.channels)])
        mixed = self.put('MatMul', [self.put('Softmax', [scores], axis=-1), turned])
        back = self.put('Transpose', [mixed], perm=[0, 2, 1])
        name = self.put('Reshape', [back, self.ints(0, x.channels, *x.extent)])
        return self.grown(name, x.channels, *x.extent, plain=self.chance(.5))

    @move(1)
    def classifier(self):
        x = self.image()
        pooled = self.put('Flatten', [self.put(self.pick(('GlobalAveragePool', 'GlobalMaxPool')), [x.name])])
        classes = self.pick((1, 2, 10, 17, 40))
        weights = self.constant(self.random.standard_normal((classes, x.channels)) / np.sqrt(x.channels))
        name = self.put('Gemm', [pooled, weights, self.around(0, .5, classes)], transB=1)
        if self.chance(.4):
            name = self.put('Softmax', [name], axis=1)
        self.flat.append((name, ['N', classes]))
        return None

    # ---- the whole ----

    def grow(self, nodes):
        while self.count < nodes:
            image = self.moved(move)
            if image and image.channels * image.height * image.width <= MOST_ELEMENTS:
                self.images.append(image)

    def finish(self):
        read = {name for node in self.nodes for name in node.input}
        images = [i for i in self.images[1:] if i.name not in read or self.chance(.1)]
        for name, shape in [(i.name, i.shape) for i in images] + self.flat:
            self.output(name, shape)
        if not self.outputs:
            self.output(self.put('Relu', ['x']), self.images[0].shape)


if __name__ == '__main__':
    write(__doc__, Network, 'random', nodes=40)
