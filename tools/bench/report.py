#!/usr/bin/python3
"""Writes what bench.py measured as Markdown and as a picture.

  report.py BENCH.json [--output-dir DIR]      bench.md and bench.svg, by default beside the JSON
  report.py BENCH.json --publish               into README.md and docs/, between the marks that say so

Times are medians of all runs, in ms. A ratio is a peer's time over agate's: above 1, agate is faster. It is the median over
the rounds of the ratio within a round, so that what the machine does to both does not count.
"""
import argparse
import json
import os
import re
import statistics
import sys

import machine

TITLES = dict(agate_winograd='agate with Winograd', onnxruntime='ONNX Runtime', pytorch='PyTorch')
FAULTS = ('unsupported', 'disagrees', 'error')
BEGIN, END = '<!-- measured: {} -->', '<!-- /measured -->'
NOISE = 0.05  # share of the cores that others took, above which a result is marked


def title(peer):
    return TITLES.get(peer, peer)


def timed(cell, peer):
    return 'median_ms' in cell['peers'].get(peer, {})


def noisy(cell):
    return cell.get('foreign_share', 0) > NOISE


def ratios(cell, peer):
    """Of each round."""
    return [theirs / ours for theirs, ours in zip(cell['peers'][peer]['round_ms'], cell['peers']['agate']['round_ms'])]


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


def others(result):
    """The peers that were timed at least once."""
    return [p for p in result['peers'] if p != 'agate' and any(timed(c, p) for c in result['cells'])]


def peak(result, threads):
    return max((row['gflops'] for row in result['peaks'].get(str(threads), [])), default=0)


def plural(count, word):
    return f'{count} {word}' + ('' if count == 1 else 's')


def table(header, rows):
    lines = ['| ' + ' | '.join(header) + ' |', '| --- |' + ' ---: |' * (len(header) - 1)]
    return lines + ['| ' + ' | '.join(row) + ' |' for row in rows]


def time_row(result, cell, peers):
    ours = cell['peers']['agate']['median_ms']
    gflops = cell['flops'] / ours / 1e6
    best = peak(result, cell['threads'])
    row = [cell['network'] + (' \\*' if noisy(cell) else ''), f'{ours:.2f}']
    row += [f"{cell['peers'][p]['median_ms']:.2f}" if timed(cell, p) else '' for p in peers]
    row += [f'{statistics.median(ratios(cell, p)):.2f}' if timed(cell, p) else '' for p in peers]
    return row + [f'{gflops:.0f}', f'{100 * gflops / best:.0f} %' if best else '']


def mean_row(cells, peers):
    row = ['geometric mean'] + [''] * (1 + len(peers))
    for peer in peers:
        both = [statistics.median(ratios(cell, peer)) for cell in cells if timed(cell, peer)]
        row.append(f'**{statistics.geometric_mean(both):.2f}**' if both else '')
    return row + ['', '']


def time_tables(result, wanted=None):
    peers, lines = others(result), []
    header = ['network', 'agate'] + [title(p) for p in peers] + [title(p) + ' / agate' for p in peers]
    for (threads, batch), cells in groups(result).items():
        if wanted in (None, (threads, batch)):
            lines += ['', f"{plural(threads, 'thread')}, batch {batch}; ms", '']
            rows = [time_row(result, cell, peers) for cell in cells] + [mean_row(cells, peers)]
            lines += table(header + ['GFLOP/s', 'of the peak'], rows)
    return lines


def start_table(result):
    """Loading and memory, at the first number of threads and batch."""
    cells = next(iter(groups(result).values()), [])
    if not cells:
        return []
    peers, rows = ['agate'] + others(result), []
    for cell in cells:
        known = [cell['peers'][p] if timed(cell, p) else None for p in peers]
        rows.append([cell['network']] + [f"{k['load_ms']:.0f}" if k else '' for k in known]
                    + [f"{k['peak_rss_bytes'] / 2**20:.0f}" if k else '' for k in known])
    names = [title(p) for p in peers]
    return ['', 'From the file to a session that is ready, ms, and the most memory held, MiB, that of the peer\'s language '
            f"included; {plural(cells[0]['threads'], 'thread')}, batch {cells[0]['batch']}", ''] + table(
                ['network'] + [n + ', ms' for n in names] + [n + ', MiB' for n in names], rows)


def left_out(result):
    """What was not timed, and why."""
    lines = []
    for cell in result['cells']:
        where = f"{cell['network']}, batch {cell['batch']}, {plural(cell['threads'], 'thread')}"
        found = [(f'{title(p)} {kind}', r[kind]) for p, r in cell['peers'].items() for kind in FAULTS if kind in r]
        found += [('ended early', cell['fault'])] if 'fault' in cell else []
        lines += [f'* {where}: {what}: {why}' for what, why in found]
    return ['', 'Not timed:', ''] + lines if lines else []


