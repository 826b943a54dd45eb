#!/usr/bin/env python
"""Quantize a dual-flow network to int8, keeping in float the layers that int8 hurts.

    python export/mixed_precision.py MODEL.keras --data DIR --max-dice-loss 0.005 \
        --out BUNDLE [--images 48] [--report sensitivity.json]

DIR is a data set that `covseg data check` knows. 200 of its training images
calibrate, others rank the layers and stop the search. The bundle's card holds no
scores: `export/check_parity.py` measures them.
Time: a minute on 2 CPU cores with 48 images, the report included.
"""

import dataclasses
import json
import pathlib
import sys

import numpy as np

from covseg_tf.commands.target import check_target
from covseg_tf.data import load_sample
from covseg_tf.deploy.bundle import write_bundle
from covseg_tf.deploy.calibration import read_training_samples
from covseg_tf.deploy.load_network import load_network
from covseg_tf.deploy.optimization import quantize_mixed_precision
from covseg_tf.deploy.proof import layer_sensitivity, to_text
from covseg_tf.deploy.tflite import export_tflite
from covseg_tf.deploy.whole_file import write_whole
from covseg_tf.options import argument, command, option

CALIBRATION = 200
CARD = """# Model card: {name}

**Research use only. Not a medical device; not for diagnosis.**

Quantized from `{model}` to int8 with {kept} in float; bound: {bound} Dice.
Calibrated on {calibration} training images, searched on {search} other training images:

    {steps}

Not measured: run `export/check_parity.py` before you rely on it.
"""


def run(options):
    check(options)
    samples = read_training_samples(options.data)
    model, spec = load_network(options.model)
    float_file = export_tflite(model, spec, quantize="float32")
    picked, search = split(samples, options.images)
    pixels = [load_sample(sample, spec)[0] for sample in picked]
    images, masks = read(search, spec)
    arguments = (float_file, spec, pixels, images, masks)
    result = quantize_mixed_precision(*arguments, options.max_dice_loss)
    print(result.to_text())
    print_doubt(result)
    if options.report:
        rows = result.sensitivity or layer_sensitivity(*arguments)
        print("\n" + to_text(rows[:10]) + "\n")
        write_report(options.report, result, rows)
    write(options, result, spec, len(pixels), len(images))
    print(f"Bundle: {options.out}   {len(result.model) / 2**20:.2f} MiB")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    model: pathlib.Path = argument("a .keras file")
    data: pathlib.Path = option("its training images calibrate and are searched on")
    max_dice_loss: float = option("what the integers may cost")
    out: pathlib.Path = option("the bundle")
    images: int = option("to search on", 48)
    report: pathlib.Path | None = option("file for the layers' sensitivity", None)


def check(options):
    check_target(options.out)
    if options.report:
        check_target(options.report, "--report")
    if not options.max_dice_loss >= 0:
        raise ValueError(
            f"--max-dice-loss must be 0 or more. Received: {options.max_dice_loss}"
        )
    if options.images < 1:
        raise ValueError(f"--images must be at least 1. Received: {options.images}")


def split(samples, images):
    """Spread over the list, which is sorted by finding, and without overlap."""
    count = len(samples)
    if count < 5:
        raise ValueError(f"--data: {count} training images are too few; 250 are good.")
    calibrate = min(CALIBRATION, count * 4 // 5)
    order = np.unique(np.linspace(0, count - 1, calibrate, dtype=int))
    rest = np.setdiff1d(np.arange(count), order)
    search = rest[np.unique(np.linspace(0, len(rest) - 1, images, dtype=int))]
    return [samples[i] for i in order], [samples[i] for i in search]


def read(samples, spec):
    pixels, lung, infection = zip(*(load_sample(s, spec) for s in samples), strict=True)
    return pixels, {"lung": lung, "infection": infection}


def print_doubt(result):
    error = max(result.steps[0].standard_error.values())
    if result.max_dice_loss < error:
        print(
            f"The bound {result.max_dice_loss} is below the standard error "
            f"{error:.4f} of the loss: on so few images the search follows chance. "
            "Give more --images or a larger bound."
        )


def write_report(path, result, rows):
    report = {
        "max_dice_loss": result.max_dice_loss,
        "float_dice": result.float_dice,
        "kept_float": result.kept_float,
        "steps": [dataclasses.asdict(step) for step in result.steps],
        "sensitivity": [dataclasses.asdict(row) for row in rows],
    }
    write_whole(path, (json.dumps(report, indent=2) + "\n").encode())


def write(options, result, spec, calibration, search):
    kept = ", ".join(f"`{layer}`" for layer in result.kept_float) or "no layer"
    card = CARD.format(
        name=options.out.name,
        model=options.model.name,
        kept=kept,
        bound=options.max_dice_loss,
        calibration=calibration,
        search=search,
        steps=result.to_text().replace("\n", "\n    "),
    )
    export = {
        "quantize": "mixed precision" if result.kept_float else "full_integer",
        "quantizer": "ai_edge",
        "calibration_images": calibration,
        "search_images": search,
        "kept_float": result.kept_float,
        "max_dice_loss": result.max_dice_loss,
        "source": options.model.name,
    }
    write_bundle(options.out, result.model, spec, {}, card, export=export)


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
