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

import argparse
import pathlib
import sys

from covseg_tf.deploy.bundle import write_bundle
from covseg_tf.deploy.calibration import read_calibration
from covseg_tf.deploy.command import check_target, run_command
from covseg_tf.deploy.load_network import load_network
from covseg_tf.deploy.optimization import (
    cluster,
    compressed_size,
    prune,
    training_batches,
)
from covseg_tf.deploy.tflite import export_tflite

CARD = """# Model card: {name}

**Research use only. Not a medical device; not for diagnosis.**

`{source}` in full-integer TFLite after {method} ({degree} in {kernels} kernels,
{share:.0%} of all weights): {epochs} epoch(s) of {batches} batches of {batch_size}
training images, learning rate {learning_rate}. {bytes} bytes, {gzip_bytes} after
`gzip -9`. Not measured: run `export/check_parity.py` before you rely on it.
"""
# Learning rate and size of the smallest kernel that is compressed.
DEFAULTS = {"prune": (1e-4, 4096), "cluster": (1e-5, 256)}


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path, help="a .keras file")
    parser.add_argument("--method", required=True, choices=("prune", "cluster"))
    parser.add_argument("--sparsity", type=float, help="of prune (0.5)")
    parser.add_argument("--clusters", type=int, help="of cluster (16)")
    parser.add_argument("--data", required=True, type=pathlib.Path, metavar="DIR")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="the bundle")
    parser.add_argument("--keras", type=pathlib.Path, help="the compressed network")
    parser.add_argument("--images", type=int, help="of the training images (all)")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--learning-rate", type=float, help="default: the method's")
    parser.add_argument("--teacher-share", type=float, default=0.5)
    parser.add_argument("--minimum-weights", type=int, help="of a kernel, likewise")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rate, minimum = DEFAULTS[options.method]
    if options.learning_rate is None:
        options.learning_rate = rate
    if options.minimum_weights is None:
        options.minimum_weights = minimum
    return options


def check(options):
    check_target(options.out)
    pruned = options.method == "prune"
    if (options.clusters if pruned else options.sparsity) is not None:
        flag = "--clusters" if pruned else "--sparsity"
        raise ValueError(f"{flag} is not for --method {options.method}.")
    if options.sparsity is None:
        options.sparsity = 0.5
    if options.clusters is None:
        options.clusters = 16
    if options.keras:
        check_target(options.keras, "--keras", ".keras")


def compress(options):
    model, spec = load_network(options.model)
    batches = training_batches(
        options.data, spec, options.images, options.batch_size, options.seed
    )
    method = {"prune": prune, "cluster": cluster}[options.method]
    result = method(
        model,
        batches,
        options.sparsity if options.method == "prune" else options.clusters,
        options.epochs,
        options.learning_rate,
        options.teacher_share,
        options.minimum_weights,
    )
    images = read_calibration(options.data, spec)
    return result, export_tflite(result.model, spec, images), spec, len(batches)


def described(options, result, tflite, batches):
    names = ("method", "epochs", "batch_size", "learning_rate", "teacher_share", "seed")
    pruned = options.method == "prune"
    return {
        **{name: getattr(options, name) for name in names},
        "degree": f"sparsity {options.sparsity}"
        if pruned
        else f"{options.clusters} values",
        "source": options.model.name,
        "kernels": len(result.kernels),
        "share": result.share,
        "batches": batches,
        "bytes": len(tflite),
        "gzip_bytes": compressed_size(tflite),
    }


def run(options):
    check(options)
    result, tflite, spec, batches = compress(options)
    export = described(options, result, tflite, batches)
    card = CARD.format(name=options.out.name, **export)
    write_bundle(options.out, tflite, spec, {}, card, export=export)
    if options.keras:
        options.keras.parent.mkdir(parents=True, exist_ok=True)
        result.model.save(options.keras)
    sizes = f"{export['bytes']} bytes, {export['gzip_bytes']} after gzip -9"
    print(f"Bundle: {options.out}   {sizes}")


def main(arguments=None):
    return run_command("compress.py", run, parse(arguments))


if __name__ == "__main__":
    sys.exit(main())
