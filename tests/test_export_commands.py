"""The commands under export/, on a tiny network."""

import os
import pathlib
import subprocess
import sys

from covseg_tf.edge import Segmenter, draw_phantom

EXPORT = pathlib.Path(__file__).resolve().parents[1] / "export"


def test_to_tflite_makes_a_bundle_that_runs(tiny_model, phantom_data, tmp_path):
    tiny_model.save(tmp_path / "tiny.keras")
    words = [
        EXPORT / "to_tflite.py",
        tmp_path / "tiny.keras",
        *("--calibrate", phantom_data, "--out", tmp_path / "tiny"),
    ]
    result = subprocess.run(
        [sys.executable, *words],
        capture_output=True,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    assert result.returncode == 0, result.stderr[-2000:]
    prediction = Segmenter(tmp_path / "tiny").predict(draw_phantom(0).image)
    assert prediction.lung.shape == (512, 512)
    again = subprocess.run([sys.executable, *words], capture_output=True, text=True)
    assert again.returncode == 2
    assert "already there" in again.stderr.strip().splitlines()[-1]
