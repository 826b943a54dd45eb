"""Keras model to full-integer TFLite."""

import contextlib
import io
import pathlib
import tempfile
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from covseg_tf.edge.preprocessing import PreprocessingSpec

# A tensor that is always zero gets a scale near 1e-8, and LiteRT then aborts
# the process: refuse such a file here instead of crashing on a device.
_SMALLEST_SCALE = 1e-6


def export_tflite(
    model: keras.Model,
    spec: PreprocessingSpec,
    calibration: Sequence[np.ndarray],
) -> bytes:
    """Converts a dual-flow network to full-integer TFLite.

    The file takes uint8 grey pixels `(1, height, width, 1)` as the spec
    prepares them and gives uint8 maps `(1, height, width, 1)`, probability
    times 256, under the names `lung` and `infection`: a device needs no
    arithmetic of its own. Static batch of 1, built-in int8 operations only.

    Args:
        model: Keras model with dict outputs; `lung` and `infection` are kept.
        spec: The preprocessing the model was trained with.
        calibration: Prepared training images, uint8 `(height, width)`; about
            200, of all findings.

    Returns:
        Bytes of the TFLite file.

    Raises:
        ValueError: If the model lacks an output or fits another size, the
            calibration images are no prepared images or do not span black to
            white, or the result holds a tensor that is always zero.
    """
    _check_arguments(model, spec, calibration)
    inference = keras.Model(
        model.inputs, {name: model.output[name] for name in ("lung", "infection")}
    )
    archive = keras.export.ExportArchive()
    archive.track(inference)
    signature = [
        tf.TensorSpec((1, spec.height, spec.width, 1), tf.float32, name="image")
    ]
    archive.add_endpoint("serve", lambda image: inference(image), signature)

    def representative_dataset():
        for pixels in calibration:
            yield {"image": pixels[None, :, :, None].astype(np.float32) * spec.scale}

    with tempfile.TemporaryDirectory() as folder:
        archive.write_out(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=["serve"]
        )
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative_dataset
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8
        with contextlib.redirect_stdout(io.StringIO()):
            data = converter.convert()
    _check_result(data, spec)
    return data


def read_schema(data: bytes):
    """Returns the TFLite file as its flatbuffer object tree."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(data), 0))


def operator_names(data: bytes) -> dict[str, int]:
    """Returns how often each operator occurs in a TFLite file."""
    from ai_edge_litert import schema_py_generated as schema

    names = {
        value: name
        for name, value in vars(schema.BuiltinOperator).items()
        if isinstance(value, int)
    }
    tree = read_schema(data)
    counts: dict[str, int] = {}
    for operator in tree.subgraphs[0].operators:
        code = tree.operatorCodes[operator.opcodeIndex]
        number = max(code.builtinCode, code.deprecatedBuiltinCode)
        counts[names[number]] = counts.get(names[number], 0) + 1
    return dict(sorted(counts.items()))


def save_tflite(data: bytes, path: str | pathlib.Path) -> None:
    """Writes the file.

    Raises:
        ValueError: If the path exists.
    """
    path = pathlib.Path(path)
    if path.exists():
        raise ValueError(f"{path}: exists and is not overwritten; give another path.")
    path.write_bytes(data)


def _check_arguments(model, spec, calibration):
    outputs = getattr(model, "output", None)
    if not isinstance(outputs, dict) or not {"lung", "infection"} <= set(outputs):
        names = sorted(outputs) if isinstance(outputs, dict) else type(outputs).__name__
        raise ValueError(
            "The model must give a dict with 'lung' and 'infection' (build "
            f"DualFlowSegmenter with lung_supervision=True). Received: {names}"
        )
    size = tuple(model.inputs[0].shape[1:])
    expected = (spec.height, spec.width, 1)
    if any(a not in (None, b) for a, b in zip(size, expected, strict=True)):
        raise ValueError(
            f"The model takes images {size}, the preprocessing spec makes "
            f"{expected}; use the spec the model was trained with."
        )
    shape = (spec.height, spec.width)
    if not len(calibration) or any(
        x.dtype != np.uint8 or x.shape != shape for x in calibration
    ):
        raise ValueError(
            f"`calibration` must hold uint8 images {shape} from `spec.apply`. "
            f"Received: {len(calibration)} images"
        )


def _check_result(data, spec):
    from ai_edge_litert import schema_py_generated as schema

    for tensor in read_schema(data).subgraphs[0].tensors:
        scales = getattr(tensor.quantization, "scale", None)
        # Per-channel scales belong to weights, where a dead filter is harmless;
        # a 32-bit bias has the product of two scales, small by nature.
        checked = (schema.TensorType.INT8, schema.TensorType.UINT8)
        if tensor.type not in checked or scales is None or len(scales) != 1:
            continue
        if scales[0] < _SMALLEST_SCALE:
            raise ValueError(
                f"The tensor {tensor.name.decode()} is always zero on the "
                "calibration images and would crash LiteRT: calibrate on images "
                "of all findings, or train longer."
            )
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=data).get_signature_runner("serve")
    scale, zero = next(iter(runner.get_input_details().values()))["quantization"]
    if zero != 0 or not np.isclose(scale, spec.scale, rtol=1e-3):
        raise ValueError(
            "The calibration images must span black (0) to white (255), so that "
            "raw pixels are the network's input. The converter found scale "
            f"{scale:.6f} and zero point {zero}, expected {spec.scale:.6f} and 0."
        )
