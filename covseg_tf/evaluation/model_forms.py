"""Which form a network's file has; one that is a bundle needs no TensorFlow."""

import pathlib

import numpy as np

from covseg_tf.edge import Segmenter
from covseg_tf.edge.bundle import MANIFEST, MODEL, bundled_models
from covseg_tf.evaluation.predictor import Predictor

_FORMS = (
    "a .keras file, a SavedModel's folder, a .tflite or .onnx file, a bundle's folder "
    "or the name of a bundled model"
)


def artifact_form(model: str | pathlib.Path) -> str:
    """Returns `"bundle"`, `"saved_model"`, `"tflite"`, `"onnx"` or `"keras"`.

    Args:
        model: As for `covseg_tf.deploy.load_predictor`.

    Raises:
        ValueError: If there is no such file, or by its name it is none of these.
    """
    path = pathlib.Path(model)
    folder = path.parent if path.name in (MANIFEST, MODEL) else path
    if str(model) in bundled_models() or (folder / MANIFEST).is_file():
        return "bundle"
    if not path.exists():
        names = ", ".join(bundled_models())
        raise ValueError(f"{model}: no such model. Expected {_FORMS} ({names}).")
    if (path / "saved_model.pb").is_file():
        return "saved_model"
    if path.suffix in (".tflite", ".onnx", ".keras"):
        return path.suffix[1:]
    raise ValueError(f"{model}: not a model. Expected {_FORMS}.")


def bundle_predictor(model: str | pathlib.Path, threads: int = 1) -> Predictor:
    """Returns a bundle ready to be scored, as `Segmenter.run` runs it.

    Args:
        model: A bundle's folder, or the name of a bundled model.
        threads: Int >= 1, threads of LiteRT.

    Raises:
        ValueError: If there is no such bundle, or it is damaged.
    """
    segmenter = Segmenter(model, threads, guard=False)
    bundle = segmenter.bundle

    def run(pixels):
        maps = segmenter.run(pixels)
        return {flow: levels / np.float32(256) for flow, levels in maps.items()}

    flows = tuple(bundle.labels)
    return Predictor(bundle.name, bundle.preprocessing, flows, bundle.threshold, run)
