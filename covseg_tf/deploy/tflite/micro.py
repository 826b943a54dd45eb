"""A TFLite file as C++ source for TensorFlow Lite Micro."""

import textwrap

from covseg_tf.deploy.tflite.contents import read_schema
from covseg_tf.deploy.tflite.devices import check_devices

# Of a tensor, operator and allocation beside what is alive: more than any of the
# bundled models took.
_ARENA_FACTOR, _ARENA_MORE = 1.25, 100_000
_ODD = {"PADV2": "PadV2"}

_HEADER = """\
// Written by covseg_tf. Research use only; not a medical device.
#pragma once
#include <cstddef>
#include <cstdint>
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"

namespace {name} {{
extern const unsigned char kModel[];
constexpr std::size_t kModelSize = {size};
// {measured}
constexpr std::size_t kArenaSize = {arena};
{borders}
using Resolver = tflite::MicroMutableOpResolver<{count}>;
inline TfLiteStatus AddOperators(Resolver& resolver) {{
{adds}
  return kTfLiteOk;
}}
}}  // namespace {name}
"""


def micro_source(
    model: bytes, name: str = "covseg_model", arena_bytes: int | None = None
) -> dict[str, str]:
    """Writes a TFLite file as C++ for a microcontroller.

    Args:
        model: Bytes of a TFLite file in integers, with the signature `serve`.
        name: Of the files and of the namespace; a C++ identifier.
        arena_bytes: What an interpreter was seen to use. `None` (default) for an
            estimate, a quarter and 100 kB above what is alive at one time.

    Returns:
        Text by file name: `NAME.h`, with the size of the arena, type, scale, zero
        point and place of each input and output, and a resolver of the operators in
        use alone; `NAME.cc`, with the bytes.

    Raises:
        ValueError: If the name is none, or TensorFlow Lite Micro lacks what the file
            needs.
    """
    if not name.isidentifier() or not name.isascii():
        raise ValueError(f"`name` must be a C++ identifier. Received: {name!r}")
    report = check_devices(model)
    if report.micro or "float" in report.arithmetic:
        reasons = [*report.micro, *["float32 tensors"] * ("float" in report.arithmetic)]
        raise ValueError(
            f"TensorFlow Lite Micro wants integers alone ({'; '.join(reasons)}); "
            "export with quantize='full_integer'."
        )
    if "float" in report.interface:
        raise ValueError("the interface is float32; export with interface='int8'.")
    estimate = int(report.alive_bytes * _ARENA_FACTOR) + _ARENA_MORE
    adds = [
        f"  TF_LITE_ENSURE_STATUS(resolver.Add{_method(operator)}());"
        for operator in report.operators
    ]
    header = _HEADER.format(
        name=name,
        size=len(model),
        arena=arena_bytes or estimate,
        measured="Measured in the reference interpreter."
        if arena_bytes
        else "Estimated; ask MicroInterpreter::arena_used_bytes().",
        borders="\n".join(_borders(model)),
        count=len(adds),
        adds="\n".join(adds),
    )
    rows = textwrap.fill(", ".join(map(str, model)), 96, break_long_words=False)
    source = (
        f'#include "{name}.h"\n\nnamespace {name} {{\n'
        f"alignas(16) const unsigned char kModel[kModelSize] = {{\n{rows}\n}};\n"
        f"}}  // namespace {name}\n"
    )
    return {f"{name}.h": header, f"{name}.cc": source}


def _method(operator):
    return _ODD.get(operator, operator.title().replace("_", ""))


def _borders(model):
    """Place, scale and zero point of each input and output, by its name."""
    tree = read_schema(model)
    graph, (signature, *_) = tree.subgraphs[0], tree.signatureDefs
    for kind, places, named in (
        ("Input", graph.inputs, signature.inputs),
        ("Output", graph.outputs, signature.outputs),
    ):
        for item in named:
            scale = graph.tensors[item.tensorIndex].quantization
            word = f"k{kind}{item.name.decode().title().replace('_', '')}"
            yield f"constexpr int {word} = {list(places).index(item.tensorIndex)};"
            yield f"constexpr float {word}Scale = {float(scale.scale[0])!r}f;"
            yield f"constexpr int {word}ZeroPoint = {int(scale.zeroPoint[0])};"
