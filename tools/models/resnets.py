"""The networks of the residual-learning papers that torchvision does not have: pre-activation and plain ones."""
from torch import flatten, nn


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


def resnet18v2():
    return Network(PreBasic, [2, 2, 2, 2], stem_activated=False)


def resnet50v2():
    return Network(PreBottleneck, [3, 4, 6, 3], stem_activated=False)


def plain18():
    return Network(PlainBlock, [2, 2, 2, 2], stem_activated=True)


def plain34():
    return Network(PlainBlock, [3, 4, 6, 3], stem_activated=True)
