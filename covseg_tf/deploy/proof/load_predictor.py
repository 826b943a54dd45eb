"""Loads a network in any form that this package writes."""

import dataclasses
import pathlib

from covseg_tf.deploy.load_network import read_keras
from covseg_tf.deploy.proof.runtimes import (
    keras_predictor,
    onnx_predictor,
    saved_model_predictor,
    tflite_predictor,
)
from covseg_tf.evaluation.model_forms import artifact_form, bundle_predictor
from covseg_tf.evaluation.predictor import Predictor


def load_predictor(model: str | pathlib.Path, threads: int = 1) -> Predictor:
    """Loads a network in any form that this package writes.

    Side outputs are not computed. A network that takes any size is given
    256x256; grey levels are divided by 255 except where a bundle says
    otherwise. An integer TFLite file is given and gives what its quantization
    says.

    Args:
        model: A `.keras` file; the folder of a SavedModel, as `model.export`
            writes it; a `.tflite` file with a signature, float or integer; an
            `.onnx` file; a bundle's folder; or the name of a bundled model.
        threads: Int >= 1, threads of LiteRT or ONNX Runtime; TensorFlow keeps
            its own setting. Defaults to 1.

    Returns:
        A `Predictor`.

    Raises:
        ValueError: If there is no such file, it is no model, takes other than
            one grey channel, or gives no infection map.
    """
    if threads < 1:
        raise ValueError(f"`threads` must be at least 1. Received: {threads}")
    path = pathlib.Path(model)
    match artifact_form(model):
        case "bundle":
            return bundle_predictor(model, threads)
        case "saved_model":
            return saved_model_predictor(path)
        case "tflite":
            return tflite_predictor(path.read_bytes(), threads=threads, name=str(path))
        case "onnx":
            return onnx_predictor(path, threads)
    predictor = keras_predictor(read_keras(path), name=str(path))
    return dataclasses.replace(predictor, name=path.stem)