def machine_lines(result):
    facts = result['machine']
    peaks = [f"{max(r['gflops'] for r in rows):.0f} GFLOP/s and {max(r['gb_per_second'] for r in rows):.1f} GB/s with "
             f"{plural(int(threads), 'thread')} ({rows[0]['isa']})" for threads, rows in result['peaks'].items()]
    versions = [f"{title(p)} {v['version']}" + (f" (commit {result['commit']})" if p == 'agate' and result['commit'] else '')
                for p, v in result['peers'].items() if 'version' in v]
    caches = ''.join(f', {level} {size}' for level, size in facts['caches'].items())
    load = ' and '.join(f'{value:.1f}' for value in result['load_average'])
    return [f"{result['when']}. {facts['cpu']}: {plural(facts['cores_granted'], 'core')}{caches}; "
            f"{' '.join(facts['features'])}; {facts['memory_gib']} GiB; Linux {facts['kernel']}.",
            f"{', '.join(versions)}. {plural(result['settings']['rounds'], 'round')}, {result['settings']['seconds']:g} s a peer.",
            f"Measured peaks: {'; '.join(peaks)}. Load average before and after: {load}. "
            f"\\* others took more than {100 * NOISE:.0f} % of the cores."]


def markdown(result):
    return '\n'.join(machine_lines(result) + time_tables(result) + start_table(result) + left_out(result)) + '\n'


def draw_panel(axis, cells, peers):
    height = 0.8 / max(1, len(peers))
    for index, peer in enumerate(peers):
        rows = [(row + (index + 0.5) * height - 0.4, ratios(cell, peer)) for row, cell in enumerate(cells) if timed(cell, peer)]
        middles = [statistics.median(values) for _, values in rows]
        spans = [quartiles(values) for _, values in rows]
        errors = [[max(0, m - low) for m, (low, _) in zip(middles, spans)],
                  [max(0, high - m) for m, (_, high) in zip(middles, spans)]]
        axis.barh([row for row, _ in rows], middles, height, label=title(peer), xerr=errors, error_kw=dict(lw=0.7))
    axis.axvline(1, color='black', lw=0.8)
    axis.set_yticks(range(len(cells)), [cell['network'] for cell in cells], fontsize=8)
    axis.set_ylim(len(cells) - 0.4, -0.6)
    axis.tick_params(axis='x', labelsize=8)


def draw(result, path):
    """Ratios as bars, one panel for each number of threads and batch, with the quartiles of the rounds."""
    import matplotlib
    matplotlib.use('Agg')
    # The same numbers give the same bytes.
    matplotlib.rcParams['svg.hashsalt'] = 'agate'
    from matplotlib import pyplot
    panels, peers = groups(result), others(result)
    columns = min(3, len(panels))
    lines = -(-len(panels) // columns)
    tall = 1.2 + 0.16 * max(map(len, panels.values())) * (1 + len(peers))
    figure, axes = pyplot.subplots(lines, columns, squeeze=False, figsize=(1.5 + 4.2 * columns, lines * tall))
    for axis in axes.flat[len(panels):]:
        axis.axis('off')
    for axis, ((threads, batch), cells) in zip(axes.flat, panels.items()):
        draw_panel(axis, cells, peers)
        axis.set_title(f"{plural(threads, 'thread')}, batch {batch}", fontsize=9)
    if peers:
        axes[0][0].legend(fontsize=7)
    figure.supxlabel("a peer's time over agate's: beyond 1, agate is faster", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, metadata=dict(Date=None))
    pyplot.close(figure)


def write(result, folder):
    with open(os.path.join(folder, 'bench.md'), 'w') as file:
        file.write(markdown(result))
    if groups(result):
        draw(result, os.path.join(folder, 'bench.svg'))


def replace(path, name, lines):
    """Puts the lines between the marks of this name."""
    with open(path) as file:
        text = file.read()
    begin = BEGIN.format(name)
    pattern = re.compile(re.escape(begin) + '.*?' + re.escape(END), re.S)
    if not pattern.search(text):
        sys.exit(f'report: {path} has no {begin}')
    body = '\n'.join(lines).strip('\n')
    with open(path, 'w') as file:
        file.write(pattern.sub(lambda _: f'{begin}\n{body}\n{END}', text))


def publish(result, root):
    if not groups(result):
        sys.exit('report: agate was not timed there')
    replace(os.path.join(root, 'README.md'), 'summary', machine_lines(result) + time_tables(result, (1, 1)))
    replace(os.path.join(root, 'docs', 'benchmark.md'), 'all',
            markdown(result).splitlines() + ['', '![ratios](benchmark.svg)'])
    draw(result, os.path.join(root, 'docs', 'benchmark.svg'))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('result', help='bench.json')
    parser.add_argument('--output-dir', metavar='DIR')
    parser.add_argument('--publish', action='store_true')
    parser.add_argument('--root', default=machine.ROOT, help='of the tree that --publish changes')
    arguments = parser.parse_args()
    with open(arguments.result) as file:
        result = json.load(file)
    if arguments.publish:
        publish(result, arguments.root)
    else:
        write(result, arguments.output_dir or os.path.dirname(os.path.abspath(arguments.result)))


if __name__ == '__main__':
    main()
