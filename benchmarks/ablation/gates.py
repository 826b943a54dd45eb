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
from covseg_tf.models import region_gates
from covseg_tf.options import argument, command, option

BATCH = 32


def shrink(mask, shape):
    rows, columns = (big // small for big, small in zip(mask.shape, shape, strict=True))
    blocks = mask.reshape(shape[0], rows, shape[1], columns)
    return blocks.mean(axis=(1, 3), dtype=np.float64)


def measure(model, samples, spec):
    """Dict from gate to (inside, outside, share below 0.05 or above 0.95)."""
    found = [load_sample(sample, spec) for sample in samples]
    found = [planes for planes in found if planes[2].any()]
    sums: dict = {}
    for start in range(0, len(found), BATCH):
        pixels, lungs, infections = map(
            np.stack, zip(*found[start : start + BATCH], strict=True)
        )
        gates = region_gates(model, pixels[..., None].astype("float32") * spec.scale)
        for layer, pair in gates.items():
            for kind, masks in (("lung", lungs), ("infection", infections)):
                for gate, mask in zip(pair[kind], masks, strict=True):
                    inside = shrink(mask, gate.shape)
                    parts = (
                        (gate * inside).sum(),
                        inside.sum(),
                        (gate * (1 - inside)).sum(),
                        (1 - inside).sum(),
                        ((gate < 0.05) | (gate > 0.95)).mean(),
                        1,
                    )
                    key = f"{layer}, {kind}"
                    sums[key] = np.add(sums.get(key, 0), parts)
    return {k: (s[0] / s[1], s[2] / s[3], s[4] / s[5]) for k, s in sums.items()}


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
    for name, values in measure(model, samples, spec).items():
        inside, outside, saturated = values
        print(f"| {name} | {inside:.3f} | {outside:.3f} | {100 * saturated:.0f} % |")


main = command("ablation gates", __doc__, Options, run)
