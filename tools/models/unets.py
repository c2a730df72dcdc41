"""A U-Net: contracting and expanding halves of two 3x3 convolutions per level, joined by concatenation at each size."""
import torch
from torch import nn
from torch.nn import functional


def double(inputs, outputs):
    layers = []
    for channels in (inputs, outputs):
        layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """`resize` enlarges by bilinear interpolation and a 1x1 convolution, else by a transposed convolution."""

    def __init__(self, resize, width=32, levels=4, classes=21):
        super().__init__()
        widths = [width << level for level in range(levels + 1)]
        self.first = double(3, width)
        self.down = nn.ModuleList(double(a, b) for a, b in zip(widths, widths[1:]))
        self.up = nn.ModuleList(nn.Conv2d(2 * a, a, 1) if resize else nn.ConvTranspose2d(2 * a, a, 2, 2)
                                for a in widths[-2::-1])
        self.join = nn.ModuleList(double(2 * a, a) for a in widths[-2::-1])
        self.last = nn.Conv2d(width, classes, 1)
        self.resize = resize

    def forward(self, x):
        x, seen = self.first(x), []
        for down in self.down:
            seen.append(x)
            x = down(functional.max_pool2d(x, 2))
        for up, join in zip(self.up, self.join):
            if self.resize:
                x = functional.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
            x = join(torch.cat([seen.pop(), up(x)], 1))
        return self.last(x)
