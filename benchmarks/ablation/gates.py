"""What the gates of Region Fusion Attention do on a data set.

    python -m benchmarks.ablation gates NETWORK.keras DATA --split Val

prints, for each attention, the mean of the lung gate inside and outside the lung
mask and of the infection gate inside and outside the infection mask, over images
with infection. A gate that is the same on both sides selects nothing; one that is
0 or 1 everywhere is saturated. Masks are averaged down to the gate's size; a pixel
counts for a side by its share.
"""

import dataclasses

import keras
import numpy as np

from covseg_tf.data import load_sample, read_samples
from covseg_tf.edge import PreprocessingSpec
from covseg_tf.options import argument, command, option
from covseg_tf.training import gate_contrast


def measure(model, samples, spec):
    """`gate_contrast` over the images with infection."""
    found = [load_sample(sample, spec) for sample in samples]
    found = [planes for planes in found if planes[2].any()]
    pixels, lungs, infections = map(np.stack, zip(*found, strict=True))
    images = pixels[..., None].astype("float32") * spec.scale
    return gate_contrast(model, images, {"lung": lungs, "infection": infections})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    network: str = argument("a .keras file")
    data: str = argument("the data set's folder")
    split: str | None = option("which split; without it all", None)


def run(options):
    model = keras.saving.load_model(options.network, compile=False)
    samples = read_samples(options.data, options.split)
    spec = PreprocessingSpec(*(side or 256 for side in model.input_shape[1:3]))
    print("| gate | inside | outside | saturated |\n|---|---|---|---|")
    for of in measure(model, samples, spec):
        print(
            f"| {of['gate']} | {of['inside']:.3f} | {of['outside']:.3f} "
            f"| {100 * of['saturated']:.0f} % |"
        )


main = command("ablation gates", __doc__, Options, run)
