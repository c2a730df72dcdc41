#!/usr/bin/python3
"""Draws the sample digits of tools/models/digits: pen strokes along curves, in ink on paper or chalk on a board.

  draw_digits.py [--output-dir DIR]
"""
import argparse
import os

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SCALE = 4  # drawn this much larger, then shrunk, for smooth edges

# A digit is a list of strokes, a stroke the points its curve passes through, in a box of 0..1 (x to the right, y down).
STROKES = {
    0: [[(.55, .04), (.25, .16), (.13, .50), (.26, .88), (.52, .97), (.78, .82), (.88, .48), (.78, .15), (.53, .05)]],
    2: [[(.16, .27), (.26, .09), (.52, .03), (.77, .14), (.78, .36), (.58, .60), (.33, .80), (.14, .95)],
        [(.14, .95), (.40, .90), (.66, .93), (.90, .94)]],
    3: [[(.20, .14), (.45, .04), (.73, .11), (.75, .31), (.58, .44), (.42, .48)],
        [(.42, .48), (.68, .52), (.83, .70), (.70, .90), (.42, .97), (.16, .88)]],
    4: [[(.36, .04), (.27, .30), (.17, .56)], [(.17, .56), (.45, .56), (.90, .53)], [(.72, .08), (.69, .50), (.66, .97)]],
    5: [[(.80, .05), (.52, .06), (.27, .07)], [(.27, .07), (.24, .24), (.21, .43)],
        [(.21, .43), (.46, .37), (.72, .47), (.80, .68), (.66, .90), (.40, .97), (.15, .89)]],
    8: [[(.74, .17), (.52, .04), (.28, .13), (.28, .33), (.52, .48), (.76, .66), (.75, .87), (.50, .97), (.25, .87),
         (.26, .67), (.50, .49), (.71, .34), (.76, .19)]],
}

# digit: picture width and height, paper, ink, pen width, slant, and the box the digit fills as x, y, width, height.
PICTURES = {
    0: ((96, 96), (250, 250, 246), (24, 24, 60), 8, 0.05, (22, 14, 52, 68)),
    2: ((120, 120), (28, 46, 40), (232, 236, 228), 10, -0.06, (32, 20, 58, 80)),
    3: ((96, 96), (255, 255, 255), (0, 0, 0), 9, 0.08, (26, 14, 46, 68)),
    4: ((128, 96), (243, 238, 220), (120, 24, 20), 8, 0.04, (40, 14, 50, 68)),
    5: ((96, 112), (0, 0, 0), (255, 255, 255), 9, 0.0, (24, 22, 48, 66)),
    8: ((96, 96), (236, 240, 250), (30, 60, 140), 8, 0.10, (28, 14, 44, 68)),
}


def curve(points, steps=24):
    """A Catmull-Rom curve through the points."""
    points = np.array([points[0], *points, points[-1]], float)
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    parts = []
    for before, start, end, after in zip(points, points[1:], points[2:], points[3:]):
        parts.append(0.5 * (2 * start + (end - before) * t + (2 * before - 5 * start + 4 * end - after) * t ** 2
                            + (3 * start - before - 3 * end + after) * t ** 3))
    return np.concatenate(parts + [points[-1:]])


def draw(digit):
    size, paper, ink, pen, slant, (left, top, width, height) = PICTURES[digit]
    picture = Image.new('RGB', (size[0] * SCALE, size[1] * SCALE), paper)
    canvas = ImageDraw.Draw(picture)
    for stroke in STROKES[digit]:
        along = curve(stroke)
        for index, (x, y) in enumerate(along):
            # A pen presses less where a stroke begins and ends.
            pressure = 0.85 + 0.15 * np.sin(np.pi * index / (len(along) - 1))
            centre_x = (left + (x + slant * (0.5 - y)) * width) * SCALE
            centre_y, radius = (top + y * height) * SCALE, pen * pressure * SCALE / 2
            canvas.ellipse([centre_x - radius, centre_y - radius, centre_x + radius, centre_y + radius], fill=ink)
    return picture.filter(ImageFilter.GaussianBlur(SCALE / 2)).resize(size, Image.BOX)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--output-dir', default=os.path.join(here, 'digits'))
    arguments = parser.parse_args()
    os.makedirs(arguments.output_dir, exist_ok=True)
    for digit in STROKES:
        draw(digit).save(os.path.join(arguments.output_dir, f'drawn-{digit}.png'), optimize=True)


if __name__ == '__main__':
    main()
