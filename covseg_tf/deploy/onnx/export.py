"""Keras model to ONNX, by Keras' own exporter."""

import contextlib
import io
import os
import pathlib
import tempfile
import warnings

import keras

from covseg_tf.deploy.flows import two_flows
from covseg_tf.deploy.packages import needs
from covseg_tf.edge.preprocessing import PreprocessingSpec


def export_onnx(
    model: keras.Model, spec: PreprocessingSpec, path: str | pathlib.Path
) -> pathlib.Path:
    """Writes an ONNX file for ONNX Runtime, OpenVINO, TensorRT or a browser.

    Input `image`, float32 `(batch, height, width, 1)`, grey level times
    `spec.scale`, any batch; outputs `lung` and `infection` of the same shape.

    Args:
        model: Keras model with the outputs `lung` and `infection`.
        spec: The preprocessing the model was trained with.
        path: The file, `NAME.onnx`; must not exist.

    Returns:
        Path of the file.

    Raises:
        ValueError: If the file exists or has another suffix, the model does not
            fit, or onnx or tf2onnx is missing.
    """
    path = pathlib.Path(path)
    if path.suffix != ".onnx":
        raise ValueError(f"{path}: give a name that ends in .onnx.")
    if path.exists():
        raise ValueError(f"{path}: exists and is not overwritten; remove it first.")
    network = two_flows(model, spec)
    with needs("onnx"):
        import onnx  # noqa: F401
        import tf2onnx  # noqa: F401
    signature = [
        keras.InputSpec("float32", (None, spec.height, spec.width, 1), name="image")
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        draft = pathlib.Path(folder, path.name)
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            # Keras patches np.object back for tf2onnx, and NumPy warns of it.
            warnings.filterwarnings("ignore", "In the future `np.object`")
            network.export(
                draft, format="onnx", input_signature=signature, verbose=False
            )
        os.replace(draft, path)
    return path
