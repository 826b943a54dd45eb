"""Count what a step of the poster's study computes and moves, without running it.

    KERAS_BACKEND=jax python -m benchmarks.poster plan

writes docs/results/poster/plan.csv, the operations per image of each row's forward
pass as XLA counts them before it optimizes, and three times that for a training step;
and parts.csv, where they lie: operations and bytes of each kind of layer in the forward
pass of one image, from shapes, each layer reading its inputs and writing its output
once in bfloat16. A minute on a CPU.
"""

import dataclasses
import pathlib

import jax
import keras
import numpy as np

from covseg_tf.evaluation import write_rows
from covseg_tf.layers import RegionFusionAttention
from covseg_tf.models import DualFlowSegmenter
from covseg_tf.options import command

OUT = pathlib.Path(__file__).resolve().parents[2] / "docs" / "results" / "poster"
# As in recipes/poster_study.py: the name of a preset.
ROWS = {
    "baseline": "poster_baseline",
    "lung_region": "poster_lung_region",
    "region_fusion_attention": "poster_region_fusion_attention",
    "no_attention": "no_attention",
}
SIDE = 256


def count_row(model):
    shapes = [
        [jax.ShapeDtypeStruct(v.shape, v.dtype) for v in variables]
        for variables in (model.trainable_variables, model.non_trainable_variables)
    ]
    image = jax.ShapeDtypeStruct((1, SIDE, SIDE, 1), "float32")
    forward = jax.jit(model.stateless_call).lower(*shapes, image).cost_analysis()
    gflop = forward["flops"] / 1e9
    # Backwards, a product becomes two: by its input and by its weights.
    return {
        "parameters": model.count_params(),
        "forward_gflop": gflop,
        "step_gflop": 3 * gflop,
    }


def leaves(model):
    """`(layer, shape in, shape out, name of the part)` of every layer with work."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from leaves(layer)
        elif isinstance(layer, RegionFusionAttention):
            shape = tuple(layer.output.shape)
            inner = [getattr(layer, n) for names in layer.branches for n in names]
            for part in (layer.lung_gate, layer.infection_gate, *inner):
                kernel = getattr(part, "kernel", None)
                first, last = shape, shape
                if kernel is not None:
                    first = (*shape[:3], kernel.shape[2])
                    last = (*shape[:3], kernel.shape[3])
                yield part, [first], last, "attention"
            yield layer, [shape] * 4, shape, "attention"  # the two products
        elif not isinstance(layer, keras.layers.InputLayer):
            inputs = layer.input if isinstance(layer.input, list) else [layer.input]
            shapes = [tuple(x.shape) for x in inputs]
            decoder = layer.name.startswith(("lung_", "infection_"))
            part = "decoders" if decoder else "encoder"
            yield layer, shapes, tuple(layer.output.shape), part


def kind_of(layer):
    kernel = getattr(layer, "kernel", None)
    if kernel is None:
        return "norms, activations, sums, resizing"
    if getattr(layer, "groups", 1) > 1:
        return "7x7 depthwise convolutions"
    return "dense layers and convolutions"


def count_parts(model):
    found = {}
    for layer, inputs, output, part in leaves(model):
        kernel = getattr(layer, "kernel", None)
        pixels = np.prod(output[1:3]) if len(output) == 4 else 1
        flops = 0 if kernel is None else 2 * pixels * np.prod(kernel.shape)
        moved = 2 * sum(int(np.prod(shape[1:])) for shape in (*inputs, output))
        key = (part, kind_of(layer))
        found[key] = np.add(found.get(key, 0), (flops / 1e9, moved / 1e6, 1))
    return [
        {"part": part, "kind": kind, "gflop": of[0], "mb": of[1], "layers": int(of[2])}
        for (part, kind), of in found.items()
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    pass


def run(options):
    keras.config.set_dtype_policy("mixed_bfloat16")
    OUT.mkdir(parents=True, exist_ok=True)
    rows = []
    for row, preset in ROWS.items():
        model = DualFlowSegmenter.from_preset(preset, (SIDE, SIDE, 1))
        if row == "region_fusion_attention":
            write_rows(OUT / "parts.csv", count_parts(model), 3)
        rows.append({"row": row} | count_row(model))
        print(rows[-1], flush=True)
    write_rows(OUT / "plan.csv", rows, 3)


main = command("poster plan", __doc__, Options, run)
