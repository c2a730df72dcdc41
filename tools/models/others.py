"""Convolutional networks of other kinds: sound in one dimension, films and bodies in three, pictures that are made."""
import torch
from torch import nn
from torch.nn import functional


def normed(convolution, norm):
    return nn.Sequential(convolution, norm(convolution.out_channels), nn.ReLU())


class Residual(nn.Module):
    """x + body(x)."""

    def __init__(self, *body):
        super().__init__()
        self.body = nn.Sequential(*body)

    def forward(self, x):
        return x + self.body(x)


# ---- one dimension ----

def m5():
    """Raw sound to words: Dai et al., "Very deep convolutional neural networks for raw waveforms", 2017."""
    layers = []
    for inputs, outputs, kernel, stride in ((1, 128, 80, 4), (128, 128, 3, 1), (128, 256, 3, 1), (256, 512, 3, 1)):
        layers += [*normed(nn.Conv1d(inputs, outputs, kernel, stride), nn.BatchNorm1d), nn.MaxPool1d(4)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(512, 35))


def conv_tasnet(width=128, inner=256, depth=8):
    """A mask over sound: Luo and Mesgarani, "Conv-TasNet", 2019."""
    def block(dilation):
        return Residual(nn.Conv1d(width, inner, 1), nn.PReLU(), nn.GroupNorm(1, inner),
                        nn.Conv1d(inner, inner, 3, padding=dilation, dilation=dilation, groups=inner), nn.PReLU(),
                        nn.GroupNorm(1, inner), nn.Conv1d(inner, width, 1))
    return nn.Sequential(nn.Conv1d(1, width, 16, 8), *(block(1 << i) for i in range(depth)), nn.Conv1d(width, width, 1), nn.Sigmoid())


class WaveNet(nn.Module):
    """Gated convolutions that see the past alone: van den Oord et al., "WaveNet", 2016."""

    def __init__(self, width=64, depth=10):
        super().__init__()
        self.first = nn.Conv1d(1, width, 1)
        self.gates = nn.ModuleList(nn.Conv1d(width, 2 * width, 2, dilation=1 << i) for i in range(depth))
        self.on = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(depth))
        self.out = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(depth))
        self.last = nn.Conv1d(width, 256, 1)

    def forward(self, x):
        x, skipped = self.first(x), 0
        for gate, on, out in zip(self.gates, self.on, self.out):
            tone, open_ = gate(functional.pad(x, (gate.dilation[0], 0))).chunk(2, 1)
            y = torch.tanh(tone) * torch.sigmoid(open_)
            x, skipped = x + on(y), skipped + out(y)
        return self.last(functional.relu(skipped))


# ---- three dimensions ----

class Block3d(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.body = nn.Sequential(*normed(nn.Conv3d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm3d),
                                  nn.Conv3d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm3d(outputs))
        self.shortcut = nn.Identity() if stride == 1 and inputs == outputs else nn.Sequential(
            nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))

    def forward(self, x):
        return functional.relu(self.body(x) + self.shortcut(x))


def r3d_18():
    """Films: Tran et al., "A closer look at spatiotemporal convolutions for action recognition", 2018."""
    layers = [*normed(nn.Conv3d(3, 64, (3, 7, 7), (1, 2, 2), (1, 3, 3), bias=False), nn.BatchNorm3d)]
    for inputs, outputs, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        layers += [Block3d(inputs, outputs, stride), Block3d(outputs, outputs, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(512, 400))


class UNet3d(nn.Module):
    """Bodies: Çiçek et al., "3D U-Net", 2016."""

    def __init__(self):
        super().__init__()
        def double(inputs, middle, outputs):
            return nn.Sequential(*normed(nn.Conv3d(inputs, middle, 3, 1, 1), nn.BatchNorm3d),
                                 *normed(nn.Conv3d(middle, outputs, 3, 1, 1), nn.BatchNorm3d))
        self.first, self.down, self.lowest = double(3, 16, 32), double(32, 32, 64), double(64, 64, 64)
        self.up = nn.ConvTranspose3d(64, 64, 2, 2)
        self.join, self.last = double(128, 32, 32), nn.Conv3d(64, 3, 3, 1, 1)

    def forward(self, x):
        first = self.first(x)
        down = self.down(functional.max_pool3d(first, 2))
        x = self.join(torch.cat([self.up(self.lowest(functional.max_pool3d(down, 2))), down], 1))
        x = functional.interpolate(x, scale_factor=2, mode='trilinear', align_corners=False)
        return self.last(torch.cat([x, first], 1))


# ---- pictures that are made ----

def mirrored(inputs, outputs, kernel, stride=1):
    return nn.Sequential(nn.ReflectionPad2d(kernel // 2), nn.Conv2d(inputs, outputs, kernel, stride))


def style_transfer():
    """Johnson et al., "Perceptual losses for real-time style transfer", 2016; with instance norms."""
    def step(inputs, outputs, kernel, stride=1):
        return [mirrored(inputs, outputs, kernel, stride), nn.InstanceNorm2d(outputs, affine=True), nn.ReLU()]
    layers = step(3, 32, 9) + step(32, 64, 3, 2) + step(64, 128, 3, 2)
    for _ in range(5):
        layers.append(Residual(*step(128, 128, 3), mirrored(128, 128, 3), nn.InstanceNorm2d(128, affine=True)))
    for inputs, outputs in ((128, 64), (64, 32)):
        layers += [nn.Upsample(scale_factor=2), *step(inputs, outputs, 3)]
    return nn.Sequential(*layers, mirrored(32, 3, 9))


def super_resolution(width=64):
    """Ledig et al., "Photo-realistic single image super-resolution", 2017: SRGAN's generator, shorter."""
    layers = [nn.Conv2d(3, width, 9, 1, 4), nn.PReLU()]
    for _ in range(3):
        layers.append(Residual(nn.Conv2d(width, width, 3, 1, 1), nn.BatchNorm2d(width), nn.PReLU(),
                               nn.Conv2d(width, width, 3, 1, 1), nn.BatchNorm2d(width)))
    for _ in range(2):
        layers += [nn.Conv2d(width, 4 * width, 3, 1, 1), nn.PixelShuffle(2), nn.PReLU()]
    return nn.Sequential(*layers, nn.Conv2d(width, 3, 9, 1, 4))


OTHERS = {'m5': m5, 'conv_tasnet': conv_tasnet, 'wavenet': WaveNet, 'r3d_18': r3d_18, 'unet3d': UNet3d,
          'style_transfer': style_transfer, 'super_resolution': super_resolution}
KIND_OF_OTHERS = {'m5': 'sound', 'conv_tasnet': 'sound', 'wavenet': 'sound', 'r3d_18': 'film', 'unet3d': 'film',
                  'super_resolution': 'thumbnail'}
