#!/usr/bin/env python
"""Turn a trained dual-flow network into ONNX, and compare it with Keras at once.

    python export/to_onnx.py MODEL.keras --out MODEL.onnx

For ONNX Runtime, OpenVINO, TensorRT. Needs `pip install ".[onnx]"`. Exit code 1 if a
probability differs by more than 1e-4. Prove it on real images with
export/check_parity.py. Time: 10 seconds.
"""

import dataclasses
import importlib.util
import pathlib
import sys

import numpy as np

from covseg_tf.commands.target import check_target
from covseg_tf.deploy import (
    export_onnx,
    keras_predictor,
    load_network,
    onnx_predictor,
)
from covseg_tf.edge import draw_phantom
from covseg_tf.options import argument, command, option

TOLERANCE = 1e-4  # of a probability


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    model: pathlib.Path = argument("a .keras file")
    out: pathlib.Path = option("NAME.onnx")


def run(options):
    check_target(options.out, suffix=".onnx")
    if importlib.util.find_spec("onnxruntime") is None:
        raise ValueError("needs onnxruntime; pip install 'covseg-tf[onnx]'.")
    model, spec = load_network(options.model)
    path = export_onnx(model, spec, options.out)
    pixels = spec.apply(draw_phantom(seed=0).image)
    expected = keras_predictor(model, spec)(pixels)
    found = onnx_predictor(path)(pixels)
    difference = max(float(np.abs(expected[k] - found[k]).max()) for k in expected)
    print(f"ONNX: {path}   largest difference on a phantom {difference:.1e}")
    return 0 if difference <= TOLERANCE else 1


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
