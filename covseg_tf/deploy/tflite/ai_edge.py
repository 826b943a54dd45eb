"""Float TFLite to quantized TFLite with ai-edge-quantizer, layer by layer."""

import contextlib
import difflib
import functools
import io
import re
import warnings
from collections.abc import Mapping, Sequence

import numpy as np

from covseg_tf.deploy.calibration import calibration_inputs
from covseg_tf.deploy.packages import needs
from covseg_tf.deploy.tflite.contents import check_scales, check_tflite, read_schema
from covseg_tf.deploy.tflite.layers import layer_tensors
from covseg_tf.edge.preprocessing import PreprocessingSpec

METHODS = ("float16", "dynamic_range", "full_integer")


def quantize_with_ai_edge(
    model: bytes,
    method: str,
    calibration: Sequence[np.ndarray] | None = None,
    spec: PreprocessingSpec | None = None,
    keep_float: Sequence[str] = (),
) -> bytes:
    """Quantizes a float TFLite file without going through TensorFlow again.

    The alternative to the quantization of `export_tflite`: it starts from the
    float file, takes seconds, and can leave layers in float. Unlike the
    package's own `calibrate`, which averages the ranges over the images, the
    ranges here are the smallest and largest value seen, as the TensorFlow
    converter takes them.

    `"full_integer"` gives uint8 input and outputs as `export_tflite` does, no
    operation in float. With `keep_float` the input and outputs are float32,
    and QUANTIZE and DEQUANTIZE stand at every border of a kept layer.

    Args:
        model: Bytes of a float32 TFLite file with the signature `serve`, from
            `export_tflite(model, spec, quantize="float32")`.
        method: `"float16"`, weights in half precision; `"dynamic_range"`,
            weights of convolutions in 8 bit; `"full_integer"`, all in 8 bit.
        calibration: For `"full_integer"`: prepared training images, uint8
            `(height, width)`, black and white among them.
        spec: For `"full_integer"`: the preprocessing of the model.
        keep_float: Names of layers that stay in float, see `layer_tensors`.

    Returns:
        Bytes of the TFLite file.

    Raises:
        ValueError: If `method` or a layer is unknown, the file is no float32
            TFLite file, the calibration images do not fit, the result holds a
            tensor that is always zero, or ai-edge-quantizer is not installed.

    Source: https://github.com/google-ai-edge/ai-edge-quantizer
    """
    if method not in METHODS:
        raise ValueError(
            f"`method` must be one of {', '.join(METHODS)}. Received: {method!r}"
        )
    if method != "full_integer":
        return _quantize(model, method, None, keep_float, "float32")
    if spec is None:
        raise ValueError(
            "method 'full_integer' needs `spec`, the preprocessing of the model. "
            "Received: spec=None"
        )
    ranges = calibrate_ranges(model, calibration, spec)
    data = quantize_in_ranges(
        model, ranges, keep_float, "float32" if keep_float else "uint8"
    )
    check_tflite(data, spec)
    return data


def calibrate_ranges(
    model: bytes, calibration: Sequence[np.ndarray] | None, spec: PreprocessingSpec
) -> dict[str, Mapping[str, np.ndarray]]:
    """Measures the range of every tensor, once for many quantizations.

    Args:
        model: Bytes of the float32 TFLite file.
        calibration: Prepared images, uint8 `(height, width)`.
        spec: The preprocessing of the model.

    Returns:
        Dict from tensor to `{"min": ..., "max": ...}` over all images.

    Raises:
        ValueError: If the file is no float32 TFLite file or the images do not
            fit.
    """
    images = [{"image": image} for image in calibration_inputs(calibration, spec)]
    with needs("quant"):
        from ai_edge_quantizer import calibrator, recipe_manager
        from ai_edge_quantizer.utils import qsv_utils
    _check_float(bytes(model))
    with _silence():
        measure = calibrator.Calibrator(
            model,
            num_threads=1,
            # Counts inside the runtime: six times as fast as keeping all tensors.
            mode=calibrator.CalibrationMode.CALIBRATION_PROFILER_BASED,
            qsv_update_func=qsv_utils.min_max_update,
        )
        measure.calibrate({"serve": images}, recipe_manager.RecipeManager())
    return measure.get_model_qsvs()


