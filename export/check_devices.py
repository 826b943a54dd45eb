#!/usr/bin/env python
"""Say which devices artifacts fit, and run them under every other runtime that is here.

    python export/check_devices.py ARTIFACT...

ARTIFACT is a .tflite or .onnx file, a bundle, the name of a bundled model, or a
SavedModel's version folder. First the rules of TensorFlow Lite Micro and of the Edge
TPU, held against each TFLite file without running it; then drawn phantoms through
LiteRT's reference kernels and CompiledModel, TensorFlow Lite Micro's reference
interpreter (`pip install ".[micro]"`) and OpenVINO (`".[openvino]"`), each against
the artifact's own runtime, or against --reference. Exit code 1 if --max-difference is
exceeded.
"""

import dataclasses
import os
import pathlib
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from covseg_tf.deploy import (
    check_devices,
    compare_runtimes,
    devices_table,
    load_predictor,
)
from covseg_tf.deploy.markdown import markdown_table
from covseg_tf.deploy.proof.load_predictor import artifact_form
from covseg_tf.edge import draw_phantom, load_bundle
from covseg_tf.options import argument, command, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    artifacts: tuple[str, ...] = argument("what was exported", metavar="ARTIFACT")
    reference: str | None = option("artifact to compare all with", None)
    phantoms: int = option("drawn; 0 runs nothing", 4)
    max_difference: float | None = option("of a probability; without it any", None)


def run(options):
    if options.phantoms < 0:
        raise ValueError(f"--phantoms must be 0 or more. Received: {options.phantoms}")
    forms = {name: artifact_form(name) for name in options.artifacts}
    files = {
        name: load_bundle(name).model
        if form == "bundle"
        else pathlib.Path(name).read_bytes()
        for name, form in forms.items()
        if form in ("bundle", "tflite")
    }
    if files:
        print(devices_table({name: check_devices(x) for name, x in files.items()}))
    if not options.phantoms:
        return 0
    images = [draw_phantom(seed, 0.5).image for seed in range(options.phantoms)]
    reference = load_predictor(options.reference) if options.reference else None
    rows, largest = [], 0.0
    for name in options.artifacts:
        for parity in compare_runtimes(name, images, reference):
            rows.append([name, parity.runtime, *cells(parity)])
            largest = max(largest, parity.max_difference)
    head = ["artifact", "runtime", "largest difference", "pixels unequal"]
    print("\n" + markdown_table([*head, "Dice, lung", "Dice, infection"], rows))
    limit = options.max_difference
    return 0 if limit is None or largest <= limit else 1


def cells(parity):
    if parity.reason:
        return [f"not run: {parity.reason}", "", "", ""]
    dice = [parity.dice.get(flow) for flow in ("lung", "infection")]
    return [
        f"{parity.max_difference:.1e}",
        f"{100 * parity.unequal:.2f} %",
        *("" if value is None else f"{value:.4f}" for value in dice),
    ]


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
