"""Looks at a TFLite file before LiteRT does, which trusts what it is given.

A checksum says that a file is the one that was listed, not that it means well: in
native code a wrong offset or index ends the process, or worse.
"""

import itertools
import math
import struct
from typing import NamedTuple

from covseg_tf.edge.flatbuffer import Table, number

# Of `tensorflow/compiler/mlir/lite/schema/schema.fbs`. Operators of plain arithmetic:
# none runs another graph, keeps a state, looks up a table or is found by its name.
OPERATORS = {
    **{0: "ADD", 1: "AVERAGE_POOL_2D", 2: "CONCATENATION", 3: "CONV_2D"},
    **{4: "DEPTHWISE_CONV_2D", 6: "DEQUANTIZE", 9: "FULLY_CONNECTED", 14: "LOGISTIC"},
    **{17: "MAX_POOL_2D", 18: "MUL", 19: "RELU", 21: "RELU6", 22: "RESHAPE"},
    **{23: "RESIZE_BILINEAR", 25: "SOFTMAX", 28: "TANH", 34: "PAD", 39: "TRANSPOSE"},
    **{40: "MEAN", 41: "SUB", 42: "DIV", 43: "SQUEEZE", 45: "STRIDED_SLICE"},
    **{47: "EXP", 53: "CAST", 55: "MAXIMUM", 57: "MINIMUM", 59: "NEG", 60: "PADV2"},
    **{67: "TRANSPOSE_CONV", 70: "EXPAND_DIMS", 74: "SUM", 75: "SQRT", 76: "RSQRT"},
    **{78: "POW", 82: "REDUCE_MAX", 97: "RESIZE_NEAREST_NEIGHBOR", 98: "LEAKY_RELU"},
    **{99: "SQUARED_DIFFERENCE", 101: "ABS", 114: "QUANTIZE", 117: "HARD_SWISH"},
    **{126: "BATCH_MATMUL", 150: "GELU", 5: "DEPTH_TO_SPACE", 8: "FLOOR", 49: "SPLIT"},
    **{11: "L2_NORMALIZATION", 26: "SPACE_TO_DEPTH", 54: "PRELU", 65: "SLICE"},
    **{73: "LOG", 77: "SHAPE", 83: "PACK", 111: "ELU", 116: "ROUND"},
    **{37: "BATCH_TO_SPACE_ND", 38: "SPACE_TO_BATCH_ND"},
}
# Bytes of a value, by type: float32, float16, int32, uint8, int64, bool, int16, int8.
_BYTES = {0: 4, 1: 2, 2: 4, 3: 1, 4: 8, 6: 1, 7: 2, 9: 1}
_MOST, _MOST_BYTES = 20_000, 1 << 30
# Operators whose output is as large as its inputs, spread, say.
_SPREAD = {"ADD", "SUB", "MUL", "DIV", "MAXIMUM", "MINIMUM", "POW", "PRELU"}
_SPREAD |= {"SQUARED_DIFFERENCE"}
# Options that hold a vector, of 4 bytes an element: of RESHAPE and of SQUEEZE.
_WITH_VECTOR = (17, 30)
# Options that must state strides, by type: the fields of both strides.
_STRIDES = {1: (1, 2), 2: (1, 2), 5: (1, 2), 49: (1, 2)}


def verify_model(data: bytes) -> None:
    """Refuses a TFLite file that LiteRT must not be given.

    Each offset, index and size in it lies within it; it has one graph, in which each
    operator works on what came before; no custom operator; tensors of stated size
    that take at most 1 GiB.

    Args:
        data: The file.

    Raises:
        ValueError: With the reason.
    """
    try:
        _verify(data)
    except ValueError as error:
        raise ValueError(
            f"the model is no TFLite file that is run here ({error}); export it again."
        ) from None


