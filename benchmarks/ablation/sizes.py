"""The four networks of the ablation: parameters, MACs, outputs.

    python -m benchmarks.ablation networks [--encoder co_era_net|xray] [--size 256]

Multiply-accumulates are those of convolutions and dense layers for one image,
side heads included, counted from the layers' own kernels and sizes. No training
and no data: about half a minute.
"""

import dataclasses
import math

import keras

from covseg_tf.models import DualFlowSegmenter
from covseg_tf.options import command, option

ROWS = (
    ("baseline", "poster_baseline"),
    ("+ lung region", "poster_lung_region"),
    ("+ region fusion attention", "poster_region_fusion_attention"),
    ("no attention (ours)", "no_attention"),
)


def count_macs(model):
    """Returns the multiply-accumulates of a functional model for one image.

    Args:
        model: Keras model of static size; nested models are counted too.
    """
    total = 0
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            total += count_macs(layer)
            continue
        kernels = [w.shape for w in layer.weights if w.name.endswith("kernel")]
        if not kernels:
            continue
        positions = math.prod(layer.output.shape[1:-1])
        total += positions * sum(map(math.prod, kernels))
    return total


def rows_of(encoder, size):
    """Yields (title, model) for each row."""
    for title, preset in ROWS:
        shape = (size, size, 1)
        arguments = {}
        if encoder == "xray":
            small = DualFlowSegmenter.from_preset("xray_rfa", shape)
            arguments = {
                "encoder": small.encoder,
                "decoder_filters": small.decoder_filters,
                "separable": True,
            }
        yield title, DualFlowSegmenter.from_preset(preset, shape, **arguments)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    encoder: str = option("which", "co_era_net", choices=("co_era_net", "xray"))
    size: int = option("height and width in pixels", 256)


def run(options):
    print("| network | parameters | decoder | MACs | outputs |\n|---|---|---|---|---|")
    for title, model in rows_of(options.encoder, options.size):
        decoder = model.count_params() - model.encoder.count_params()
        side = sum("_side_" in name for name in model.output_names)
        flows = ", ".join(n for n in sorted(model.output_names) if "_side_" not in n)
        print(
            f"| {title} | {model.count_params() / 1e6:.2f} M | {decoder / 1e6:.2f} M "
            f"| {count_macs(model) / 1e9:.2f} G | {flows} + {side} side heads |",
            flush=True,
        )


main = command("ablation networks", __doc__, Options, run)
