"""ONNX models in torch: a second reading of the standard, at any precision, for the shapes of one set of inputs.

    network = Network(onnx.load(path), {name: array}, dtype=torch.float64)
    outputs = network(*inputs)                # in the order of the graph's outputs

What depends on shapes alone is computed once, so that the rest can be traced. Convolutional networks only: an operator or
an attribute that is not here raises Unsupported.
"""
import functools
import warnings

import numpy as np
import torch
from onnx import helper, numpy_helper
from torch.nn import functional


class Unsupported(Exception):
    """Says which operator, or which attribute of it."""


OPS = {}


def op(*names):
    def add(function):
        OPS.update(dict.fromkeys(names, function))
        return function
    return add


def need(condition, node, what):
    if not condition:
        raise Unsupported(f'{node.op_type}: {what}')


def numbers(tensor):
    return [int(n) for n in tensor.reshape(-1).tolist()]


# ---- one element at a time -----------------------------------------------------------------------------------

for names, function in {
        ('Add', 'Sum'): lambda *xs: sum(xs[1:], xs[0]), ('Sub',): torch.sub, ('Mul',): torch.mul, ('Pow',): torch.pow,
        ('Relu',): torch.relu, ('Sigmoid',): torch.sigmoid, ('Tanh',): torch.tanh, ('Exp',): torch.exp,
        ('Sqrt',): torch.sqrt, ('Erf',): torch.erf, ('Softplus',): functional.softplus, ('HardSwish',): functional.hardswish,
        ('Identity',): lambda x: x, ('Equal',): torch.eq, ('Greater',): torch.gt, ('Where',): torch.where,
        ('Neg',): torch.neg, ('Abs',): torch.abs,
        ('Max',): lambda *xs: functools.reduce(torch.maximum, xs), ('Min',): lambda *xs: functools.reduce(torch.minimum, xs),
        ('Floor',): torch.floor, ('Ceil',): torch.ceil, ('Reciprocal',): torch.reciprocal, ('MatMul',): torch.matmul,
}.items():
    op(*names)(lambda node, attributes, *operands, function=function: function(*operands))


@op('Div')
def divide(node, attributes, a, b):
    return a / b if a.is_floating_point() else torch.div(a, b, rounding_mode='trunc')


@op('PRelu')
def prelu(node, attributes, x, slope):
    return torch.where(x < 0, x * slope, x)


@op('LeakyRelu')
def leaky_relu(node, attributes, x):
    return functional.leaky_relu(x, attributes.get('alpha', 0.01))


@op('Elu')
def elu(node, attributes, x):
    return functional.elu(x, attributes.get('alpha', 1.0))


@op('HardSigmoid')
def hard_sigmoid(node, attributes, x):
    return (x * attributes.get('alpha', 0.2) + attributes.get('beta', 0.5)).clamp(0, 1)


@op('Clip')
def clip(node, attributes, x, low=None, high=None):
    low, high = attributes.get('min', low), attributes.get('max', high)
    low, high = (float(bound) if torch.is_tensor(bound) else bound for bound in (low, high))
    return x if low is None and high is None else x.clamp(low, high)


DTYPES = {1: torch.float32, 2: torch.uint8, 3: torch.int8, 6: torch.int32, 7: torch.int64, 9: torch.bool, 11: torch.float64}


@op('Cast')
def cast(node, attributes, x):
    need(attributes['to'] in DTYPES, node, f"type {attributes['to']}")
    target = DTYPES[attributes['to']]
    # Floats keep the precision that the whole network is computed with.
    return x if x.is_floating_point() and target.is_floating_point else x.to(target)


@op('Dropout')
def dropout(node, attributes, x, *_):
    return x


# ---- windows and contractions --------------------------------------------------------------------------------

