#!/usr/bin/env python
"""Turn a trained dual-flow network into ONNX, and compare it with Keras at once.

    python export/to_onnx.py MODEL.keras --out MODEL.onnx

For ONNX Runtime, OpenVINO, TensorRT. Needs `pip install ".[onnx]"`. Exit code 1 if a
probability differs by more than 1e-4. Prove it on real images with
export/check_parity.py. Time: 10 seconds.
"""

import argparse
import importlib.util
import pathlib
import sys

import numpy as np

from covseg_tf.deploy import (
    export_onnx,
    keras_predictor,
    load_network,
    onnx_predictor,
)
from covseg_tf.deploy.command import check_target, run_command
from covseg_tf.edge import draw_phantom

TOLERANCE = 1e-4  # of a probability


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path, help="a .keras file")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="NAME.onnx")
    return parser.parse_args(arguments)


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


def main(arguments=None):
    return run_command("to_onnx.py", run, parse(arguments))


if __name__ == "__main__":
    sys.exit(main())