def _verify(data):
    if data[4:8] != b"TFL3":
        raise ValueError("it has no mark of one")
    model = Table(data, number(data, "I", 0))
    if model.has(8) or model.has(9):
        raise ValueError("it has parts in other files")
    model.text(3)
    model.numbers(5, "I")
    codes = [_code(each) for each in model.tables(1, _MOST)]
    buffers = [_buffer(each, len(data)) for each in model.tables(4, _MOST)]
    for metadata in model.tables(6, _MOST):
        metadata.text(0)
        if not metadata.number(1, "I") < len(buffers):
            raise ValueError("metadata in no buffer")
    graphs = model.tables(2, _MOST)
    if len(graphs) != 1:
        raise ValueError(f"it has {len(graphs)} graphs")
    count = _graph(graphs[0], codes, buffers, data)
    for signature in model.tables(7, _MOST):
        _signature(signature, count)


def _code(code):
    found = max(code.number(0, "b"), code.number(3, "i"))
    if code.has(1) or found not in OPERATORS:
        raise ValueError(f"it has the operator {found}, which is not run")
    return OPERATORS[found]


def _buffer(buffer, length):
    """Place and number of its bytes; writers of large files put them last."""
    place, size = buffer.number(1, "Q"), buffer.number(2, "Q")
    if place <= 1 and size <= 1:
        return buffer.vector(0, 1)
    if buffer.has(0) or place + size > length:
        raise ValueError("it has buffers behind its end")
    return place, size


class _Tensor(NamedTuple):
    shape: tuple[int, ...]
    kind: int
    size: int  # bytes
    place: int  # of the bytes that the file holds, 0 if it holds none


def _graph(graph, codes, buffers, data):
    graph.text(4)
    tensors = [_tensor(each, buffers) for each in graph.tables(0, _MOST)]
    if sum(tensor.size for tensor in tensors if not tensor.place) > _MOST_BYTES:
        raise ValueError("its tensors take more than 1 GiB")
    inputs, outputs = graph.numbers(1, "i"), graph.numbers(2, "i")
    # What may be read: constants, inputs, and what an operator before has written.
    known = {index for index, tensor in enumerate(tensors) if tensor.place}
    _write(known, inputs, len(tensors))
    for operator in graph.tables(3, _MOST):
        _operator(operator, codes, known, tensors, data)
    if not known.issuperset(outputs):
        raise ValueError("an output that nothing writes")
    return len(tensors)


def _write(known, indices, count):
    for index in indices:
        if not 0 <= index < count or index in known:
            raise ValueError(f"tensor {index} is not there or written twice")
        known.add(index)


def _tensor(tensor, buffers):
    shape, kind = tensor.numbers(0, "i"), tensor.number(1, "b")
    if kind not in _BYTES or len(shape) > 6 or any(n < 1 for n in shape):
        raise ValueError(f"a tensor of type {kind} and shape {shape}")
    size = math.prod(shape) * _BYTES[kind]
    if size > _MOST_BYTES:
        raise ValueError(f"a tensor of shape {shape}")
    held = tensor.number(2, "I")
    if held >= len(buffers) or buffers[held][1] not in (0, size):
        raise ValueError(f"a tensor of {size} bytes whose buffer holds others")
    if any(tensor.has(field) for field in (6, 9, 10)) or tensor.number(5, "B"):
        raise ValueError("a tensor that is sparse, a variable or elsewhere")
    signature = tensor.numbers(7, "i")
    if signature and len(signature) != len(shape):
        raise ValueError("a tensor of two shapes")
    tensor.text(3)
    _scales(tensor.table(4), shape)
    place, held = buffers[held]
    return _Tensor(shape, kind, size, place if held else 0)


def _scales(quantization, shape):
    if quantization is None:
        return
    if quantization.number(4, "B") or quantization.has(5):
        raise ValueError("a tensor quantized in a way of its own")
    for field in (0, 1):
        quantization.numbers(field, "f")
    scales, zeros = quantization.numbers(2, "f"), quantization.numbers(3, "q")
    axis = quantization.number(6, "i")
    if not all(map(math.isfinite, scales)) or any(abs(z) >= 2**31 for z in zeros):
        raise ValueError("a tensor of a scale that is none")
    if len(zeros) not in (len(scales), 0, 1):
        raise ValueError("a tensor of fewer zeros than scales")
    if len(scales) > 1 and not (
        0 <= axis < len(shape) and len(scales) == shape[axis] == len(zeros)
    ):
        raise ValueError("a tensor of more scales than channels")


