#!/usr/bin/python3
"""Writes what bench.py measured as Markdown and as a picture.

  report.py BENCH.json [--output-dir DIR]      bench.md, bench.svg and speed_error.svg, by default beside the JSON
  report.py BENCH.json --publish               into README.md and docs/, between the marks that say so

Times are medians of all runs, in ms. A ratio is ONNX Runtime's time (agate's, where that is not there) over a peer's: above 1,
the peer is faster. It is the median over the rounds of the ratio within a round, so that what the machine does to both does
not count. The peak is that of the instruction that a peer's products are made by. Errors are the largest of an output next to
the largest value of it, against float64.
"""
import argparse
import json
import os
import re
import statistics
import sys

import machine
import pictures
from results import (FAULTS, NOISE, accuracy_of, baseline, groups, measured, noisy, peak, plural, ratios, timed, timed_peers,
                     title)

BEGIN, END = '<!-- measured: {} -->', '<!-- /measured -->'


def table(header, rows):
    lines = ['| ' + ' | '.join(header) + ' |', '| --- |' + ' ---: |' * (len(header) - 1)]
    return lines + ['| ' + ' | '.join(row) + ' |' for row in rows]


def time_row(result, cell, peers):
    row = [cell['network'] + (' \\*' if noisy(cell) else '')]
    row += [f"{cell['peers'][p]['median_ms']:.2f}" if timed(cell, p) else '' for p in peers]
    for peer in peers:
        known = ratios(result, cell, peer) if peer != baseline(result) else None
        row += [f'{statistics.median(known):.2f}' if known else ''] if known is not None else []
    return row + [share_of_peak(result, cell, p) for p in peers]


def share_of_peak(result, cell, peer):
    best = peak(result, cell['threads'], peer)
    if not best or not timed(cell, peer):
        return ''
    return f"{100 * cell['flops'] / cell['peers'][peer]['median_ms'] / 1e6 / best:.0f} %"


def mean_ratio(result, cells, peer):
    known = [statistics.median(r) for r in (ratios(result, cell, peer) for cell in cells) if r]
    return f'**{statistics.geometric_mean(known):.2f}**' if known else ''


def mean_row(result, cells, peers):
    means = [mean_ratio(result, cells, p) for p in peers if p != baseline(result)]
    return ['geometric mean'] + [''] * len(peers) + means + [''] * len(peers)


def time_table(result, cells, peers):
    base = baseline(result)
    header = ['network'] + [title(p) + ', ms' for p in peers]
    header += [title(p) + ', ratio' for p in peers if p != base] + [title(p) + ', of the peak' for p in peers]
    return table(header, [time_row(result, cell, peers) for cell in cells] + [mean_row(result, cells, peers)])


def time_tables(result, wanted=None):
    """Peers that were timed on a few networks only get a table of these."""
    lines = []
    for (threads, batch), cells in groups(result).items():
        if wanted not in (None, (threads, batch)):
            continue
        most, every = timed_peers(result, cells, 0.5), timed_peers(result, cells)
        lines += ['', f"{plural(threads, 'thread')}, batch {batch}", ''] + time_table(result, cells, most)
        rare = [c for c in cells if any(timed(c, p) for p in every if p not in most)]
        if rare and wanted is None:
            lines += ['', 'With the peers that take longer', ''] + time_table(result, rare, every)
    return lines


def accuracy_row(cell, peers):
    known = [accuracy_of(cell, p) for p in peers]
    return ([cell['network']] + [f"{k['max']:.1e}" if k else '' for k in known]
            + [f"{k['top5']} of {k['rows']}" if k and 'rows' in k else '' for k in known])


def accuracy_table(result):
    cells, peers = measured(result)
    if not cells:
        return []
    header = ['network'] + [title(p) + ', error' for p in peers] + [title(p) + ', same five' for p in peers]
    return ['', 'Against float64: the largest error next to the largest value, and of how many rows the five first classes are '
            'the same', ''] + table(header, [accuracy_row(cell, peers) for cell in cells])


def summary_row(result, cells, peer):
    there = [c for c in cells if timed(c, peer)]
    known = [a for a in (accuracy_of(c, peer) for c in there) if a]
    shares = [float(s[:-2]) for s in (share_of_peak(result, c, peer) for c in there) if s]
    errors, rows = [a['max'] for a in known], [a for a in known if 'rows' in a]
    return [title(peer), str(len(there)), mean_ratio(result, there, peer),
            f'{statistics.median(shares):.0f} %' if shares else '', f'{statistics.median(errors):.1e}' if errors else '',
            f'{max(errors):.1e}' if errors else '',
            f"{100 * sum(a['top5'] for a in rows) / sum(a['rows'] for a in rows):.1f} %" if rows else '']


