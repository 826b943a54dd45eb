#!/usr/bin/env python
"""Turn a trained dual-flow network into a bundle for `covseg triage --model`.

    python export/to_tflite.py MODEL.keras --calibrate DIR --out BUNDLE

DIR has the layout of the COVID-QU-Ex download; about 200 of its Train images
calibrate the integers. The bundle's card names the model file and holds no
scores: measure it with a recipe, and put the numbers there.
Time: about 20 seconds on 2 CPU cores.
"""

import argparse
import pathlib
import sys

import keras

import covseg_tf.models  # noqa: F401  registers the classes that MODEL holds
from covseg_tf.data import load_sample, read_covid_qu_ex
from covseg_tf.deploy import export_tflite, write_bundle
from covseg_tf.edge import PreprocessingSpec

IMAGES = 200
CARD = """# Model card: {name}

**Research use only. Not a medical device; not for diagnosis.**

Exported from `{model}` to full-integer TFLite, calibrated on {images} images.
Not measured: run a recipe's evaluation before you rely on it.
"""


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--calibrate", required=True, type=pathlib.Path)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    options = parser.parse_args(arguments)
    try:
        if options.out.exists():
            raise ValueError(f"{options.out}: already there; give another --out.")
        samples = read_covid_qu_ex(options.calibrate, "Train")
        model = keras.saving.load_model(options.model, compile=False)
        if None in model.inputs[0].shape[1:3]:
            raise ValueError(
                f"{options.model}: takes images of any size; rebuild it with a fixed "
                "input shape and load these weights."
            )
        spec = PreprocessingSpec(*model.inputs[0].shape[1:3])
        picked = samples[:: max(1, len(samples) // IMAGES)]
        pixels = [load_sample(sample, spec)[0] for sample in picked]
        tflite = export_tflite(model, spec, pixels)
    except ValueError as error:
        print(f"to_tflite.py: {error}", file=sys.stderr)
        return 2
    card = CARD.format(
        name=options.out.name, model=options.model.name, images=len(pixels)
    )
    write_bundle(options.out, tflite, spec, metrics={}, model_card=card)
    print(f"Bundle: {options.out}   {len(tflite) / 2**20:.2f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
