#!/usr/bin/env python
"""Turn a full-integer TFLite file into C++ for TensorFlow Lite Micro.

    python export/to_micro.py BUNDLE_OR_TFLITE --out FOLDER

FOLDER gets NAME.cc, the model as an array, and NAME.h: the size of the arena, place,
scale and zero point of each input and output, and a resolver of the operators in use
alone. Where tflite-micro is installed (`pip install ".[micro]"`), its reference
interpreter runs a phantom first, and what it differs from LiteRT by is printed.
"""

import dataclasses
import os
import pathlib
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from covseg_tf.commands.target import check_target
from covseg_tf.deploy import check_devices, compare_runtimes, micro_source
from covseg_tf.deploy.proof.load_predictor import artifact_form
from covseg_tf.deploy.whole_file import whole_folder
from covseg_tf.edge import draw_phantom, load_bundle
from covseg_tf.edge.verify_model import verify_model
from covseg_tf.options import argument, command, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    model: str = argument("a .tflite file, a bundle, or the name of a bundled model")
    name: str = option("of the files and the C++ namespace", "covseg_model")
    arena: int | None = option("bytes, as measured; without it an estimate", None)
    out: pathlib.Path = option("folder for the source")


def run(options):
    check_target(options.out)
    form = artifact_form(options.model)
    if form not in ("bundle", "tflite"):
        raise ValueError(f"{options.model}: give a .tflite file or a bundle.")
    if form == "bundle":
        model = load_bundle(options.model).model
    else:
        model = pathlib.Path(options.model).read_bytes()
        verify_model(model)
    source = micro_source(model, options.name, options.arena)
    alive = check_devices(model).alive_bytes
    print(f"Alive at one time: {alive / 1000:.0f} kB of tensors")
    for parity in compare_runtimes(options.model, [draw_phantom(0).image]):
        if parity.runtime == "TensorFlow Lite Micro":
            told = f"differs by up to {256 * parity.max_difference:.0f} of 256 levels"
            print(f"{parity.runtime}: {parity.reason or told}")
    with whole_folder(options.out) as folder:
        for name, text in source.items():
            (folder / name).write_text(text, "utf-8")
    print(f"Source: {', '.join(str(options.out / name) for name in source)}")


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
