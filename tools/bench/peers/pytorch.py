#!/usr/bin/python3
"""PyTorch as a peer of the benchmark: the ONNX file in torch's operators (tools/oracle/onnx_torch.py), traced, frozen and
optimized for inference.
"""
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, '..'), os.path.join(HERE, '..', '..', 'oracle')]

import peer_loop

try:
    import torch
except ImportError:
    torch = None


class Peer:
    def hello(self):
        return dict(version=torch.__version__) if torch else dict(missing='tools/setup.sh models installs it')

    def load(self, model, threads, arrays, dims):
        import onnx
        import onnx_torch
        torch.set_num_threads(threads)
        start = time.perf_counter()
        try:
            network = onnx_torch.Network(onnx.load(model), arrays)
        except onnx_torch.Unsupported as reason:
            raise peer_loop.Unsupported(str(reason))
        self.inputs = [torch.from_numpy(arrays[name]) for name in network.input_names]
        self.names = network.output_names
        self.module = onnx_torch.traced(network, tuple(self.inputs))
        # Torch goes on compiling in its first runs.
        for _ in range(2):
            self.run()
        return time.perf_counter() - start

    def run(self):
        with torch.no_grad():
            self.outputs = self.module(*self.inputs)

    def answers(self):
        return {name: value.numpy() for name, value in zip(self.names, self.outputs)}


peer_loop.serve(Peer())
