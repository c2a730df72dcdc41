"""The pictures of a benchmark's result; see report.py for what the numbers are."""
import statistics

import results

COLOURS = dict(agate='tab:blue', agate_winograd='tab:cyan', agate_f32x6='tab:purple', agate_f32x3='tab:pink',
               agate_f16='tab:green', agate_bf16='tab:red', onnxruntime='tab:gray', pytorch='tab:olive', pytorch_bf16='tab:orange')
MARKS = dict(agate='o', agate_winograd='^', agate_f32x6='<', agate_f32x3='>', agate_f16='h', agate_bf16='D', onnxruntime='s', pytorch='v',
             pytorch_bf16='P')
LEAST_ERROR = 1e-8  # an answer that is exact has a place, too
PLACES = ((5, 3, 'left'), (-5, 3, 'right'), (5, -8, 'left'), (-5, -8, 'right'), (0, 7, 'center'), (0, -12, 'center'))


def plotter():
    import matplotlib
    matplotlib.use('Agg')
    # The same numbers give the same bytes.
    matplotlib.rcParams['svg.hashsalt'] = 'agate'
    from matplotlib import pyplot
    return pyplot


def look(peer):
    """Of peers that are not ours to name, what matplotlib gives."""
    return dict(color=COLOURS.get(peer)), dict(marker=MARKS.get(peer, 'x'))


def finish(figure, path):
    figure.savefig(path, metadata=dict(Date=None))
    plotter().close(figure)


# ---- ratios of times -----------------------------------------------------------------------------------------

def draw_panel(axis, result, cells, peers):
    height = 0.8 / max(1, len(peers))
    for index, peer in enumerate(peers):
        rows = [(row + (index + 0.5) * height - 0.4, results.ratios(result, cell, peer)) for row, cell in enumerate(cells)]
        rows = [(place, values) for place, values in rows if values]
        middles = [statistics.median(values) for _, values in rows]
        spans = [results.quartiles(values) for _, values in rows]
        errors = [[max(0, m - low) for m, (low, _) in zip(middles, spans)],
                  [max(0, high - m) for m, (_, high) in zip(middles, spans)]]
        axis.barh([row for row, _ in rows], middles, height, label=results.title(peer), xerr=errors,
                  error_kw=dict(lw=0.7), **look(peer)[0])
    axis.axvline(1, color='black', lw=0.8)
    axis.set_yticks(range(len(cells)), [cell['network'] for cell in cells], fontsize=8)
    axis.set_ylim(len(cells) - 0.4, -0.6)
    axis.tick_params(axis='x', labelsize=8)


def panels_by_line(panels, columns):
    """Panels of equally many networks side by side; one that has no like takes a line of its own."""
    lines = []
    for panel in panels.items():
        fits = lines and len(lines[-1]) < columns and len(lines[-1][0][1]) == len(panel[1])
        if fits:
            lines[-1].append(panel)
        else:
            lines.append([panel])
    return lines


def draw_ratios(result, path):
    """As bars, one panel for each number of threads and batch, with the quartiles of the rounds."""
    pyplot, base, columns = plotter(), results.baseline(result), 2
    peers = [p for p in results.timed_peers(result, result['cells']) if p != base]
    lines = panels_by_line(results.groups(result), columns)
    tall = [1.2 + 0.07 * len(line[0][1]) * (1 + len(peers)) for line in lines]
    figure = pyplot.figure(figsize=(1.5 + 4.2 * columns, sum(tall)))
    grid = figure.add_gridspec(len(lines), columns, height_ratios=tall)
    for row, line in enumerate(lines):
        for column, ((threads, batch), cells) in enumerate(line):
            axis = figure.add_subplot(grid[row, :] if len(line) == 1 else grid[row, column])
            draw_panel(axis, result, cells, peers)
            axis.set_title(f"{results.plural(threads, 'thread')}, batch {batch}", fontsize=9)
    if peers and figure.axes:
        figure.axes[0].legend(fontsize=7)
    line = 0.25 / sum(tall)  # a quarter of an inch, however tall the figure
    figure.supxlabel(f"{results.title(base)}'s time over a peer's: beyond 1, the peer is faster", fontsize=9, y=line / 2)
    figure.tight_layout(rect=(0, line, 1, 1))
    finish(figure, path)


