"""What an artifact is, without running it."""

import collections
import pathlib

from covseg_tf.deploy.load_network import read_keras
from covseg_tf.deploy.proof.load_predictor import load_predictor
from covseg_tf.deploy.tflite.contents import operator_names
from covseg_tf.edge.bundle import load_bundle
from covseg_tf.evaluation.model_forms import artifact_form


def describe_artifact(model: str | pathlib.Path) -> tuple[str, int, dict[str, int]]:
    """Returns form, size and operators of an artifact.

    Args:
        model: As for `load_predictor`.

    Returns:
        `(form, bytes, operators)`: form is `"tflite"`, `"bundle"`,
        `"saved_model"`, `"onnx"` or `"keras"`; operators is a dict from operator
        to how often it occurs, for Keras from layer class.

    Raises:
        ValueError: As `load_predictor`.
    """
    load_predictor(model)  # refuses what is missing or damaged, in clear words
    form, path = artifact_form(model), pathlib.Path(model)
    match form:
        case "bundle":
            bundle = load_bundle(model)
            path, operators = bundle.folder, operator_names(bundle.model)
        case "tflite":
            operators = operator_names(path.read_bytes())
        case "onnx":
            operators = _onnx_operators(path)
        case "keras":
            operators = _keras_layers(path)
        case _:
            operators = _graph_operators(path)
    return form, _size(path), operators


def _size(path):
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    return sum(file.stat().st_size for file in files)


def _count(names):
    return dict(sorted(collections.Counter(names).items()))


def _onnx_operators(path):
    import onnx

    return _count(node.op_type for node in onnx.load(str(path)).graph.node)


def _graph_operators(path):
    from tensorflow.core.protobuf import saved_model_pb2

    data = (path / "saved_model.pb").read_bytes()
    graph = saved_model_pb2.SavedModel.FromString(data).meta_graphs[0].graph_def
    nodes = list(graph.node)
    for function in graph.library.function:
        nodes += function.node_def
    return _count(node.op for node in nodes)


def _keras_layers(path):
    # A layer that an attribute holds as well is listed twice.
    layers = read_keras(path)._flatten_layers(include_self=False)
    found = {id(layer): type(layer).__name__ for layer in layers}
    return _count(found.values())
