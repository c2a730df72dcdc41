#!/usr/bin/python3
"""agate as a peer of the benchmark, through its library: AGATE_LIBRARY is the path of libagate.so, AGATE_ISA a cap,
AGATE_ALLOW what is allowed by name, AGATE_PRECISION that of products in convolutions. Precisions that are f32 where there is no AMX
are missing there."""
import ctypes
import os
import sys
import time

import numpy as np

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))

import machine
import peer_loop

MAX_RANK = 8
# Numbers of ONNX's TensorProto.DataType.
DTYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 4: np.uint16, 5: np.int16, 6: np.int32, 7: np.int64, 9: np.bool_,
          10: np.float16, 11: np.float64, 12: np.uint32, 13: np.uint64}
NUMBERS = {np.dtype(dtype): number for number, dtype in DTYPES.items()}


class Tensor(ctypes.Structure):
    _fields_ = [('dtype', ctypes.c_int), ('rank', ctypes.c_int32), ('dims', ctypes.c_int64 * MAX_RANK),
                ('data', ctypes.c_void_p), ('size_bytes', ctypes.c_size_t)]


class ValueInfo(ctypes.Structure):
    _fields_ = [('name', ctypes.c_char_p), ('dtype', ctypes.c_int), ('rank', ctypes.c_int32),
                ('dims', ctypes.c_int64 * MAX_RANK)]


class DimBinding(ctypes.Structure):
    _fields_ = [('name', ctypes.c_char_p), ('value', ctypes.c_int64)]


class CompileOptions(ctypes.Structure):
    _fields_ = [('isa', ctypes.c_char_p), ('threads', ctypes.c_int32), ('dims', ctypes.POINTER(DimBinding)),
                ('dim_count', ctypes.c_size_t), ('memory_limit_bytes', ctypes.c_size_t), ('progress', ctypes.c_void_p),
                ('progress_user', ctypes.c_void_p), ('allocator', ctypes.c_void_p),
                ('cache_directory', ctypes.c_char_p), ('cache_limit_bytes', ctypes.c_uint64), ('allow', ctypes.c_char_p),
                ('precision', ctypes.c_char_p), ('room', ctypes.c_char * 256)]  # for options that are younger than this file; zero


class SessionOptions(ctypes.Structure):
    _fields_ = [('threads', ctypes.c_int32), ('max_batch', ctypes.c_int64), ('allocator', ctypes.c_void_p),
                ('parallel', ctypes.c_void_p), ('parallel_user', ctypes.c_void_p), ('room', ctypes.c_char * 256)]


def aligned(shape, dtype):
    """An array that begins at a multiple of 64 bytes, where agate is fastest."""
    size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start:start + size].view(dtype).reshape(shape)


def word(name):
    """What the environment says, for C."""
    text = os.environ.get(name)
    return text.encode() if text else None


def tensor_of(array):
    dims = (ctypes.c_int64 * MAX_RANK)(*array.shape)
    return Tensor(NUMBERS[array.dtype], array.ndim, dims, array.ctypes.data, array.nbytes)


class Peer:
    def __init__(self):
        try:
            self.library = ctypes.CDLL(os.environ.get('AGATE_LIBRARY', 'libagate.so'))
        except OSError as error:
            self.library, self.reason = None, str(error)
            return
        self.library.agate_version.restype = ctypes.c_char_p
        self.library.agate_status_message.restype = ctypes.c_char_p
        for name in ('agate_model_input_count', 'agate_model_output_count'):
            getattr(self.library, name).restype = ctypes.c_size_t

    def hello(self):
        if not self.library:
            return dict(missing=self.reason)
        precision = os.environ.get('AGATE_PRECISION', 'f32')
        # With a cap, agate uses no more than its level has.
        if precision in ('f32x3', 'f32x6') and (os.environ.get('AGATE_ISA') or not machine.has_tiles()):
            return dict(missing='no AMX tiles of bfloat16 that may be used: it would be f32')
        products = {} if precision == 'f32' else dict(products=precision)
        return dict(version=self.library.agate_version().decode()) | products

    def call(self, name, *arguments):
        function = getattr(self.library, name)
        function.restype = ctypes.c_void_p
        status = function(*arguments)
        if status:
            self.fail(status)

    def fail(self, status):
        text = self.library.agate_status_message(ctypes.c_void_p(status)).decode(errors='replace')
        self.library.agate_status_release(ctypes.c_void_p(status))
        raise peer_loop.Unsupported(text.splitlines()[0])

    def load(self, model, threads, arrays, dims):
        bindings = (DimBinding * len(dims))(*((name.encode(), value) for name, value in dims.items()))
        options = CompileOptions(isa=word('AGATE_ISA'), threads=threads, dims=bindings, dim_count=len(dims),
                                 allow=word('AGATE_ALLOW'), precision=word('AGATE_PRECISION'))
        self.model, self.session = ctypes.c_void_p(), ctypes.c_void_p()
        start = time.perf_counter()
        self.call('agate_model_load_file', model.encode(), ctypes.byref(options), ctypes.byref(self.model))
        self.call('agate_session_create', self.model, ctypes.byref(SessionOptions(threads=threads)),
                  ctypes.byref(self.session))
        seconds = time.perf_counter() - start
        self.prepare(arrays)
        return seconds

    def infos(self, kind):
        for index in range(getattr(self.library, f'agate_model_{kind}_count')(self.model)):
            info = ValueInfo()
            self.call(f'agate_model_{kind}_info', self.model, ctypes.c_size_t(index), ctypes.byref(info))
            yield info.name.decode()

    def prepare(self, arrays):
        """The tensors of every run."""
        self.names, self.results = list(self.infos('input')), {}
        self.arrays = [aligned(arrays[name].shape, arrays[name].dtype) for name in self.names]
        self.take(arrays)
        batch = self.arrays[0].shape[0]
        for index, name in enumerate(self.infos('output')):
            shape = Tensor()
            self.call('agate_session_output_shape', self.session, ctypes.c_size_t(index), ctypes.c_int64(batch),
                      ctypes.byref(shape))
            self.results[name] = aligned(shape.dims[:shape.rank], DTYPES[shape.dtype])
        self.session_run = self.library.agate_session_run
        self.session_run.restype = ctypes.c_void_p
        words = [self.session]
        for tensors in (self.arrays, list(self.results.values())):
            words += [(Tensor * len(tensors))(*map(tensor_of, tensors)), ctypes.c_size_t(len(tensors))]
        self.arguments = words

    def take(self, arrays):
        for name, array in zip(self.names, self.arrays):
            array[...] = arrays[name]

    def run(self):
        status = self.session_run(*self.arguments)
        if status:
            self.fail(status)

    def answers(self):
        return self.results


peer_loop.serve(Peer())
