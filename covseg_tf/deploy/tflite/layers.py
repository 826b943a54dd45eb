"""The layers of a network, found again in its TFLite file."""

import functools
import re

from covseg_tf.deploy.tflite.contents import named_operators, read_schema

_WEIGHTED = re.compile(r"/(convolution|depthwise\w*|MatMul)\d*$")


def layer_tensors(model: bytes) -> dict[str, tuple[str, ...]]:
    """Groups the operators of a file into layers of the network.

    An operator belongs to the layer in the name of its output tensor; a fused
    one (convolution, normalization, activation) to its convolution. The name
    is Keras's, below the model's own, sometimes with a number that TensorFlow
    appends (`stem_conv_1`). Additions, products, concatenations and resizes are
    layers of their own: each can be kept in float as well. What computes an
    output is named after it (`lung`, `infection`).

    Args:
        model: Bytes of a TFLite file.

    Returns:
        Dict from layer to the names of its operators' output tensors, in the
        order of the file.
    """
    return _grouped(model, lambda tensor, _: tensor)


def layer_operators(model: bytes) -> dict[str, str]:
    """Returns the TFLite operators of every layer, `"CONV_2D+LOGISTIC"`.

    Args:
        model: Bytes of a TFLite file.
    """
    layers = _grouped(model, lambda _, operator: operator)
    return {layer: "+".join(dict.fromkeys(names)) for layer, names in layers.items()}


def _grouped(model, pick):
    layers: dict[str, tuple[str, ...]] = {}
    for layer, *operator in _operators(bytes(model)):
        layers[layer] = (*layers.get(layer, ()), pick(*operator))
    return layers


# A search asks the same file hundreds of times, and the reader is slow.
@functools.lru_cache(maxsize=4)
def _operators(model):
    tree = read_schema(model)
    graph = tree.subgraphs[0]
    outputs = {
        item.tensorIndex: item.name.decode()
        for signature in tree.signatureDefs or ()
        for item in signature.outputs
    }
    rows = []
    for kind, operator in named_operators(tree):
        index = operator.outputs[0]
        tensor = graph.tensors[index].name.decode()
        rows.append((outputs.get(index) or _layer(tensor), tensor, kind))
    return tuple(rows)


def _layer(tensor):
    parts = tensor.split(";")
    part = next((p for p in parts if _WEIGHTED.search(p)), parts[-1])
    # The last step is TensorFlow's operation, the first the model's own name.
    part = re.sub(r"/resize/\w+$|/[^/]+$", "", part)
    return part.partition("/")[2] or part
