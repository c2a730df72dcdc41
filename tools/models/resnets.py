"""Residual networks that torchvision does not have: pre-activation, plain, CIFAR's, and one as TensorFlow would have it."""
import torch
import torchvision
from torch import flatten, nn
from torch.nn import functional


def conv(inputs, outputs, size, stride=1):
    return nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False)


class PreBasic(nn.Module):
    """Two 3x3 convolutions, each behind its BatchNorm and ReLU; the sum is left as it is."""
    expansion = 1

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, width, 3, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(width), conv(width, width, 3)
        self.relu = nn.ReLU()
        projects = stride != 1 or inputs != width
        self.shortcut = conv(inputs, width, 1, stride) if projects else None

    def forward(self, x):
        y = self.relu(self.bn1(x))
        # A projection sees the activated input, an identity the raw one.
        shortcut = self.shortcut(y) if self.shortcut else x
        return self.conv2(self.relu(self.bn2(self.conv1(y)))) + shortcut


class PreBottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, each behind its BatchNorm and ReLU."""
    expansion = 4

    def __init__(self, inputs, width, stride):
        super().__init__()
        outputs = width * self.expansion
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), conv(inputs, width, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(width), conv(width, width, 3, stride)
        self.bn3, self.conv3 = nn.BatchNorm2d(width), conv(width, outputs, 1)
        self.relu = nn.ReLU()
        projects = stride != 1 or inputs != outputs
        self.shortcut = conv(inputs, outputs, 1, stride) if projects else None

    def forward(self, x):
        y = self.relu(self.bn1(x))
        shortcut = self.shortcut(y) if self.shortcut else x
        y = self.conv2(self.relu(self.bn2(self.conv1(y))))
        return self.conv3(self.relu(self.bn3(y))) + shortcut


class PlainBlock(nn.Module):
    """Two 3x3 convolutions with BatchNorm and ReLU behind each, and no shortcut."""
    expansion = 1

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.body = nn.Sequential(conv(inputs, width, 3, stride), nn.BatchNorm2d(width), nn.ReLU(),
                                  conv(width, width, 3), nn.BatchNorm2d(width), nn.ReLU())

    def forward(self, x):
        return self.body(x)


class Network(nn.Module):
    """The papers' ImageNet frame around `depths` blocks of each of four widths."""

    def __init__(self, block, depths, stem_activated, classes=1000):
        super().__init__()
        stem = [conv(3, 64, 7, 2)]
        stem += [nn.BatchNorm2d(64), nn.ReLU()] if stem_activated else []
        self.stem = nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1))
        blocks, channels = [], 64
        for stage, depth in enumerate(depths):
            for index in range(depth):
                width, stride = 64 << stage, 2 if stage > 0 and index == 0 else 1
                blocks.append(block(channels, width, stride))
                channels = width * block.expansion
        self.blocks = nn.Sequential(*blocks)
        # Sums that were never activated need one last BatchNorm and ReLU.
        self.last = nn.Identity() if stem_activated else nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode='fan_out', nonlinearity='relu')

    def forward(self, x):
        return self.fc(flatten(self.pool(self.last(self.blocks(self.stem(x)))), 1))


class CifarBlock(nn.Module):
    """Two 3x3 convolutions; a shortcut that subsamples and appends channels of zeros (the paper's option A)."""

    def __init__(self, inputs, width, stride):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3), nn.BatchNorm2d(width)
        self.relu, self.added = nn.ReLU(), width - inputs

    def forward(self, x):
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        if self.added:
            half = self.added // 2
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, self.added - half))
        return self.relu(y + x)


class CifarNetwork(nn.Module):
    """The paper's CIFAR-10 network: three widths of `depth` blocks, and an average over the last 8x8 window."""

    def __init__(self, depth):
        super().__init__()
        blocks = [CifarBlock(*shape) for shape in ((16, 16, 1), (16, 32, 2), (32, 64, 2))
                  for shape in [shape] + [(shape[1], shape[1], 1)] * (depth - 1)]
        self.body = nn.Sequential(conv(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), *blocks)
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = functional.avg_pool2d(self.body(x), 8)
        return self.fc(x.view(x.size(0), -1))


class TensorFlowStyle(nn.Module):
    """ResNet-18 with TensorFlow's habits: NHWC input, stand-alone asymmetric pads, a mean, a product and a sum as head."""

    def __init__(self):
        super().__init__()
        self.net = torchvision.models.resnet18(weights=None)
        self.net.conv1.padding = (0, 0)
        self.stem_pad, self.pool_pad = nn.ZeroPad2d((2, 3, 2, 3)), nn.ZeroPad2d((0, 1, 0, 1))
        self.pool = nn.MaxPool2d(3, 2)
        self.weight = nn.Parameter(torch.randn(512, 1000) * 0.03)
        self.bias = nn.Parameter(torch.randn(1000) * 0.03)

    def forward(self, x):
        net = self.net
        x = net.relu(net.bn1(net.conv1(self.stem_pad(x.permute(0, 3, 1, 2)))))
        x = net.layer4(net.layer3(net.layer2(net.layer1(self.pool(self.pool_pad(x))))))
        return torch.matmul(x.mean([2, 3]), self.weight) + self.bias


def resnet18v2():
    return Network(PreBasic, [2, 2, 2, 2], stem_activated=False)


def resnet50v2():
    return Network(PreBottleneck, [3, 4, 6, 3], stem_activated=False)


def plain18():
    return Network(PlainBlock, [2, 2, 2, 2], stem_activated=True)


def plain34():
    return Network(PlainBlock, [3, 4, 6, 3], stem_activated=True)


def resnet18_tf():
    return TensorFlowStyle()
