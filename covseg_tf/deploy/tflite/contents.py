"""What is inside a TFLite file, read without running it."""

import collections
from collections.abc import Iterator
from typing import Any

import numpy as np

from covseg_tf.edge.preprocessing import PreprocessingSpec

# A tensor that is always zero gets a scale near 1e-8, and LiteRT then aborts
# the process: refuse such a file here instead of crashing on a device.
_SMALLEST_SCALE = 1e-6


def read_schema(data: bytes):
    """Returns the TFLite file `data` as its flatbuffer object tree."""
    from ai_edge_litert import schema_py_generated as schema

    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(data), 0))


def named_operators(tree) -> Iterator[tuple[str, Any]]:
    """Gives name and record of every operator of a tree, in the file's order."""
    from ai_edge_litert import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.BuiltinOperator).items() if k[0] != "_"}
    for operator in tree.subgraphs[0].operators:
        code = tree.operatorCodes[operator.opcodeIndex]
        yield names[max(code.builtinCode, code.deprecatedBuiltinCode)], operator


def operator_names(data: bytes) -> dict[str, int]:
    """Returns how often each operator occurs in the TFLite file `data`."""
    counts = collections.Counter(name for name, _ in named_operators(read_schema(data)))
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
        _check_levels(
            output,
            1 / 256,
            1e-6,
            f"The output {name} must be a probability times 256, as a sigmoid's is: "
            "end the network in a sigmoid, or export with interface='float32'.",
        )
    (image,) = runner.get_input_details().values()
    _check_levels(
        image,
        spec.scale,
        1e-3,
        "The calibration images must span black (0) to white (255), so that raw "
        "pixels are the network's input.",
    )


def _check_levels(tensor, expected_scale, tolerance, rule):
    """The smallest integer stands for 0, and one step for the expected scale."""
    if np.dtype(tensor["dtype"]).kind == "f":
        return
    scale, zero = tensor["quantization"]
    lowest = np.iinfo(tensor["dtype"]).min
    if zero != lowest or not np.isclose(scale, expected_scale, tolerance):
        raise ValueError(
            f"{rule} The converter found scale {scale:.6f} and zero point {zero}, "
            f"expected {expected_scale:.6f} and {lowest}."
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
