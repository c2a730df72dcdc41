"""The side of a peer in Python: serves a class with hello, load, take (other inputs), run and
answers; see peer.py for what is said."""
import json
import os
import re
import sys
import time

import numpy as np


class Unsupported(Exception):
    """The peer does not run this model; the text says why."""


def arrays_of(inputs):
    return {name: np.load(path) for name, path in inputs.items()}


def load(peer, model, threads, inputs, dims):
    return dict(load_ms=1e3 * peer.load(model, threads, arrays_of(inputs), dims))


def answer(peer, folder, inputs=None):
    if inputs:
        peer.take(arrays_of(inputs))
    peer.run()
    for name, array in peer.answers().items():
        np.save(os.path.join(folder, re.sub('[^A-Za-z0-9._-]', '_', name) + '.npy'), array)
    return {}


def measure(peer, seconds, least):
    times, total, run, clock = [], 0.0, peer.run, time.perf_counter
    run()
    while len(times) < least or total < seconds:
        start = clock()
        run()
        times.append(clock() - start)
        total += times[-1]
    return dict(ms=[1e3 * t for t in times])


VERBS = dict(hello=lambda peer: peer.hello(), load=load, answer=answer, time=measure)


def serve(peer):
    # What libraries print must not come between the answers.
    out = os.fdopen(os.dup(1), 'w', buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = VERBS[request.pop('do')](peer, **request)
        except Unsupported as reason:
            reply = dict(unsupported=str(reason))
        except Exception as error:
            reply = dict(error=f'{type(error).__name__}: {error}')
        print(json.dumps(reply), file=out)
