#!/usr/bin/env python
"""Prune or cluster a trained network and turn it into an int8 bundle.

    python export/compress.py MODEL.keras --method prune --sparsity 0.5 \\
        --data DIR --out BUNDLE [--images 800] [--keras COMPRESSED.keras]
    python export/compress.py MODEL.keras --method cluster --clusters 16 \\
        --data DIR --out BUNDLE

The file is as large as without: what shrinks is an archive or a download. Prints the
size, and that after `gzip -9`. DIR is a data set that `covseg data check` knows; its
training images train the network while it is compressed, and calibrate the integers.
The bundle's card holds no scores: `export/check_parity.py` measures them. Needs
covseg-tf[quant]. Time: 3 minutes on 2 CPU cores for 2,518 images of 256x256.
"""

import dataclasses
import pathlib
import sys

from covseg_tf.commands.target import check_target
from covseg_tf.deploy.bundle import write_bundle
from covseg_tf.deploy.calibration import read_calibration
from covseg_tf.deploy.load_network import load_network
from covseg_tf.deploy.optimization import (
    cluster,
    compressed_size,
    prune,
    training_batches,
)
from covseg_tf.deploy.tflite import export_tflite
from covseg_tf.options import argument, command, option

CARD = """# Model card: {name}

**Research use only. Not a medical device; not for diagnosis.**

`{source}` in full-integer TFLite after {method} ({degree} in {kernels} kernels,
{share:.0%} of all weights): {epochs} epoch(s) of {batches} batches of {batch_size}
training images, learning rate {learning_rate}. {bytes} bytes, {gzip_bytes} after
`gzip -9`. Not measured: run `export/check_parity.py` before you rely on it.
"""
DEFAULTS = {
    "prune": {"sparsity": 0.5, "learning_rate": 1e-4, "minimum_weights": 4096},
    "cluster": {"clusters": 16, "learning_rate": 1e-5, "minimum_weights": 256},
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    model: pathlib.Path = argument("a .keras file")
    method: str = option("how", choices=tuple(DEFAULTS))
    sparsity: float | None = option("of prune; without it 0.5", None)
    clusters: int | None = option("of cluster; without it 16", None)
    data: pathlib.Path = option("its training images train", metavar="DIR")
    out: pathlib.Path = option("the bundle")
    keras: pathlib.Path | None = option("the compressed network", None)
    images: int | None = option("of the training images; without it all", None)
    epochs: int = option("epochs to train", 1)
    batch_size: int = option("images per step", 8)
    learning_rate: float | None = option("without it the method's", None)
    teacher_share: float = option("of the loss: the float network's own maps", 0.5)
    minimum_weights: int | None = option("of a kernel; without it the method's", None)
    seed: int = option("seed of the order", 0)

    @property
    def degree(self):
        """Of the method: the share that is pruned, or the values that are left."""
        return self.sparsity if self.method == "prune" else self.clusters


def check(options):
    check_target(options.out)
    pruned = options.method == "prune"
    if (options.clusters if pruned else options.sparsity) is not None:
        flag = "--clusters" if pruned else "--sparsity"
        raise ValueError(f"{flag} is not for --method {options.method}.")
    if options.keras:
        check_target(options.keras, "--keras", ".keras")


def fill(options):
    """The options, with the method's own defaults where nothing is given."""
    given = {k: v for k, v in vars(options).items() if v is not None}
    return dataclasses.replace(options, **DEFAULTS[options.method] | given)


def compress(options):
    model, spec = load_network(options.model)
    batches = training_batches(
        options.data, spec, options.images, options.batch_size, options.seed
    )
    method = {"prune": prune, "cluster": cluster}[options.method]
    result = method(
        model,
        batches,
        options.degree,
        options.epochs,
        options.learning_rate,
        options.teacher_share,
        options.minimum_weights,
    )
    images = read_calibration(options.data, spec)
    return result, export_tflite(result.model, spec, images), spec, len(batches)


def described(options, result, tflite, batches):
    names = ("method", "epochs", "batch_size", "learning_rate", "teacher_share", "seed")
    text = "sparsity {}" if options.method == "prune" else "{} values"
    return {
        **{name: getattr(options, name) for name in names},
        "degree": text.format(options.degree),
        "source": options.model.name,
        "kernels": len(result.kernels),
        "share": result.share,
        "batches": batches,
        "bytes": len(tflite),
        "gzip_bytes": compressed_size(tflite),
    }


def run(options):
    check(options)
    options = fill(options)
    result, tflite, spec, batches = compress(options)
    export = described(options, result, tflite, batches)
    card = CARD.format(name=options.out.name, **export)
    write_bundle(options.out, tflite, spec, {}, card, export=export)
    if options.keras:
        options.keras.parent.mkdir(parents=True, exist_ok=True)
        result.model.save(options.keras)
    sizes = f"{export['bytes']} bytes, {export['gzip_bytes']} after gzip -9"
    print(f"Bundle: {options.out}   {sizes}")


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
