"""The benchmarks' counting, by hand and by TensorFlow's own profiler."""

import pathlib
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf

from benchmarks.ablation import gates, sizes
from benchmarks.edge import arm64
from covseg_tf.data import read_covid_qu_ex
from covseg_tf.edge import PreprocessingSpec
from covseg_tf.models import DualFlowSegmenter, EdgeEncoder
from covseg_tf.training.gate_contrast import _shrink

ROOT = pathlib.Path(__file__).resolve().parents[1]


def test_gates_inside_and_outside_by_hand(phantom_data):
    """Zero weights: every gate is 1/2 on both sides; then a bias of 4 saturates."""

    def measure():
        sides = ("inside", "outside", "saturated")
        found = gates.measure(model, samples, spec)
        return {of["gate"]: tuple(of[side] for side in sides) for of in found}

    mask = np.zeros((4, 4), np.uint8)
    mask[:2, :3] = 1
    assert _shrink(mask, (2, 2)).tolist() == [[1, 0.5], [0, 0]]
    model = DualFlowSegmenter(EdgeEncoder((64, 64, 1), 4, (4, 6), (0, 0)))
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    samples, spec = read_covid_qu_ex(phantom_data, "Val"), PreprocessingSpec(64, 64)
    found = measure()
    assert set(found) == {f"rfa_d1{s}, {f}" for s in ("", "_1") for f in FLOWS}
    for values in found.values():
        assert values == pytest.approx((0.5, 0.5, 0))
    layer = model.get_layer("rfa_d1").lung_gate
    layer.set_weights([np.zeros_like(layer.get_weights()[0]), np.array([4.0])])
    values = measure()["rfa_d1, lung"]
    assert values == pytest.approx((0.98201, 0.98201, 1), abs=1e-4)


FLOWS = ("lung", "infection")


def test_macs_by_hand():
    """A strided 3x3 from 2 to 5 channels on 8x8, then a depthwise 3x3."""
    inputs = keras.Input((8, 8, 2))
    x = keras.layers.Conv2D(5, 3, strides=2, padding="same")(inputs)
    x = keras.layers.DepthwiseConv2D(3, padding="same")(x)
    model = keras.Model(inputs, x)
    assert sizes.count_macs(model) == 16 * (9 * 2 * 5 + 9 * 5)


def test_macs_agree_with_the_profiler():
    """The profiler counts 2 operations per multiply-accumulate.

    Without attention: TensorFlow pads a dilated convolution to whole blocks on a
    CPU, and the profiler counts the padding.
    """
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2 as freeze,
    )

    model = DualFlowSegmenter(
        EdgeEncoder((64, 64, 1), 8, (16, 24, 32), (1, 1, 1)), attention="none"
    )
    spec = tf.TensorSpec((1, 64, 64, 1))
    graph = freeze(tf.function(model).get_concrete_function(spec)).graph
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    profile = tf.compat.v1.profiler.profile(
        graph,
        options=tf.compat.v1.profiler.ProfileOptionBuilder(options)
        .with_empty_output()
        .with_accounted_types([".*[cC]onv2[dD].*"])
        .select(["float_ops"])
        .build(),
    )
    operations = profile.total_float_ops
    macs = sizes.count_macs(model)
    assert operations / 2 == pytest.approx(macs, rel=1e-6)


def test_networks_command_prints_four_rows(capsys):
    assert sizes.main(["--encoder", "xray", "--size", "64"]) == 0
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 6
    assert "infection + 3 side heads" in lines[2]
    assert "infection, lung + 6 side heads" in lines[4]


def test_the_bundled_model_keeps_its_budget():
    """In a light process of its own: a child's peak starts at its parent's."""
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.edge", "budget", "--runs", "3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.count("limit") == 3


def test_arm64_compares_pixel_by_pixel(tmp_path, monkeypatch, capsys):
    here = {"lung": np.array([[0, 10], [255, 3]], np.uint8)}
    there = {"lung": np.array([[0, 12], [0, 3]], np.uint8)}
    assert arm64.compare(here, there) == {"lung": (0.5, 255)}
    assert arm64.compare(here, here) == {"lung": (0.0, 0)}
    assert arm64.main(["--work", str(tmp_path / "none")]) == 2
    assert "no such folder; make it first" in capsys.readouterr().err
    monkeypatch.setattr(arm64.shutil, "which", lambda name: None)
    assert arm64.main(["--work", str(tmp_path)]) == 2
    assert "apt install qemu-user-static debootstrap" in capsys.readouterr().err
