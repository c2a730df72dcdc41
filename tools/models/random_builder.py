"""What the writers of random graphs share: chance, names, constants, the list of moves and the command line."""
import argparse
import os

import numpy as np

from onnx_builder import Builder


class Moves:
    """The ways in which a graph may grow, each with a weight: the greater, the more often."""

    def __init__(self):
        self.functions, self.weights = [], []

    def __call__(self, weight):
        """A decorator of methods that return what they added, or None where they do not fit what there is."""
        def enter(function):
            self.functions.append(function)
            self.weights.append(weight)
            return function
        return enter


class RandomBuilder(Builder):
    """A graph that grows by chance; the same seed always makes the same choices."""

    def __init__(self, seed, opset):
        super().__init__(opset)
        self.random = np.random.RandomState(seed)
        self.count = 0

    # ---- chance ----

    def pick(self, choices):
        return choices[self.random.randint(len(choices))]

    def late(self, choices):
        """One of them, a late one more likely, so that chains form."""
        return choices[len(choices) - 1 - int(len(choices) * self.random.rand()**2)]

    def chance(self, probability):
        return self.random.rand() < probability

    def moved(self, moves):
        """What one of the moves returns."""
        chances = np.array(moves.weights) / sum(moves.weights)
        return moves.functions[self.random.choice(len(moves.functions), p=chances)](self)

    # ---- nodes ----

    def name(self, op):
        self.count += 1
        return f'{op.lower()}_{self.count}'

    def constant(self, array, dtype=np.float32):
        return self.weight(self.name('constant'), np.asarray(array, dtype))

    def ints(self, *values):
        return self.constant(values, np.int64)


def write(description, graph, prefix, nodes):
    """The command line: writes PREFIX_SEED.onnx for each seed, of graph(seed) once it has grown to so many nodes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--output-dir', required=True)
    parser.add_argument('--first', type=int, default=0, metavar='SEED')
    parser.add_argument('--count', type=int, default=10, metavar='N')
    parser.add_argument('--nodes', type=int, default=nodes, metavar='N', help=f'about how many each has (default: {nodes})')
    arguments = parser.parse_args()
    os.makedirs(arguments.output_dir, exist_ok=True)
    for seed in range(arguments.first, arguments.first + arguments.count):
        built = graph(seed)
        built.grow(arguments.nodes)
        built.finish()
        name = f'{prefix}_{seed}'
        built.save(os.path.join(arguments.output_dir, f'{name}.onnx'), name, 'agate random graphs')
