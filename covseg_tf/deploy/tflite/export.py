"""Keras model to TFLite, in the forms that the converter makes."""

import contextlib
import io
import tempfile
import warnings
from collections.abc import Callable, Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from covseg_tf.deploy.calibration import calibration_inputs
from covseg_tf.deploy.flows import two_flows
from covseg_tf.deploy.tflite.contents import check_tflite
from covseg_tf.edge.preprocessing import PreprocessingSpec

QUANTIZATIONS = ("float32", "float16", "dynamic_range", "full_integer")
INTERFACES = ("float32", "uint8", "int8")


def export_tflite(
    model: keras.Model,
    spec: PreprocessingSpec,
    calibration: Sequence[np.ndarray] | None = None,
    quantize: str = "full_integer",
    interface: str | None = None,
    batch_size: int | None = 1,
) -> bytes:
    """Converts a dual-flow network to TFLite.

    The file has one signature, `serve`: input `image` `(batch, height, width, 1)`,
    outputs `lung` and `infection` of the same shape. Built-in operations only.

    Args:
        model: Keras model with dict outputs; `lung` and `infection` are kept.
        spec: The preprocessing the model was trained with.
        calibration: Prepared training images, uint8 `(height, width)`; about
            200, of all findings. Needed for `"full_integer"`, which measures the
            range of every tensor on them.
        quantize: `"float32"`, as trained; `"float16"`, weights in half precision;
            `"dynamic_range"`, weights in 8 bit, the rest measured as it runs;
            `"full_integer"`, all in 8 bit, no operation in floating point.
        interface: Type of input and outputs. `"uint8"`: grey levels in,
            probability times 256 out, so that a device needs no arithmetic of
            its own. `"int8"`: both less 128. `"float32"`: grey level times
            `spec.scale` in, probability out. Defaults to `"uint8"` for
            `"full_integer"`; the others have `"float32"` alone.
        batch_size: Images per call, or `None` for a batch that a caller may
            resize. A fixed one lets XNNPACK take the whole graph. Defaults to 1.

    Returns:
        Bytes of the TFLite file.

    Raises:
        ValueError: If an argument is out of range, the model lacks an output or
            fits another size, the calibration images are no prepared images or
            do not span black to white, or the result holds a tensor that is
            always zero.
    """
    interface = _checked_interface(quantize, interface)
    if batch_size is not None and batch_size < 1:
        raise ValueError(
            f"`batch_size` must be at least 1, or None. Received: {batch_size}"
        )
    network = two_flows(model, spec)
    integer = quantize == "full_integer"
    images = calibration_inputs(calibration, spec) if integer else ()
    shape = (batch_size, spec.height, spec.width, 1)
    data = convert_network(network, shape, quantize, interface, images)
    check_tflite(data, spec)
    return data


def convert_network(
    network: keras.Model,
    shape: tuple[int | None, ...],
    quantize: str,
    interface: str,
    images: Iterable[np.ndarray] = (),
) -> bytes:
    """Converts any Keras model of one image to TFLite, with the signature `serve`.

    Args:
        network: The model; its outputs' names are kept.
        shape: Of the input `image`, `(batch, height, width, channels)`.
        quantize: As for `export_tflite`.
        interface: As for `export_tflite`.
        images: Float32 arrays of that shape with a batch of 1, to calibrate on.

    Returns:
        Bytes of the TFLite file, not checked.
    """

    def set_up(converter):
        if quantize != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if quantize == "full_integer":
            kept = [{"image": image} for image in images]
            converter.representative_dataset = lambda: iter(kept)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.dtypes.as_dtype(interface)
            converter.inference_output_type = tf.dtypes.as_dtype(interface)

    return convert_archive(keras.export.ExportArchive(), network, shape, set_up)


def convert_archive(
    archive, network, shape: tuple[int | None, ...], set_up: Callable
) -> bytes:
    """Converts a network of Keras 3 or tf_keras, with the signature `serve`.

    Args:
        archive: An empty `ExportArchive` of the same Keras.
        network: The model.
        shape: Of the input `image`, float32.
        set_up: Called with the `tf.lite.TFLiteConverter` before it converts.

    Returns:
        Bytes of the TFLite file, not checked.
    """
    archive.track(network)
    signature = [tf.TensorSpec(shape, tf.float32, "image")]
    archive.add_endpoint(
        "serve", lambda image: network(image, training=False), signature
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
    ):
        # The converter starts TensorFlow's own interpreter to calibrate.
        warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated")
        # Through a SavedModel: it keeps the names of the outputs.
        archive.write_out(folder)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=["serve"]
        )
        set_up(converter)
        return converter.convert()


def _checked_interface(quantize, interface):
    if quantize not in QUANTIZATIONS:
        raise ValueError(
            f"`quantize` must be one of {', '.join(QUANTIZATIONS)}. "
            f"Received: {quantize!r}"
        )
    integer = quantize == "full_integer"
    interface = interface or ("uint8" if integer else "float32")
    if interface not in INTERFACES or (interface != "float32" and not integer):
        raise ValueError(
            f"`interface` must be one of {', '.join(INTERFACES)}, and 'float32' "
            f"unless `quantize` is 'full_integer'. Received: {interface!r} with "
            f"{quantize!r}"
        )
    return interface
