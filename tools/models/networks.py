"""The networks that export_torch.py knows: torchvision's, and those of ours that it does not have."""
import torchvision
from torch import nn
from torchvision.models import segmentation

import resnets
import unets
from others import KIND_OF_OTHERS, OTHERS

# Kinds of input: channels and extents, and whether channels come last. Networks not named take the first.
KINDS = {'imagenet': ((3, 224, 224), False), 'cifar': ((3, 32, 32), False), 'imagenet_nhwc': ((3, 224, 224), True),
         'inception': ((3, 299, 299), False), 'thumbnail': ((3, 64, 64), False), 'sound': ((1, 8000), False),
         'film': ((3, 8, 64, 64), False)}

RESIDUAL = ['resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152']
CIFAR_DEPTHS = {'cifar20': 3, 'cifar32': 5, 'cifar44': 7, 'cifar56': 9, 'cifar110': 18, 'cifar1202': 200}
OURS = {
    'resnet18v2': resnets.resnet18v2,
    'resnet50v2': resnets.resnet50v2,
    'plain18': resnets.plain18,
    'plain34': resnets.plain34,
    'resnet18_tf': resnets.resnet18_tf,
    **{name: lambda depth=depth: resnets.CifarNetwork(depth) for name, depth in CIFAR_DEPTHS.items()},
}

# What stands beside the residual networks: names of torchvision, and the arguments that leave training's extras out.
NO_TRAINING_HEADS = dict(aux_logits=False, init_weights=False)
BESIDE = {
    'alexnet': {}, 'vgg16': {}, 'vgg19': {}, 'vgg16_bn': {}, 'squeezenet1_1': {}, 'googlenet': NO_TRAINING_HEADS,
    'inception_v3': NO_TRAINING_HEADS, 'densenet121': {}, 'mobilenet_v2': {}, 'mobilenet_v3_large': {},
    'mobilenet_v3_small': {}, 'shufflenet_v2_x1_0': {}, 'mnasnet1_0': {}, 'resnext50_32x4d': {}, 'wide_resnet50_2': {},
    'efficientnet_b0': {}, 'regnet_y_400mf': {}, 'regnet_x_400mf': {}, 'convnext_tiny': {},
}


class Pixels(nn.Module):
    """Of the segmentation networks' dictionary of outputs, the one that counts."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, x):
        return self.network(x)['out']


def segmenter(name):
    return lambda: Pixels(getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=21))


SEGMENTERS = {
    'fcn_resnet50': segmenter('fcn_resnet50'),
    'deeplabv3_resnet50': segmenter('deeplabv3_resnet50'),
    'deeplabv3_resnet101': segmenter('deeplabv3_resnet101'),
    'unet_transposed': lambda: unets.UNet(resize=False),
    'unet_resized': lambda: unets.UNet(resize=True),
}

GROUPS = {
    'family': RESIDUAL + [name for name in OURS if name == 'cifar20' or name not in CIFAR_DEPTHS],
    'cifar': [name for name in CIFAR_DEPTHS if name != 'cifar20'],
    'beside': list(BESIDE),
    'pixels': list(SEGMENTERS),
    'others': list(OTHERS),
}
NETWORKS = [name for names in GROUPS.values() for name in names]

KIND_OF = {'resnet18_tf': 'imagenet_nhwc', 'inception_v3': 'inception', **{name: 'cifar' for name in CIFAR_DEPTHS},
           **KIND_OF_OTHERS}


def build(network):
    """The network with torch's random weights."""
    if network in BESIDE:
        model = getattr(torchvision.models, network)(weights=None, **BESIDE[network])
    elif network in RESIDUAL:
        model = getattr(torchvision.models, network)(weights=None)
    else:
        model = (OURS | SEGMENTERS | OTHERS)[network]()
    for module in model.modules():
        # Training starts with blocks that hardly count; trained ones do.
        if hasattr(module, 'layer_scale'):
            nn.init.constant_(module.layer_scale, 0.3)
    return model


def last_norms(model):
    """The BatchNorm that ends each residual branch."""
    for block in model.modules():
        if hasattr(block, 'conv2') and hasattr(block, 'bn2'):
            yield block.bn3 if hasattr(block, 'bn3') else block.bn2
        for path, used in (('conv', 'use_res_connect'), ('layers', 'apply_residual'), ('block', 'use_res_connect')):
            if getattr(block, used, False) and hasattr(block, path):
                yield [m for m in getattr(block, path).modules() if isinstance(m, nn.BatchNorm2d)][-1]
        if type(block).__name__ == 'ResBottleneckBlock':
            yield [m for m in block.f.modules() if isinstance(m, nn.BatchNorm2d)][-1]
