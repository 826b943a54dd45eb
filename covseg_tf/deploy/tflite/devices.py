"""What a TFLite file asks of a device, by the devices' own rules; nothing is run."""

import collections
import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from covseg_tf.deploy.markdown import markdown_table
from covseg_tf.deploy.tflite.contents import named_operators, read_schema


def _words(text):
    return frozenset(text.split())


# Builtin operators of TensorFlow Lite Micro's `PythonOpsResolver`, without those that
# run other graphs or keep a state.
MICRO = _words(
    """
    ABS ADD ADD_N ARG_MAX ARG_MIN AVERAGE_POOL_2D BATCH_TO_SPACE_ND BROADCAST_ARGS
    BROADCAST_TO CAST CEIL CONCATENATION CONV_2D COS DEPTHWISE_CONV_2D
    DEPTH_TO_SPACE DEQUANTIZE DIV ELU EQUAL EXP EXPAND_DIMS FILL FLOOR FLOOR_DIV
    FLOOR_MOD FULLY_CONNECTED GATHER GATHER_ND GREATER GREATER_EQUAL HARD_SWISH
    L2_NORMALIZATION L2_POOL_2D LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND
    LOGICAL_NOT LOGICAL_OR LOGISTIC LOG_SOFTMAX MAXIMUM MAX_POOL_2D MEAN MINIMUM
    MIRROR_PAD MUL NEG NOT_EQUAL PACK PAD PADV2 PRELU QUANTIZE REDUCE_MAX RELU
    RELU6 RESHAPE RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR ROUND RSQRT SELECT_V2
    SHAPE SIN SLICE SOFTMAX SPACE_TO_BATCH_ND SPACE_TO_DEPTH SPLIT SPLIT_V SQRT
    SQUARE SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM TANH TRANSPOSE
    TRANSPOSE_CONV UNPACK ZEROS_LIKE
    """
)
# After "Supported operations" of coral.ai, "TensorFlow models on the Edge TPU", by
# excerpts of it: its compiler has the last word, and is not public for every machine.
EDGE_TPU = _words(
    """
    ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D EXPAND_DIMS
    FULLY_CONNECTED L2_NORMALIZATION LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MUL
    PACK PAD PRELU QUANTIZE REDUCE_MAX REDUCE_MIN RELU RELU6 RELU_N1_TO_1 RESHAPE
    RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR RSQRT SLICE SOFTMAX SPACE_TO_DEPTH
    SPLIT SQUARED_DIFFERENCE SQUEEZE STRIDED_SLICE SUB SUM TANH TRANSPOSE
    TRANSPOSE_CONV
    """
)
# Documented as taken or left by sizes that are not documented.
_DOUBTFUL = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "RESHAPE")
_UNFUSED = ("AVERAGE_POOL_2D", "MAX_POOL_2D", "CONCATENATION")
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
_BYTES = {"FLOAT16": 2, "INT16": 2, "INT8": 1, "UINT8": 1, "BOOL": 1, "INT64": 8}


@dataclasses.dataclass(frozen=True)
class DeviceReport:
    """What a TFLite file asks of a device.

    Attributes:
        size_bytes: Of the file.
        operators: How often each occurs.
        interface: Types of input and outputs, for example `"uint8 to uint8"`.
        arithmetic: Types of what is computed in between, `"int8"` or more.
        largest_bytes: Of the largest tensor that is computed.
        alive_bytes: The most bytes of tensors that are needed at one time: no arena
            is smaller.
        micro: Why TensorFlow Lite Micro does not run it; empty if it should.
        edge_tpu: What the Edge TPU's rules leave to the CPU; empty if nothing.
        edge_tpu_doubts: Operators that its compiler takes or leaves by their size.
    """

    size_bytes: int
    operators: dict[str, int]
    interface: str
    arithmetic: str
    largest_bytes: int
    alive_bytes: int
    micro: tuple[str, ...]
    edge_tpu: tuple[str, ...]
    edge_tpu_doubts: tuple[str, ...]


def check_devices(model: bytes) -> DeviceReport:
    """Holds a file against the rules of TensorFlow Lite Micro and the Edge TPU.

    Source: tflite-micro, `python_ops_resolver.cc`; coral.ai, "TensorFlow models on
    the Edge TPU".

    Args:
        model: Bytes of a TFLite file that is trusted, see `verify_model`.

    Returns:
        A `DeviceReport`.
    """
    tree = read_schema(model)
    graph = _Graph(tree)
    steps = [(name, step, graph) for name, step in named_operators(tree)]
    computed = [i for i in range(len(graph.shapes)) if not graph.is_constant(i)]
    borders = {
        *map(int, tree.subgraphs[0].inputs),
        *map(int, tree.subgraphs[0].outputs),
    }
    inner = {graph.kinds[i].lower() for i in computed if i not in borders}
    found = graph.faults(computed)
    return DeviceReport(
        size_bytes=len(model),
        operators=dict(sorted(collections.Counter(name for name, *_ in steps).items())),
        interface=" to ".join(
            ", ".join(sorted({graph.kinds[int(i)].lower() for i in places}))
            for places in (tree.subgraphs[0].inputs, tree.subgraphs[0].outputs)
        ),
        arithmetic=", ".join(sorted(inner)),
        largest_bytes=max(graph.size(i) for i in computed),
        alive_bytes=graph.alive(tree.subgraphs[0], computed),
        micro=_unique(found["any"] + [x for step in steps for x in _micro(*step)]),
        edge_tpu=_unique(
            found["any"]
            + found["edge_tpu"]
            + [x for step in steps for x in _edge_tpu(*step)]
        ),
        edge_tpu_doubts=_unique(n for n, *_ in steps if n in _DOUBTFUL),
    )