def window(node, attributes, x, kernel):
    """Strides, dilations, and pads in front and behind."""
    count = len(kernel)
    strides, dilations = attributes.get('strides', [1] * count), attributes.get('dilations', [1] * count)
    pads = attributes.get('pads', [0] * 2 * count)
    how = attributes.get('auto_pad', b'NOTSET')
    if how in (b'SAME_UPPER', b'SAME_LOWER'):
        total = [max(0, (-(-n // s) - 1) * s + (k - 1) * d + 1 - n)
                 for n, s, d, k in zip(x.shape[2:], strides, dilations, kernel)]
        less, more = [t // 2 for t in total], [t - t // 2 for t in total]
        pads = less + more if how == b'SAME_UPPER' else more + less
    return strides, dilations, pads[:count], pads[count:]


def padded(x, front, behind, value=0.0):
    order = [n for pair in reversed(list(zip(front, behind))) for n in pair]
    return functional.pad(x, order, value=value) if any(order) else x


@op('Conv')
def convolve(node, attributes, x, weights, bias=None):
    strides, dilations, front, behind = window(node, attributes, x, list(weights.shape[2:]))
    if front != behind:
        x, front = padded(x, front, behind), 0
    function = {3: functional.conv1d, 4: functional.conv2d, 5: functional.conv3d}[x.dim()]
    return function(x, weights, bias, strides, front, dilations, attributes.get('group', 1))


@op('ConvTranspose')
def convolve_transposed(node, attributes, x, weights, bias=None):
    strides, dilations, front, behind = window(node, attributes, x, list(weights.shape[2:]))
    need(front == behind and 'output_shape' not in attributes, node, 'uneven pads')
    function = {3: functional.conv_transpose1d, 4: functional.conv_transpose2d, 5: functional.conv_transpose3d}[x.dim()]
    return function(x, weights, bias, strides, front, attributes.get('output_padding', 0), attributes.get('group', 1), dilations)


@op('MaxPool')
def max_pool(node, attributes, x):
    kernel = attributes['kernel_shape']
    strides, dilations, front, behind = window(node, attributes, x, kernel)
    # Torch pads both ends alike, and by half a window at most.
    if front != behind or any(2 * pad > size for pad, size in zip(front, kernel)):
        x, front = padded(x, front, behind, -float('inf')), 0
    pool = {3: functional.max_pool1d, 4: functional.max_pool2d, 5: functional.max_pool3d}[x.dim()]
    return pool(x, kernel, strides, front, dilations, bool(attributes.get('ceil_mode', 0)))


@op('AveragePool')
def average_pool(node, attributes, x):
    kernel = attributes['kernel_shape']
    strides, dilations, front, behind = window(node, attributes, x, kernel)
    counted, ceil = bool(attributes.get('count_include_pad', 0)), bool(attributes.get('ceil_mode', 0))
    need(set(dilations) == {1}, node, 'dilations')
    pool = {3: functional.avg_pool1d, 4: functional.avg_pool2d, 5: functional.avg_pool3d}[x.dim()]
    if front == behind:
        return pool(x, kernel, strides, front, ceil, counted)
    need(not ceil, node, 'ceil_mode with uneven pads')
    total = pool(padded(x, front, behind), kernel, strides)
    if counted:
        return total
    return total / pool(padded(torch.ones_like(x[:1, :1]), front, behind), kernel, strides)


@op('GlobalAveragePool')
def global_average_pool(node, attributes, x):
    return x.mean(list(range(2, x.dim())), keepdim=True)


@op('GlobalMaxPool')
def global_max_pool(node, attributes, x):
    return x.amax(list(range(2, x.dim())), keepdim=True)


@op('Gemm')
def gemm(node, attributes, a, b, c=None):
    a, b = a.t() if attributes.get('transA', 0) else a, b.t() if attributes.get('transB', 0) else b
    alpha, beta = attributes.get('alpha', 1.0), attributes.get('beta', 1.0)
    if c is None:
        return alpha * (a @ b)
    return torch.addmm(c, a, b, beta=beta, alpha=alpha) if c.dim() < 2 or c.shape == (a.shape[0], b.shape[1]) \
        else alpha * (a @ b) + beta * c


@op('BatchNormalization')
def batch_norm(node, attributes, x, gamma, beta, mean, variance):
    return functional.batch_norm(x, mean, variance, gamma, beta, False, 0, attributes.get('epsilon', 1e-5))


@op('InstanceNormalization')
def instance_norm(node, attributes, x, gamma, beta):
    return functional.instance_norm(x, None, None, gamma, beta, eps=attributes.get('epsilon', 1e-5))


@op('LayerNormalization')
def layer_norm(node, attributes, x, gamma, beta=None):
    axis = attributes.get('axis', -1) % x.dim()
    return functional.layer_norm(x, x.shape[axis:], gamma, beta, attributes.get('epsilon', 1e-5))


@op('LRN')
def local_response_norm(node, attributes, x):
    size = attributes['size']
    need(size % 2, node, 'an even size')
    return functional.local_response_norm(x, size, attributes.get('alpha', 1e-4), attributes.get('beta', 0.75),
                                          attributes.get('bias', 1.0))


@op('Softmax')
def softmax(node, attributes, x):
    if node.opset >= 13:
        return functional.softmax(x, attributes.get('axis', -1))
    axis = attributes.get('axis', 1) % x.dim()
    return functional.softmax(x.flatten(axis), -1).reshape(x.shape)


# ---- reductions ----------------------------------------------------------------------------------------------

REDUCTIONS = {'ReduceMean': torch.mean, 'ReduceSum': torch.sum, 'ReduceMax': torch.amax, 'ReduceMin': torch.amin,
              'ReduceL2': lambda x, axes, keepdim: x.square().sum(axes, keepdim=keepdim).sqrt()}


@op(*REDUCTIONS)
def reduce(node, attributes, x, axes=None):
    axes = attributes.get('axes', None if axes is None else numbers(axes)) or list(range(x.dim()))
    return REDUCTIONS[node.op_type](x, axes, keepdim=bool(attributes.get('keepdims', 1)))


@op('ArgMax')
def arg_max(node, attributes, x):
    return x.argmax(attributes.get('axis', 0), keepdim=bool(attributes.get('keepdims', 1)))


# ---- shapes and moves ----------------------------------------------------------------------------------------

@op('Shape')
def shape(node, attributes, x):
    return torch.tensor([int(n) for n in x.shape])


@op('Constant')
def constant(node, attributes):
    need('value' in attributes, node, 'other than a tensor')
    return attributes['value']


@op('ConstantOfShape')
def constant_of_shape(node, attributes, extent):
    return attributes.get('value', torch.zeros(1)).expand(numbers(extent)).clone()


@op('Reshape')
def reshape(node, attributes, x, extent):
    extent = numbers(extent)
    return x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(extent)])


@op('Flatten')
def flatten(node, attributes, x):
    axis = attributes.get('axis', 1)
    return x.reshape(int(np.prod(x.shape[:axis], dtype=np.int64)), -1)


@op('Squeeze')
def squeeze(node, attributes, x, axes=None):
    axes = attributes.get('axes', None if axes is None else numbers(axes))
    axes = [i for i, n in enumerate(x.shape) if n == 1] if axes is None else [a % x.dim() for a in axes]
    return x.reshape([n for i, n in enumerate(x.shape) if i not in axes])


@op('Unsqueeze')
def unsqueeze(node, attributes, x, axes=None):
    axes = attributes.get('axes', None if axes is None else numbers(axes))
    for axis in sorted(a % (x.dim() + len(axes)) for a in axes):
        x = x.unsqueeze(axis)
    return x


@op('Transpose')
def transpose(node, attributes, x):
    return x.permute(attributes.get('perm', list(reversed(range(x.dim())))))


@op('Concat')
def concat(node, attributes, *parts):
    return torch.cat(parts, attributes['axis'])


@op('Gather')
def gather(node, attributes, x, index):
    axis = attributes.get('axis', 0) % x.dim()
    index = index % x.shape[axis]
    taken = x.index_select(axis, index.reshape(-1))
    return taken.reshape([*x.shape[:axis], *index.shape, *x.shape[axis + 1:]])


@op('Slice')
def cut(node, attributes, x, starts=None, ends=None, axes=None, steps=None):
    starts, ends = (attributes.get(key, None if operand is None else numbers(operand))
                    for key, operand in (('starts', starts), ('ends', ends)))
    axes = attributes.get('axes', list(range(len(starts))) if axes is None else numbers(axes))
    steps = [1] * len(starts) if steps is None else numbers(steps)
    for start, end, axis, step in zip(starts, ends, axes, steps):
        index = range(x.shape[axis])[slice(start, None if step < 0 and end < -x.shape[axis] else end, step)]
        if step > 0:
            x = x[(slice(None),) * (axis % x.dim()) + (slice(index.start, index.stop, step),)]
        else:
            x = x.index_select(axis, torch.tensor(list(index)))
    return x


@op('Split')
def split(node, attributes, x, sizes=None):
    axis = attributes.get('axis', 0)
    sizes = attributes.get('split', None if sizes is None else numbers(sizes))
    return torch.split(x, sizes or -(-x.shape[axis] // len(node.output)), axis)


@op('Pad')
def pad(node, attributes, x, pads=None, value=None, axes=None):
    need(axes is None, node, 'axes')
    pads = attributes.get('pads', None if pads is None else numbers(pads))
    value = attributes.get('value', 0.0) if value is None else float(value)
    mode = attributes.get('mode', b'constant').decode()
    pairs = list(zip(pads[:x.dim()], pads[x.dim():]))
    if mode != 'constant':
        need(not any(map(any, pairs[:-2])), node, f'mode {mode} on outer dimensions')
        pairs, mode = pairs[-2:], {'edge': 'replicate'}.get(mode, mode)
    order = [n for pair in reversed(pairs) for n in pair]
    return functional.pad(x, order, mode, value) if mode == 'constant' else functional.pad(x, order, mode)


@op('Expand')
def expand(node, attributes, x, extent):
    return x.expand(torch.broadcast_shapes(x.shape, numbers(extent)))


@op('Range')
def range_of(node, attributes, start, limit, delta):
    return torch.arange(start.item(), limit.item(), delta.item(), dtype=start.dtype)


@op('Tile')
def tile(node, attributes, x, repeats):
    return x.repeat(numbers(repeats))


@op('DepthToSpace')
def depth_to_space(node, attributes, x):
    size = attributes['blocksize']
    if attributes.get('mode', b'DCR') == b'DCR':  # blocks of whole images of channels
        x = x.unflatten(1, (size * size, -1)).transpose(1, 2).flatten(1, 2)
    return functional.pixel_shuffle(x, size)


@op('Resize', 'Upsample')
def resize(node, attributes, x, *operands):
    if node.op_type == 'Upsample' or node.opset < 11:
        scales, sizes, coordinates = operands[0] if operands else torch.tensor(attributes['scales']), None, 'asymmetric'
    else:
        _, scales, sizes, *_ = (*operands, None, None, None)
        coordinates = attributes.get('coordinate_transformation_mode', b'half_pixel').decode()
    extent = numbers(sizes) if sizes is not None else [int(n * float(s)) for n, s in zip(x.shape, scales)]
    need(extent[:2] == list(x.shape[:2]), node, 'of channels')
    mode = attributes.get('mode', b'nearest').decode()
    if mode == 'nearest':
        rounding = attributes.get('nearest_mode', b'round_prefer_floor').decode()
        whole = all(n % o == 0 for n, o in zip(extent, x.shape))
        # Where each pixel becomes several, all these take the same.
        need((coordinates, rounding) == ('asymmetric', 'floor') or (whole and coordinates == 'half_pixel')
             or node.opset < 11, node, f'nearest, {coordinates}, {rounding}')
        return functional.interpolate(x, extent[2:], mode='nearest')
    need(mode == 'linear' and coordinates in ('half_pixel', 'pytorch_half_pixel', 'align_corners'), node,
         f'{mode}, {coordinates}')
    mode = {3: 'linear', 4: 'bilinear', 5: 'trilinear'}[x.dim()]
    return functional.interpolate(x, extent[2:], mode=mode, align_corners=coordinates == 'align_corners')


# ---- networks ------------------------------------------------------------------------------------------------

class Node:
    def __init__(self, proto, opset, read):
        self.op_type, self.opset, self.name = proto.op_type, opset, proto.name or proto.output[0]
        self.input, self.output = list(proto.input), list(proto.output)
        while self.input and not self.input[-1]:
            self.input.pop()
        need(proto.op_type in OPS and proto.domain in ('', 'ai.onnx'), self, 'not here')
        self.attributes = {a.name: read(a.t) if a.HasField('t') else helper.get_attribute_value(a) for a in proto.attribute}

    def run(self, values):
        operands = [values[name] if name else None for name in self.input]
        results = OPS[self.op_type](self, self.attributes, *operands)
        results = results if isinstance(results, (tuple, list)) else (results,)
        values.update(zip(self.output, results))


class Network(torch.nn.Module):
    def __init__(self, model, inputs, dtype=torch.float32):
        super().__init__()
        opset = next(o.version for o in model.opset_import if o.domain in ('', 'ai.onnx'))

        def read(proto):
            tensor = torch.from_numpy(numpy_helper.to_array(proto).copy())
            return tensor.to(dtype) if tensor.is_floating_point() else tensor

        self.constants = {w.name: read(w) for w in model.graph.initializer}
        self.input_names = [v.name for v in model.graph.input if v.name not in self.constants]
        self.output_names = [v.name for v in model.graph.output]
        self.nodes = self.fold([Node(proto, opset, read) for proto in model.graph.node], inputs, dtype)

    def fold(self, nodes, inputs, dtype):
        """Runs the network once; what did not need the inputs' contents is constant. Returns the other nodes."""
        values = {name: torch.from_numpy(inputs[name]).to(dtype) for name in self.input_names} | self.constants
        left = []
        with torch.no_grad():
            for node in nodes:
                node.run(values)
                if node.op_type == 'Shape' or all(not name or name in self.constants for name in node.input):
                    self.constants.update((name, values[name]) for name in node.output)
                else:
                    left.append(node)
        used = {name for node in left for name in node.input} | set(self.output_names)
        self.constants = {name: value for name, value in self.constants.items() if name in used}
        return left

    def forward(self, *inputs):
        values = dict(zip(self.input_names, inputs)) | self.constants
        for node in self.nodes:
            node.run(values)
        return tuple(values[name] for name in self.output_names)


def traced(network, inputs):
    """The network as torch runs it best: traced, weights frozen into it, convolutions prepared and fused."""
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        module = torch.jit.trace(network, inputs, check_trace=False)
        return torch.jit.optimize_for_inference(torch.jit.freeze(module.eval()))
