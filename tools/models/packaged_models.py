"""The trained models that come as ONNX files in packages, and what they take for a picture."""
import collections
import os

import numpy as np
import onnx

import preprocess

# thing, file: what fetch.sh calls the package, and the file in its folder.
# order, scale, shift: a picture's bytes become scale * byte + shift, in this order of channels; `A` is one of ones.
# rows: the file, written for one picture, takes any number of them once its shapes no longer say one.
# dims: sizes for free dimensions other than the batch.
Packaged = collections.namedtuple('Packaged', 'thing file order scale shift rows dims', defaults=(False, {}))

SIGNED, IMAGENET = (1 / 128, -127 / 128), (1 / 57.375, -2.0357)
MODELS = {
    'face_age': Packaged('faces', 'fr_age.onnx', 'RGB', *IMAGENET, rows=True),
    'face_boxes': Packaged('faces', 'fr_detect.onnx', 'RGB', *SIGNED, rows=True),
    'face_densenet121': Packaged('faces', 'fr_expression.onnx', 'RGB', 1 / 255, 0, rows=True),
    'face_eye': Packaged('faces', 'fr_eye.onnx', 'L', 1 / 255, 0, rows=True),
    'face_feature': Packaged('faces', 'fr_feature.onnx', 'RGB', *SIGNED),
    'face_gender': Packaged('faces', 'fr_gender.onnx', 'RGB', *IMAGENET),
    'face_landmark': Packaged('faces', 'fr_landmark.onnx', 'L', 1 / 256, 0, rows=True),
    'face_liveness': Packaged('faces', 'fr_liveness.onnx', 'BGR', 1, 0, rows=True),
    'face_pose': Packaged('faces', 'fr_pose.onnx', 'RGB', *IMAGENET),
    'yolo11n': Packaged('yolo11', 'yolo11n.onnx', 'RGB', 1 / 255, 0, dims=dict(height=640, width=640)),
    'yolo11n_wide': Packaged('yolo11', 'yolo11n.onnx', 'RGB', 1 / 255, 0, dims=dict(height=384, width=640)),
    'yolo11n_pose': Packaged('yolo11', 'yolo11n-pose.onnx', 'RGB', 1 / 255, 0),
    'yolo11n_seg': Packaged('yolo11', 'yolo11n-seg.onnx', 'RGB', 1 / 255, 0),
    'retinaface': Packaged('retinaface', 'mnet.25_v1.onnx', 'RGB', 1, 0, rows=True),
    'retinaface_640': Packaged('retinaface', 'mnet.25_v2.onnx', 'RGB', 1, 0, rows=True),
    'mlsd_large': Packaged('mlsd', 'mlsd_512x512_large.onnx', 'RGBA', 1, 0),
    'mlsd_tiny': Packaged('mlsd', 'mlsd_512x512_tiny.onnx', 'RGBA', 1, 0),
    'mlsd_large_320': Packaged('mlsd', 'mlsd_320x320_large.onnx', 'RGBA', 1, 0),
    'mlsd_tiny_320': Packaged('mlsd', 'mlsd_320x320_tiny.onnx', 'RGBA', 1, 0),
    'blazeface_back': Packaged('blazeface', 'face_detection_back_256x256_barracuda.onnx', 'RGB', 2 / 255, -1),
    'blazeface_front': Packaged('blazeface', 'face_detection_front_128x128_barracuda.onnx', 'RGB', 2 / 255, -1),
    'u2netp': Packaged('u2netp', 'u2netp.onnx', 'RGB', 1 / 255, 0, rows=True),
    'modnet': Packaged('modnet', 'model.onnx', 'RGB', 2 / 255, -1, dims=dict(height=512, width=512)),
    'modnet_tall': Packaged('modnet', 'model.onnx', 'RGB', 2 / 255, -1, dims=dict(height=672, width=512)),
}


def input_of(graph):
    """The picture among the inputs, which may list the weights as well."""
    weights = {w.name for w in graph.initializer}
    return next(v for v in graph.input if v.name not in weights)


class Shape:
    """What a model file says of its picture: name of the input, size, layout, whether any number of rows fits."""

    def __init__(self, model, dims):
        value = input_of(model.graph)
        shape = [d.dim_value or dims.get(d.dim_param, 0) for d in value.type.tensor_type.shape.dim]
        self.name, self.any_batch = value.name, shape[0] == 0
        self.layout = 'nchw' if shape[1] in (1, 3) else 'nhwc'
        self.size = shape[2:4] if self.layout == 'nchw' else shape[1:3]
        self.outputs = [v.name for v in model.graph.output]


def free_rows(model):
    """Lets the shapes of a model written for one picture say any number N."""
    for value in [input_of(model.graph), *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = 'N'
    # What lies between says one, too; readers infer it anew.
    del model.graph.value_info[:]
    return model


def pictures(paths, row, shape):
    """The photos as the model wants them."""
    rgb = preprocess.batch_of(paths, 'unit', 'nhwc', *shape.size) * np.float32(255)
    planes = dict(zip('RGB', np.moveaxis(rgb, -1, 0)), A=np.ones(rgb.shape[:3], np.float32))
    planes['L'] = 0.299 * planes['R'] + 0.587 * planes['G'] + 0.114 * planes['B']
    tensor = np.stack([planes[c] * (1 if c == 'A' else row.scale) + (0 if c == 'A' else row.shift) for c in row.order],
                      axis=1 if shape.layout == 'nchw' else 3)
    return tensor.astype(np.float32)


def load(name, folder, any_batch):
    """The model of a row, out of the folder that fetch.sh printed."""
    model = onnx.load(os.path.join(folder, MODELS[name].file))
    return free_rows(model) if any_batch else model
