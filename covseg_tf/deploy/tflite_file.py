"""What is inside a TFLite file, read without running it."""

import collections

import numpy as np

from covseg_tf.edge.preprocessing import PreprocessingSpec

# A tensor that is always zero gets a scale near 1e-8, and LiteRT then aborts
# the process: refuse such a file here instead of crashing on a device.
_SMALLEST_SCALE = 1e-6


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
    counts: collections.Counter[str] = collections.Counter()
    for operator in tree.subgraphs[0].operators:
        code = tree.operatorCodes[operator.opcodeIndex]
        counts[names[max(code.builtinCode, code.deprecatedBuiltinCode)]] += 1
    return dict(sorted(counts.items()))


def check_tflite(data: bytes, spec: PreprocessingSpec) -> None:
    """Refuses a file that would crash LiteRT, or that reads grey levels wrongly.

    Args:
        data: Bytes of the TFLite file, with the signature `serve`.
        spec: The preprocessing it was made for.

    Raises:
        ValueError: If an 8-bit activation is always zero, an integer input is not
            the grey level (uint8) or that less 128 (int8), or an integer output is
            not the probability times 256, or that less 128.
    """
    check_scales(data)
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=data).get_signature_runner("serve")
    for name, output in runner.get_output_details().items():
        _check_output(name, output)
    (image,) = runner.get_input_details().values()
    if np.dtype(image["dtype"]).kind == "f":
        return
    scale, zero = image["quantization"]
    expected = np.iinfo(image["dtype"]).min
    if zero != expected or not np.isclose(scale, spec.scale, rtol=1e-3):
        raise ValueError(
            "The calibration images must span black (0) to white (255), so that "
            "raw pixels are the network's input. The converter found scale "
            f"{scale:.6f} and zero point {zero}, expected {spec.scale:.6f} and "
            f"{expected}."
        )


def _check_output(name, tensor):
    if np.dtype(tensor["dtype"]).kind == "f":
        return
    scale, zero = tensor["quantization"]
    expected = np.iinfo(tensor["dtype"]).min
    if zero != expected or not np.isclose(scale, 1 / 256, rtol=1e-6):
        raise ValueError(
            f"The output {name} must be a probability times 256, as a sigmoid's is. "
            f"The converter found scale {scale:.6f} and zero point {zero}; end the "
            "network in a sigmoid, or export with interface='float32'."
        )


def check_scales(data: bytes) -> None:
    """Refuses a file that holds an activation which is always zero.

    Args:
        data: Bytes of the TFLite file.

    Raises:
        ValueError: If there is one; it names the tensor.
    """
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
