#!/usr/bin/python3
"""PyTorch as a peer of the benchmark: the ONNX file in torch's operators (tools/oracle/onnx_torch.py), traced, frozen and
optimized for inference. PYTORCH_DTYPE=bfloat16 has all its numbers in that; inputs and outputs are f32 as ever.
"""
import importlib.metadata
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..'), os.path.join(HERE, '..', '..', 'oracle')]

import machine
import peer_loop

try:
    import torch
except ImportError:
    torch = None


DTYPE = os.environ.get('PYTORCH_DTYPE', 'float32')


class Peer:
    def hello(self):
        # Importing it takes seconds.
        try:
            known = dict(version=importlib.metadata.version('torch'))
        except importlib.metadata.PackageNotFoundError:
            return dict(missing='tools/setup.sh models installs it')
        if DTYPE == 'float32':
            return known
        # Elsewhere oneDNN only pretends, and takes longer than with f32.
        if not {'avx512_bf16', 'amx_bf16'} & set(machine.facts()['features']):
            return dict(missing='no CPU that multiplies bfloat16')
        return known | dict(products='bf16')

    def load(self, model, threads, arrays, dims):
        import onnx
        import onnx_torch
        import torch
        self.torch, self.dtype = torch, getattr(torch, DTYPE)
        torch.set_num_threads(threads)
        start = time.perf_counter()
        try:
            network = onnx_torch.Network(onnx.load(model), arrays, self.dtype)
        except onnx_torch.Unsupported as reason:
            raise peer_loop.Unsupported(str(reason))
        self.input_names, self.names = network.input_names, network.output_names
        self.take(arrays)
        self.module = onnx_torch.traced(network, self.cast())
        # Torch goes on compiling in its first runs.
        for _ in range(2):
            self.run()
        return time.perf_counter() - start

    def take(self, arrays):
        self.inputs = [self.torch.from_numpy(arrays[name]) for name in self.input_names]

    def cast(self):
        return tuple(x.to(self.dtype) if x.is_floating_point() else x for x in self.inputs)

    def run(self):
        with self.torch.no_grad():
            self.outputs = [y.float() if y.is_floating_point() else y for y in self.module(*self.cast())]

    def answers(self):
        return {name: value.numpy() for name, value in zip(self.names, self.outputs)}


peer_loop.serve(Peer())
