#!/usr/bin/env python
"""Turn a trained dual-flow network into a file for MediaPipe's ImageSegmenter.

    python export/to_mediapipe.py MODEL.keras --calibrate DIR --out MODEL.tflite

RGB in, the classes background, clear lung and infection out, labels and metadata
inside; full integer. Time: 20 seconds.
"""

import dataclasses
import pathlib
import sys

from covseg_tf.commands.target import check_target
from covseg_tf.deploy import export_mediapipe, load_network, read_calibration
from covseg_tf.deploy.whole_file import write_whole
from covseg_tf.options import argument, command, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    model: pathlib.Path = argument("a .keras file")
    calibrate: str = option("data set whose training images calibrate", metavar="DIR")
    out: pathlib.Path = option("NAME.tflite")


def run(options):
    check_target(options.out, suffix=".tflite")
    model, spec = load_network(options.model)
    data = export_mediapipe(model, spec, read_calibration(options.calibrate, spec))
    write_whole(options.out, data)
    print(f"File: {options.out}   {len(data) / 2**20:.2f} MiB")


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
