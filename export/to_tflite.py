#!/usr/bin/env python
"""Turn a trained dual-flow network into TFLite, in a bundle or as a plain file.

    python export/to_tflite.py MODEL.keras --quantize full_integer \\
        --calibrate DIR --out BUNDLE

--quantize float32, float16, dynamic_range or full_integer. DIR is a data set that
`covseg data check` knows; about 200 of its training images calibrate the integers.
--quantizer ai_edge takes ai-edge-quantizer in place of the converter. An --out that
ends in .tflite gets the file alone; any other the bundle that `covseg triage --model`
runs. Quantization-aware training, mixed precision, pruning and clustering have
commands of their own beside this one. Time: 10 to 20 seconds on 2 CPU cores.
"""

import dataclasses
import pathlib
import sys

from covseg_tf.commands.target import check_target
from covseg_tf.deploy import (
    export_tflite,
    load_network,
    quantize_with_ai_edge,
    read_calibration,
    write_bundle,
)
from covseg_tf.deploy.tflite import INTERFACES, QUANTIZATIONS
from covseg_tf.deploy.whole_file import write_whole
from covseg_tf.options import argument, command, option

CARD = """# Model card: {name}

**Research use only. Not a medical device; not for diagnosis.**

Exported from `{model}` to {quantize} TFLite{calibrated}.
Not measured: run `export/check_parity.py` before you rely on it.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    model: pathlib.Path = argument("a .keras file")
    quantize: str = option("to what", "full_integer", choices=QUANTIZATIONS)
    interface: str | None = option("of input and output", None, choices=INTERFACES)
    calibrate: str | None = option("for full_integer", None, metavar="DIR")
    quantizer: str = option(
        "what quantizes", "converter", choices=("converter", "ai_edge")
    )
    resizable_batch: bool = option("for a plain file", False)
    license: str = option("SPDX identifier of the weights'", "")
    out: pathlib.Path = option("folder of the bundle, or NAME.tflite")


def check(options):
    check_target(options.out)
    plain = options.out.suffix == ".tflite"
    integer = options.quantize == "full_integer"
    if integer != bool(options.calibrate):
        raise ValueError(
            "--quantize full_integer needs --calibrate DIR, a data set whose training "
            "images show the range of every tensor; the other forms take none."
        )
    if options.resizable_batch and not plain:
        raise ValueError("--resizable-batch needs an --out that ends in .tflite.")
    if options.license and plain:
        raise ValueError("--license goes into a bundle; a plain file holds none.")
    if options.quantizer == "ai_edge" and (
        options.interface or options.resizable_batch or options.quantize == "float32"
    ):
        raise ValueError(
            "--quantizer ai_edge takes neither --interface nor --resizable-batch nor "
            "float32."
        )


def convert(options, model, spec, images):
    if options.quantizer == "ai_edge":
        float_file = export_tflite(model, spec, quantize="float32")
        return quantize_with_ai_edge(float_file, options.quantize, images, spec)
    batch_size = None if options.resizable_batch else 1
    return export_tflite(
        model, spec, images, options.quantize, options.interface, batch_size
    )


def run(options):
    check(options)
    model, spec = load_network(options.model)
    images = read_calibration(options.calibrate, spec) if options.calibrate else None
    tflite = convert(options, model, spec, images)
    plain = options.out.suffix == ".tflite"
    if plain:
        write_whole(options.out, tflite)
    else:
        write_as_bundle(options, tflite, spec, images)
    kind = "File" if plain else "Bundle"
    print(f"{kind}: {options.out}   {len(tflite) / 2**20:.2f} MiB")


def write_as_bundle(options, tflite, spec, images):
    calibrated = f", calibrated on {len(images)} images" if images else ""
    card = CARD.format(
        name=options.out.name,
        model=options.model.name,
        quantize=options.quantize.replace("_", " "),
        calibrated=calibrated,
    )
    write_bundle(
        options.out,
        tflite,
        spec,
        metrics={},
        model_card=card,
        **license_of(options.license),
        export={
            "quantize": options.quantize,
            "quantizer": options.quantizer,
            "calibration_images": len(images or ()),
            "source": options.model.name,
        },
    )


def license_of(identifier):
    if not identifier:
        return {}
    text = f"The weights in this bundle are licensed under {identifier}.\n"
    return {"license": (identifier, text)}


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
