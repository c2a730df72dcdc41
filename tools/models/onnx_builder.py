"""A small builder of ONNX graphs, shared by the converters."""
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Builder:
    """Collects nodes and weights in order; every node is named after its first output."""

    def __init__(self, opset):
        self.opset = opset
        self.nodes, self.weights, self.inputs, self.outputs = [], [], [], []

    def weight(self, name, array):
        self.weights.append(numpy_helper.from_array(np.asarray(array, order='C'), name))
        return name

    def node(self, op, inputs, output, **attributes):
        self.several(op, inputs, [output], **attributes)
        return output

    def several(self, op, inputs, outputs, **attributes):
        self.nodes.append(helper.make_node(op, inputs, outputs, name=outputs[0], **attributes))

    def input(self, name, shape, element=TensorProto.FLOAT):
        self.inputs.append(helper.make_tensor_value_info(name, element, shape))
        return name

    def output(self, name, shape, element=TensorProto.FLOAT):
        self.outputs.append(helper.make_tensor_value_info(name, element, shape))

    def batch_norm(self, x, output, gamma, beta, mean, variance, epsilon):
        parameters = dict(gamma=gamma, beta=beta, mean=mean, variance=variance)
        names = [self.weight(f'{output}.{key}', value) for key, value in parameters.items()]
        return self.node('BatchNormalization', [x] + names, output, epsilon=epsilon)

    def save(self, path, graph_name, producer):
        graph = helper.make_graph(self.nodes, graph_name, self.inputs, self.outputs, self.weights)
        model = helper.make_model(graph, producer_name=producer, opset_imports=[helper.make_opsetid('', self.opset)])
        # The oldest IR version with the opset's features, so that old readers take the file too.
        model.ir_version = 7
        if self.opset <= onnx.defs.onnx_opset_version():  # the package's checker knows none that came later
            onnx.checker.check_model(model)
        onnx.save(model, path)


def batch_argument(text):
    """`--batch`: a positive number, or the symbol N."""
    return 'N' if text == 'N' else int(text)
