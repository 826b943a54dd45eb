#!/usr/bin/env python
"""Turn a trained dual-flow network into a file for MediaPipe's ImageSegmenter.

    python export/to_mediapipe.py MODEL.keras --calibrate DIR --out MODEL.tflite

RGB in, the classes background, clear lung and infection out, labels and metadata
inside; full integer. Time: 20 seconds.
"""

import argparse
import pathlib
import sys

from covseg_tf.deploy import export_mediapipe, load_network, read_calibration
from covseg_tf.deploy.tflite import save_tflite


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path, help="a .keras file")
    parser.add_argument("--calibrate", required=True, metavar="DIR")
    parser.add_argument("--out", required=True, type=pathlib.Path)
    options = parser.parse_args(arguments)
    try:
        if options.out.exists():
            raise ValueError(f"{options.out}: already there; give another --out.")
        model, spec = load_network(options.model)
        data = export_mediapipe(model, spec, read_calibration(options.calibrate, spec))
        save_tflite(data, options.out)
    except ValueError as error:
        print(f"to_mediapipe.py: {error}", file=sys.stderr)
        return 2
    print(f"File: {options.out}   {len(data) / 2**20:.2f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