def _operator(operator, codes, known, tensors, data):
    index = operator.number(0, "I")
    if index >= len(codes):
        raise ValueError("an operator without a code")
    if any(operator.has(field) for field in (5, 9, 10, 12)):
        raise ValueError("an operator with options of its own")
    operator.numbers(7, "B")
    if operator.numbers(8, "i"):
        raise ValueError("an operator with tensors of its own")
    inputs, outputs = operator.numbers(1, "i"), operator.numbers(2, "i")
    # What may be left out comes third, a bias.
    given = [n for place, n in enumerate(inputs) if n != -1 or place < 2]
    if not known.issuperset(given) or not given or not outputs:
        raise ValueError(f"{codes[index]} of what is not there")
    _options(operator, codes[index])
    _write(known, outputs, len(tensors))
    shape = tensors[outputs[0]].shape
    if not _fits(codes[index], [tensors[n] for n in given], shape, data):
        raise ValueError(f"{codes[index]} gives another shape than it states")


def _fits(code, inputs, shape, data):
    """Whether an output is as large as stated, of what LiteRT sizes itself."""
    first = inputs[0].shape
    if code in _SPREAD and len(inputs) == 2:
        shapes = (tensor.shape[::-1] for tensor in inputs)
        spread = itertools.zip_longest(*shapes, fillvalue=1)
        return math.prod(map(max, spread)) == math.prod(shape)
    if code == "BATCH_MATMUL":  # any of its sides, as it may be turned
        sides = sorted((*first[-2:], *inputs[-1].shape[-2:]))[-2:]
        rest = math.prod(map(max, zip(first[:-2], inputs[-1].shape[:-2], strict=False)))
        return rest * math.prod(sides) <= _MOST_BYTES // 8
    if code.endswith("_ND"):
        blocks, added = (_values(tensor, data) for tensor in inputs[1:3])
        return min(blocks) > 0 and min(added) >= 0 and max(*blocks, *added) < 4096
    if code == "TRANSPOSE_CONV":
        return _values(inputs[0], data) == shape
    if len(inputs) > 1 and code.startswith("RESIZE_"):
        return _values(inputs[1], data) == shape[1:3]
    if len(inputs) > 1 and code.startswith("PAD"):
        added = _values(inputs[1], data)
        sums = map(sum, zip(first, added[::2], added[1::2], strict=False))
        return len(added) == 2 * len(first) and tuple(sums) == shape and min(added) >= 0
    return not code.startswith(("RESIZE_", "PAD", *_SPREAD))


def _values(tensor, data):
    """What a constant of int32 holds; nothing else may say how large an output is."""
    count = tensor.size // 4
    if tensor.kind != 2 or not tensor.place:
        raise ValueError("a size that is no constant")
    return struct.unpack_from(f"<{count}i", data, tensor.place)


def _options(operator, code):
    kind, options = operator.number(3, "B"), operator.table(4)
    if (kind == 0) != (options is None):
        raise ValueError(f"{code} without its options")
    if kind in _WITH_VECTOR:
        options.vector(0, 4)
    for field in _STRIDES.get(kind, ()):
        if not 1 <= options.number(field, "i") < 2**15:
            raise ValueError(f"{code} that does not move on")


def _signature(signature, count):
    signature.text(2)
    if signature.number(4, "I") != 0:
        raise ValueError("a signature of no graph")
    for field in (0, 1):
        for tensor in signature.tables(field, _MOST):
            tensor.text(0)
            if tensor.number(1, "I") >= count:
                raise ValueError("a signature of no tensor")