def quantize_in_ranges(
    model: bytes,
    ranges: Mapping[str, Mapping[str, np.ndarray]],
    keep_float: Sequence[str] = (),
    interface: str = "float32",
) -> bytes:
    """Quantizes to 8 bit with ranges that are already measured.

    Args:
        model: Bytes of the float32 TFLite file.
        ranges: From `calibrate_ranges` on the same file.
        keep_float: Names of layers that stay in float.
        interface: `"float32"`, or `"uint8"` where no layer is kept.

    Returns:
        Bytes of the TFLite file.

    Raises:
        ValueError: If a layer is unknown, the interface does not fit, or the
            result holds a tensor that is always zero.
    """
    if interface not in ("float32", "uint8") or (interface == "uint8" and keep_float):
        raise ValueError(
            "`interface` must be 'float32', or 'uint8' without `keep_float`. "
            f"Received: {interface!r} with keep_float={tuple(keep_float)}"
        )
    data = _quantize(model, "full_integer", ranges, keep_float, interface)
    check_scales(data)
    return data


def _quantize(model, method, ranges, keep_float, interface):
    with needs("quant"):
        from ai_edge_quantizer import quantizer
    _check_float(bytes(model))
    kept = _kept_tensors(model, keep_float)
    work = quantizer.Quantizer(model)
    _add_method(work, method)
    _add_interface(work, interface)
    if kept:
        regex = "|".join(re.escape(tensor) for tensor in kept)
        work.update_quantization_recipe(
            f"^({regex});$", "*", algorithm_key=quantizer.AlgorithmName.NO_QUANTIZE
        )
    with _silence():
        result = work.quantize(
            ranges, enable_progress_bar=False, enable_progress_report=False
        )
    return bytes(result.quantized_model)


def _add_method(work, method):
    from ai_edge_quantizer import quantizer

    if method == "float16":
        work.add_weight_only_config(
            ".*", "*", 16, algorithm_key=quantizer.AlgorithmName.FLOAT_CASTING
        )
    elif method == "dynamic_range":
        work.add_dynamic_config(".*", "*", 8)
    else:
        work.add_static_config(".*", "*", 8, 8)


def _add_interface(work, interface):
    """The recipe's input and output are operators of their own."""
    from ai_edge_quantizer import qtyping, quantizer

    for border in ("INPUT", "OUTPUT"):
        if interface == "float32":
            none = quantizer.AlgorithmName.NO_QUANTIZE
            work.update_quantization_recipe(".*", border, algorithm_key=none)
            continue
        config = qtyping.OpQuantizationConfig(
            activation_tensor_config=qtyping.TensorQuantizationConfig(
                8, symmetric=False, dtype=qtyping.TensorDataType.UINT
            ),
            # Not used at a border, but the quantizer's policy asks for it.
            weight_tensor_config=qtyping.TensorQuantizationConfig(8),
            compute_precision=qtyping.ComputePrecision.INTEGER,
        )
        work.update_quantization_recipe(".*", border, config)


def _kept_tensors(model, keep_float):
    if isinstance(keep_float, str):
        keep_float = (keep_float,)
    layers = layer_tensors(model)
    for layer in keep_float:
        if layer not in layers:
            near = difflib.get_close_matches(layer, layers, 3) or list(layers)[:3]
            raise ValueError(
                f"`keep_float`: the file has no layer {layer!r}. Did you mean "
                f"{', '.join(near)}? `layer_tensors` lists all {len(layers)}."
            )
    return [tensor for layer in keep_float for tensor in layers[layer]]


@functools.lru_cache(maxsize=4)
def _check_float(model):
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter

    try:
        signatures = Interpreter(model_content=model).get_signature_list()
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"`model` is no TFLite file: {error}") from None
    low = (schema.TensorType.INT8, schema.TensorType.UINT8, schema.TensorType.FLOAT16)
    quantized = any(t.type in low for t in read_schema(model).subgraphs[0].tensors)
    if quantized or "serve" not in signatures:
        raise ValueError(
            "`model` must be a float32 file with the signature 'serve', from "
            "export_tflite(..., quantize='float32'). Received: "
            f"{'a quantized file' if quantized else sorted(signatures)}"
        )


@contextlib.contextmanager
def _silence():
    """The quantizer draws progress bars and warns of its own debugging reader."""
    with (
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
        warnings.catch_warnings(),
        np.errstate(invalid="ignore"),  # a dead tensor; check_scales refuses it
    ):
        text = ".*Enabling `experimental_preserve_all_tensors`"
        warnings.filterwarnings("ignore", text, UserWarning)
        yield
