"""What a benchmark must say of the machine it ran on: its CPU, its state, and its peaks, measured."""
import ctypes
import glob
import json
import os
import platform
import subprocess
import sys

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..'))
SMALL_MODEL = os.path.join(ROOT, 'tools', 'models', 'digits', 'digits.onnx')
FEATURES = ('sse4_2', 'avx', 'avx2', 'fma', 'avx512f', 'avx512bw', 'avx512vl', 'avx512dq', 'avx512_vnni', 'avx512_bf16',
            'avx512_fp16', 'avx_vnni', 'amx_tile', 'amx_bf16', 'amx_int8', 'hypervisor')


def read(path, default=''):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return default


def make_folder(program, path):
    """Or ends the program with a line that says why it cannot."""
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        sys.exit(f'{program}: --output-dir {path}: {error.strerror}')


def facts():
    first = read('/proc/cpuinfo').split('\n\n')[0]
    processor = {key.strip(): value.strip() for key, value in (line.split(':', 1) for line in first.splitlines() if ':' in line)}
    flags = processor.get('flags', '').split()
    caches = {}
    for folder in sorted(glob.glob('/sys/devices/system/cpu/cpu0/cache/index*')):
        if read(folder + '/type') != 'Instruction':
            caches[f"L{read(folder + '/level')}"] = read(folder + '/size')
    memory = next((line.split()[1] for line in read('/proc/meminfo').splitlines() if line.startswith('MemTotal')), '0')
    return dict(
        cpu=processor.get('model name', platform.machine()), features=[f for f in FEATURES if f in flags],
        cores_granted=len(os.sched_getaffinity(0)), cores=os.cpu_count(), caches=caches,
        memory_gib=round(int(memory) / 2**20, 1), kernel=platform.release().split('-')[0],
        governor=read('/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor', 'not known'))


ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA = 158, 0x1023, 18


def has_tiles():
    """Can this process multiply tiles of bfloat16? The CPU has to, and the system to grant it."""
    if not {'avx512_bf16', 'amx_tile', 'amx_bf16'} <= set(facts()['features']):
        return False
    return ctypes.CDLL(None).syscall(ARCH_PRCTL, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0


def load_average():
    return os.getloadavg()[0]


def busy_seconds():
    """What all cores have spent working so far, for anybody."""
    fields = [int(n) for n in read('/proc/stat').splitlines()[0].split()[1:]]
    user, nice, system, _, _, irq, soft, steal = fields[:8]
    return (user + nice + system + irq + soft + steal) / os.sysconf('SC_CLK_TCK')


def commit():
    """The commit of this tree, with a + where it has changed since; '' where git does not know."""
    def git(*words):
        done = subprocess.run(['git', '-C', ROOT, *words], capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ''
    try:
        name = git('rev-parse', '--short', 'HEAD')
        return name + ('+' if name and git('status', '--porcelain', '--untracked-files=no') else '')
    except FileNotFoundError:
        return ''


def peaks(agate, threads, isa):
    """Multiply-adds, of f32 and where the CPU has them of bf16 in pairs and in tiles, and reads from memory, all at their fastest,
    with so many threads."""
    command = [agate, 'bench', SMALL_MODEL, '--json', '--profile', '--iterations', '1', '--threads', str(threads),
               '--precision', 'bf16']
    done = subprocess.run(command + (['--isa', isa] if isa else []), capture_output=True, text=True, check=True)
    report = json.loads(done.stdout)
    return dict(isa=report['isa'], gflops=report['peak_gflops'], pair_gflops=report.get('peak_pair_gflops', 0),
                tile_gflops=report.get('peak_tile_gflops', 0), gb_per_second=report['peak_gb_per_second'])
