#!/usr/bin/env python
"""Turn a trained dual-flow network into ONNX, and compare it with Keras at once.

    python export/to_onnx.py MODEL.keras --out MODEL.onnx

For ONNX Runtime, OpenVINO, TensorRT. Needs `pip install ".[onnx]"`. Prove it on real
images with export/check_parity.py. Time: 10 seconds.
"""

import argparse
import pathlib
import sys

import numpy as np

from covseg_tf.deploy import (
    export_onnx,
    keras_predictor,
    load_network,
    onnx_predictor,
)
from covseg_tf.edge import draw_phantom


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path, help="a .keras file")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="NAME.onnx")
    options = parser.parse_args(arguments)
    try:
        model, spec = load_network(options.model)
        path = export_onnx(model, spec, options.out)
        pixels = spec.apply(draw_phantom(seed=0).image)
        expected = keras_predictor(model, spec)(pixels)
        found = onnx_predictor(path)(pixels)
    except ValueError as error:
        print(f"to_onnx.py: {error}", file=sys.stderr)
        return 2
    difference = max(float(np.abs(expected[k] - found[k]).max()) for k in expected)
    print(f"ONNX: {path}   largest difference on a phantom {difference:.1e}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
