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
from covseg_tf.deploy.command import check_target, run_command, write_whole


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path, help="a .keras file")
    parser.add_argument("--calibrate", required=True, metavar="DIR")
    parser.add_argument("--out", required=True, type=pathlib.Path)
    return parser.parse_args(arguments)


def run(options):
    check_target(options.out, suffix=".tflite")
    model, spec = load_network(options.model)
    data = export_mediapipe(model, spec, read_calibration(options.calibrate, spec))
    write_whole(options.out, data)
    print(f"File: {options.out}   {len(data) / 2**20:.2f} MiB")


def main(arguments=None):
    return run_command("to_mediapipe.py", run, parse(arguments))


if __name__ == "__main__":
    sys.exit(main())
