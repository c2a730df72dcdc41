"""The benchmark's side of a peer: a program that runs models, in a process of its own.

A peer is an executable file in a folder of peers (tools/bench/peers, or --peers), named after what it runs. It reads one
JSON object a line from standard input and answers each with one on standard output, until the input ends:

  {"do": "hello"}                            {"version": TEXT}, or {"missing": what would install it}
  {"do": "load", "model": PATH, "threads": N, "inputs": {NAME: NPY}, "dims": {NAME: SIZE}}
                                             {"load_ms": from the file to a session that is ready}
  {"do": "answer", "folder": PATH}           {} once each output is written there as NAME.npy, with characters other
                                             than letters, digits, ".", "_" and "-" replaced by "_"; with
                                             "inputs": {NAME: NPY}, of the same shapes, of those, as is what follows
  {"do": "time", "seconds": S, "least": N}   {"ms": [...]}: each of at least N runs, for at least so long, after one
                                             run that does not count

{"unsupported": REASON} declines a model; {"error": REASON} is a fault. A peer in Python has all this in peer_loop.py.

A peer whose products are of narrower numbers than f32 says so at hello: beside its version, "products": "bf16"; "f16", "f32x3" and
"f32x6" where several of these stand for one of f32. Its answers are held to the tolerance that tools/oracle/accuracy.py has for
these in place of --rtol and --atol, if it has one.
"""
import glob
import json
import os
import subprocess
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
TIMEOUT_SECONDS = 600


class Fault(Exception):
    """The peer declined, failed, or gave another answer; `kind` is unsupported, error or disagrees."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind


class Peer:
    def __init__(self, path, environment):
        self.path, self.environment, self.process, self.products = path, environment, None, None
        self.name = os.path.splitext(os.path.basename(path))[0]

    def start(self):
        self.process = subprocess.Popen([self.path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        text=True, env=os.environ | self.environment)
        # What it says on the side must not fill a pipe, and its last line may explain its end.
        self.said = []
        threading.Thread(target=self.listen, args=(self.process.stderr,), daemon=True).start()

    def listen(self, stream):
        for line in stream:
            self.said[:] = [line.strip()]
        stream.close()

    def ask(self, verb, **words):
        timer = threading.Timer(TIMEOUT_SECONDS + words.get('seconds', 0), self.process.kill)
        timer.start()
        try:
            self.process.stdin.write(json.dumps(dict(do=verb, **words)) + '\n')
            self.process.stdin.flush()
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ''
        finally:
            timer.cancel()
        reply = self.read(answer)
        for kind in ('unsupported', 'error'):
            if kind in reply:
                raise Fault(kind, str(reply[kind]))
        return reply

    def read(self, answer):
        if not answer:
            status = self.process.wait()
            return dict(error=' '.join([f'ended with {status}'] + self.said))
        try:
            reply = json.loads(answer)
        except ValueError:
            reply = None
        return reply if isinstance(reply, dict) else dict(error=f'said {answer.strip()[:100]!r}')

    def peak_rss_bytes(self):
        """The most memory it has had."""
        with open(f'/proc/{self.process.pid}/status') as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith('VmHWM'))

    def cpu_seconds(self):
        """What it has spent so far, on all threads."""
        with open(f'/proc/{self.process.pid}/stat') as file:
            fields = file.read().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def stop(self):
        if not self.process:
            return
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.process = None


def hello(peer):
    try:
        peer.start()
        said = peer.ask('hello')
        peer.products = said.get('products')
        return said
    except (Fault, OSError) as reason:
        return dict(missing=str(reason))
    finally:
        peer.stop()


def find(folders, environment, without=()):
    """Every peer, and what it says at hello; agate, against which the others are held, first."""
    paths = [p for folder in folders for p in sorted(glob.glob(os.path.join(folder, '*')))
             if os.path.isfile(p) and os.access(p, os.X_OK)]
    there = [peer for peer in (Peer(path, environment) for path in paths) if peer.name not in without]
    found = [(peer, hello(peer)) for peer in there]
    return sorted(found, key=lambda pair: pair[0].name != 'agate')