# ---- speed against error -------------------------------------------------------------------------------------

def points_of(result, cells, peer):
    """(network, ratio, error)"""
    found = [(cell['network'], results.ratios(result, cell, peer), results.accuracy_of(cell, peer)) for cell in cells]
    return [(name, statistics.median(r), max(LEAST_ERROR, a['max'])) for name, r, a in found if r and a]


def means(points):
    return [statistics.geometric_mean(point[axis] for point in points) for axis in (1, 2)]


class Labels:
    """Names beside points, where there is room: none covers another or a point."""

    def __init__(self, figure, axis, points, large):
        self.axis, self.renderer = axis, figure.canvas.get_renderer()
        # Corners of what is covered already, in dots.
        self.taken = [(x - 10, y - 10, x + 10, y + 10) for x, y in axis.transData.transform(large)]
        self.taken += [(x - 2, y - 2, x + 2, y + 2) for x, y in axis.transData.transform(points)]

    def fits(self, left, low, right, high):
        inside = self.axis.get_window_extent(self.renderer)
        return (inside.x0 <= left and right <= inside.x1 and inside.y0 <= low and high <= inside.y1
                and not any(left < r and l < right and low < h and b < high for l, b, r, h in self.taken))

    def add(self, text, place, colour):
        for right, up, side in PLACES:
            label = self.axis.annotate(text, place, (right, up), textcoords='offset points', fontsize=6.5, color=colour, ha=side)
            box = label.get_window_extent(self.renderer).extents
            if self.fits(*box):
                self.taken.append(box)
                return
            label.remove()


def draw_errors(result, path):
    """One point for each peer and network, and a large one for the means. Further to the right is faster, further down is
    nearer to float64."""
    cells, peers = results.measured(result)
    known = {p: points for p in peers if (points := points_of(result, cells, p))}
    if not known:
        return
    pyplot = plotter()
    figure, axis = pyplot.subplots(figsize=(9.5, 7))
    colours = {}
    for peer, points in known.items():
        colour, mark = look(peer)
        drawn = axis.scatter([x for _, x, _ in points], [y for _, _, y in points], s=20, alpha=0.8, lw=0,
                             label=f"{results.title(peer)}, {results.plural(len(points), 'network')}", zorder=3, **colour, **mark)
        axis.scatter(*means(points), s=150, edgecolors='black', lw=1, alpha=0.9, zorder=4, **colour, **mark)
        colours[peer] = drawn.get_facecolor()[0][:3]
    axis.set_xscale('log')
    axis.set_yscale('log')
    axis.margins(0.08)
    axis.axvline(1, color='black', lw=0.6)
    axis.grid(which='major', lw=0.3)
    low, high = axis.get_xlim()
    ticks = [t for t in (0.1, 0.2, 0.3, 0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 7, 10, 20) if low <= t <= high]
    axis.set_xticks(ticks, [f'{t:g}' for t in ticks])
    axis.minorticks_off()
    base = results.title(results.baseline(result))
    first = f"{results.plural(cells[0]['threads'], 'thread')}, batch {cells[0]['batch']}"
    axis.set_xlabel(f"speed: {base}'s time over the peer's ({first})")
    axis.set_ylabel('largest error against float64, of the largest output')
    axis.legend(fontsize=8, loc='center right', title='large: geometric mean', title_fontsize=8)
    figure.tight_layout()
    figure.canvas.draw()
    dots = [(x, y) for points in known.values() for _, x, y in points]
    labels = Labels(figure, axis, dots, [means(points) for points in known.values()])
    known.pop(results.baseline(result), None)  # its points lie in one line
    write_names(labels, known, colours)
    finish(figure, path)


def write_names(labels, known, colours):
    """The fastest first."""
    every = [(x, y, name, peer) for peer, points in known.items() for name, x, y in points]
    for x, y, name, peer in sorted(every, reverse=True):
        labels.add(name, (x, y), colours[peer])