def summary_table(result):
    """A row for each peer, over all networks, at the first number of threads and batch."""
    cells = next(iter(groups(result).values()), [])
    if not cells:
        return []
    header = ['', 'networks', 'ratio, geometric mean', 'of the peak, median', 'error, median',
              'error, largest', 'same five first']
    where = f"{plural(cells[0]['threads'], 'thread')}, batch {cells[0]['batch']}"
    return ['', f"All networks, {where}; ratio: the time of {title(baseline(result))} over the peer's", ''] + table(
        header, [summary_row(result, cells, p) for p in timed_peers(result, cells)])


def start_table(result):
    """Loading and memory, at the first number of threads and batch."""
    cells = next(iter(groups(result).values()), [])
    if not cells:
        return []
    peers, rows = timed_peers(result, cells, 0.5), []
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


def peak_words(threads, rows):
    best = {key: max(row.get(key, 0) for row in rows) for key in ('gflops', 'pair_gflops', 'tile_gflops', 'gb_per_second')}
    pairs = f", {best['pair_gflops']:.0f} in bf16" if best['pair_gflops'] else ''
    pairs += f", {best['tile_gflops']:.0f} in its tiles" if best['tile_gflops'] else ''
    return (f"{best['gflops']:.0f} GFLOP/s{pairs} and {best['gb_per_second']:.1f} GB/s with {plural(threads, 'thread')} "
            f"({rows[0]['isa']})")


def machine_lines(result):
    facts = result['machine']
    peaks = [peak_words(int(threads), rows) for threads, rows in result['peaks'].items()]
    versions = [f"{title(p)} {v['version']}" + (f" (commit {result['commit']})" if p == 'agate' and result['commit'] else '')
                for p, v in result['peers'].items() if 'version' in v]
    caches = ''.join(f', {level} {size}' for level, size in facts['caches'].items())
    load = ' and '.join(f'{value:.1f}' for value in result['load_average'])
    return [f"{result['when']}. {facts['cpu']}: {plural(facts['cores_granted'], 'core')}{caches}; "
            f"{' '.join(facts['features'])}; {facts['memory_gib']} GiB; Linux {facts['kernel']}.",
            f"{', '.join(versions)}. {plural(result['settings']['rounds'], 'round')}, {result['settings']['seconds']:g} s a peer.",
            f"Measured peaks: {'; '.join(peaks)}. Load average before and after: {load}. "
            f"\\* others took more than {100 * NOISE:.0f} % of the cores.",
            *(f"{', '.join(again['networks'])}: measured in a run of {again['when']}, commit {again['commit']}."
              for again in result.get('again', []))]


def take_again(result, later):
    """Puts the cells of a later run's networks in the place of those that `result` has of them, if any, and says so in it."""
    networks = sorted({cell['network'] for cell in later['cells']})
    others = [cell for cell in result['cells'] if cell['network'] not in networks]
    result['cells'] = sorted(others + later['cells'], key=lambda cell: cell['network'])
    result.setdefault('again', []).append({key: later[key] for key in ('when', 'commit')} | {'networks': networks})


def markdown(result):
    parts = [machine_lines, summary_table, time_tables, accuracy_table, start_table, left_out]
    return '\n'.join(line for part in parts for line in part(result)) + '\n'


def write(result, folder):
    with open(os.path.join(folder, 'bench.md'), 'w') as file:
        file.write(markdown(result))
    if groups(result):
        pictures.draw_ratios(result, os.path.join(folder, 'bench.svg'))
        pictures.draw_errors(result, os.path.join(folder, 'speed_error.svg'))


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
    plot = ['', '![speed against error]({}speed_error.svg)'] if measured(result)[0] else []
    first = next(iter(groups(result)))
    replace(os.path.join(root, 'README.md'), 'summary', [line.format('docs/') for line in plot] + summary_table(result)
            + [''] + machine_lines(result) + time_tables(result, first))
    replace(os.path.join(root, 'docs', 'benchmark.md'), 'all', [line.format('') for line in plot] + ['']
            + markdown(result).splitlines() + ['', '![ratios](benchmark.svg)'])
    pictures.draw_ratios(result, os.path.join(root, 'docs', 'benchmark.svg'))
    pictures.draw_errors(result, os.path.join(root, 'docs', 'speed_error.svg'))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('result', help='bench.json')
    parser.add_argument('--again', action='append', default=[], metavar='FILE',
                        help='bench.json of a later run, whose networks are added or take the place of the same ones; the report says '
                        'which')
    parser.add_argument('--output-dir', metavar='DIR')
    parser.add_argument('--publish', action='store_true')
    parser.add_argument('--root', default=machine.ROOT, help='of the tree that --publish changes')
    arguments = parser.parse_args()
    with open(arguments.result) as file:
        result = json.load(file)
    for path in arguments.again:
        with open(path) as file:
            take_again(result, json.load(file))
    if arguments.publish:
        publish(result, arguments.root)
    else:
        write(result, arguments.output_dir or os.path.dirname(os.path.abspath(arguments.result)))


if __name__ == '__main__':
    main()