def devices_table(reports: dict[str, DeviceReport]) -> str:
    """Returns reports as a Markdown table, a line each.

    Args:
        reports: By the name of the file or bundle.
    """
    head = ["file", "kB", "in, out", "computes in", "operators", "tensors alive, kB"]
    rows = [
        [
            name,
            round(report.size_bytes / 1000),
            report.interface,
            report.arithmetic,
            f"{sum(report.operators.values())} of {len(report.operators)} kinds",
            round(report.alive_bytes / 1000),
            "; ".join(report.micro) or "yes",
            "; ".join(report.edge_tpu)
            or "yes"
            + (f" (by size: {', '.join(report.edge_tpu_doubts)})")
            * bool(report.edge_tpu_doubts),
        ]
        for name, report in reports.items()
    ]
    return markdown_table([*head, "TensorFlow Lite Micro", "Edge TPU's rules"], rows)


class _Graph:
    """Shapes, types and constants of the one graph of a file."""

    def __init__(self, tree):
        from ai_edge_litert import schema_py_generated as schema

        names = {v: k for k, v in vars(schema.TensorType).items() if k[0] != "_"}
        tensors = tree.subgraphs[0].tensors
        self.shapes = [tuple(map(int, _listed(x.shape))) for x in tensors]
        self.kinds = [names[x.type] for x in tensors]
        self._open = [-1 in _listed(x.shapeSignature) for x in tensors]
        self._data = [tree.buffers[x.buffer].data for x in tensors]

    def is_constant(self, index):
        return self._data[index] is not None and len(self._data[index]) > 0

    def integers(self, index):
        return np.asarray(self._data[index], np.uint8).view(np.int32).tolist()

    def size(self, index):
        return math.prod(self.shapes[index]) * _BYTES.get(self.kinds[index], 4)

    def alive(self, graph, computed):
        """Most bytes between the step that writes a tensor and the last that reads."""
        steps = graph.operators
        first = {int(i): n for n, x in enumerate(steps) for i in x.outputs}
        last = {int(i): n for n, x in enumerate(steps) for i in x.inputs}
        last |= {int(i): len(steps) for i in graph.outputs}
        return max(
            sum(
                self.size(i)
                for i in computed
                if first.get(i, 0) <= n <= last.get(i, first.get(i, 0))
            )
            for n in range(len(steps))
        )

    def faults(self, computed):
        """Of the tensors, whatever computes them."""
        kinds = sorted({self.kinds[i] for i in computed} - {"INT8", "UINT8"})
        edge_tpu = [f"{kind.lower()} tensors" for kind in kinds]
        if any(math.prod(self.shapes[i][:-3]) > 1 for i in computed):
            edge_tpu.append("tensors of more than three dimensions")
        sizes = ["a size that is open"] if any(self._open) else []
        return {"any": sizes, "edge_tpu": edge_tpu}


def _micro(name, operator, graph):
    if name not in MICRO:
        yield f"no {name}"
    given = [int(i) for i in operator.inputs if i >= 0]
    if any(graph.kinds[i] == "FLOAT16" for i in given):
        yield "float16 weights"
    if name in _WEIGHTED and {graph.kinds[i] for i in given[:2]} == {"FLOAT32", "INT8"}:
        yield "float32 computed with int8 weights"


def _edge_tpu(name, operator, graph):
    options = operator.builtinOptions
    if name not in EDGE_TPU:
        yield f"no {name}"
    if name in _UNFUSED and options.fusedActivationFunction:
        yield f"{name} with an activation"
    rates = [getattr(options, f"dilation{axis}Factor", 1) for axis in "HW"]
    if rates[0] != rates[1]:
        yield f"{name} of unequal dilation"
    shape = graph.shapes[int(operator.inputs[0])]
    if name == "MEAN":
        axes = {axis % len(shape) for axis in graph.integers(int(operator.inputs[1]))}
        if 0 in axes or (len(shape) - 1 in axes and shape[-1] % 4):
            yield "MEAN over the batch, or over channels in no fours"
    if name == "SOFTMAX" and math.prod(shape) > 16_000:
        yield "SOFTMAX of more than 16,000 values"


def _listed(values) -> Sequence:
    return [] if values is None else values


def _unique(values):
    return tuple(dict.fromkeys(values))
