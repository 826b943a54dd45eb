#!/usr/bin/env python
"""Turn a trained network into an int8 bundle by quantization-aware training.

    python export/quantization_aware.py MODEL.keras --data DIR --out BUNDLE \\
        [--epochs 1] [--images 800] [--keras TUNED.keras]

DIR is a data set that `covseg data check` knows. The network trains on --images of
its training images for --epochs, while every weight and activation is rounded to 8
bits. --keras keeps the trained float network too. The bundle's card holds no scores:
`export/check_parity.py` measures them. Needs covseg-tf[quant].
Time: 4 minutes on 2 CPU cores for 2,518 images of 256x256.
"""

import dataclasses
import pathlib
import sys

from covseg_tf.commands.target import check_target
from covseg_tf.deploy.bundle import write_bundle
from covseg_tf.deploy.load_network import load_network
from covseg_tf.deploy.optimization import train_quantization_aware, training_batches
from covseg_tf.options import argument, command, option

CARD = """# Model card: {name}

**Research use only. Not a medical device; not for diagnosis.**

`{source}` in full-integer TFLite by quantization-aware training: {epochs} epoch(s) of
{batches} batches of {batch_size} training images, learning rate {learning_rate},
{teacher_share:.0%} of the loss against the float network's own maps.
Not measured: run `export/check_parity.py` before you rely on it.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    model: pathlib.Path = argument("a .keras file")
    data: pathlib.Path = option("its training images train", metavar="DIR")
    out: pathlib.Path = option("the bundle")
    keras: pathlib.Path | None = option("the trained float network", None)
    images: int | None = option("of the training images; without it all", None)
    epochs: int = option("epochs to train", 1)
    batch_size: int = option("images per step", 8)
    learning_rate: float = option("of Adam", 1e-5)
    teacher_share: float = option("of the loss: the float network's own maps", 1.0)
    seed: int = option("seed of the order", 0)


def check(options):
    check_target(options.out)
    if options.keras:
        check_target(options.keras, "--keras", ".keras")


def train(options):
    model, spec = load_network(options.model)
    batches = training_batches(
        options.data, spec, options.images, options.batch_size, options.seed
    )
    result = train_quantization_aware(
        model,
        spec,
        batches,
        options.epochs,
        options.learning_rate,
        options.teacher_share,
    )
    return result, spec, len(batches)


def run(options):
    check(options)
    result, spec, batches = train(options)
    names = ("epochs", "batch_size", "learning_rate", "teacher_share", "seed")
    export = {name: getattr(options, name) for name in names}
    export |= {"source": options.model.name, "batches": batches}
    write_bundle(
        options.out,
        result.tflite,
        spec,
        metrics={},
        model_card=CARD.format(name=options.out.name, **export),
        export={"quantize": "quantization_aware", **export},
    )
    if options.keras:
        options.keras.parent.mkdir(parents=True, exist_ok=True)
        result.model.save(options.keras)
    print(f"Bundle: {options.out}   {len(result.tflite) / 2**20:.2f} MiB")


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
