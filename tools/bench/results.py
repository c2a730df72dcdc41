"""What the numbers in bench.json come to; report.py says what they are."""
TITLES = dict(agate_winograd='agate with Winograd', agate_f32x6='agate in f32x6', agate_f32x3='agate in f32x3',
              agate_f16='agate in f16', agate_bf16='agate in bf16', onnxruntime='ONNX Runtime', pytorch='PyTorch', pytorch_bf16='PyTorch in bf16')
ORDER = ['agate', 'agate_winograd', 'agate_f32x6', 'agate_f32x3', 'agate_f16', 'agate_bf16']  # then the others, by name
TILE_PRODUCTS = dict(bf16=1, f16=3, f32x3=3, f32x6=6)  # of bfloat16, in AMX's tiles, for each of the network's
FAULTS = ('unsupported', 'disagrees', 'error')
NOISE = 0.05  # share of the cores that others took, above which a result is marked


def title(peer):
    return TITLES.get(peer, peer)


def timed(cell, peer):
    return 'median_ms' in cell['peers'].get(peer, {})


def noisy(cell):
    return cell.get('foreign_share', 0) > NOISE


def baseline(result):
    """The peer whose time is divided by the others'."""
    return 'onnxruntime' if any(timed(cell, 'onnxruntime') for cell in result['cells']) else 'agate'


def ratios(result, cell, peer):
    """Of each round; none where one of the two was not timed."""
    base = baseline(result)
    if not timed(cell, base) or not timed(cell, peer):
        return []
    return [theirs / ours for theirs, ours in zip(cell['peers'][base]['round_ms'], cell['peers'][peer]['round_ms'])]


def quartiles(values):
    ordered = sorted(values)
    return ordered[len(ordered) // 4], ordered[-1 - len(ordered) // 4]


def groups(result):
    """(threads, batch) to its cells, in which agate was timed."""
    found = {}
    for cell in result['cells']:
        if timed(cell, 'agate'):
            found.setdefault((cell['threads'], cell['batch']), []).append(cell)
    return dict(sorted(found.items()))


def timed_peers(result, cells, least=0.0):
    """Those that were timed at least once, and in this share of the cells."""
    counts = {p: sum(timed(c, p) for c in cells) for p in result['peers']}
    names = [p for p in counts if counts[p] and counts[p] >= least * len(cells)]
    return sorted(names, key=lambda p: (ORDER.index(p) if p in ORDER else len(ORDER), p))


def peak(result, threads, peer):
    """Of the instruction that it multiplies with, where it was measured, in FLOPs of the network."""
    rows = result['peaks'].get(str(threads), [])
    products = result['peers'][peer].get('products')
    rates = [row.get('tile_gflops', 0) / TILE_PRODUCTS[products] for row in rows if products in TILE_PRODUCTS]
    rates += [row.get('pair_gflops', 0) for row in rows if products == 'bf16']
    return max(rates, default=0) or max((row['gflops'] for row in rows), default=0)


def plural(count, word):
    return f'{count} {word}' + ('' if count == 1 else 's')


def accuracy_of(cell, peer):
    return cell['peers'].get(peer, {}).get('accuracy')


def measured(result):
    """Cells whose answers were held against float64, and the peers of these."""
    cells = [cell for cell in result['cells'] if any(accuracy_of(cell, p) for p in cell['peers'])]
    return cells, timed_peers(result, cells)
