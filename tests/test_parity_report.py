"""The report on an artifact: tolerance, table, and what is measured of it."""

import dataclasses
import json

import keras
import numpy as np
import pytest

from covseg_tf.deploy import (
    FlowParity,
    ParityReport,
    Predictor,
    check_parity,
    describe_artifact,
    export_onnx,
    load_predictor,
    measure_artifact,
    parity_table,
)
from covseg_tf.edge import PreprocessingSpec, draw_phantom
from covseg_tf.edge import measure as edge_measure

SPEC = PreprocessingSpec(64, 64)


def constant(value):
    maps = np.full((64, 64), value, np.float32)
    return Predictor("constant", SPEC, ("lung",), 0.5, lambda pixels: {"lung": maps})


def test_differences_and_dice_by_hand():
    """Half of the image is lung; 0.75 paints all of it, 0.25 nothing."""
    mask = np.zeros((64, 64), bool)
    mask[:32] = True
    pixels = [np.zeros((64, 64), np.uint8)]
    found = check_parity(constant(0.75), constant(0.25), pixels, {"lung": [mask]})
    parity = found["lung"]
    assert parity.max_difference == parity.mean_difference == 0.5
    # Dice of everything painted: 2 * 2048 / (4096 + 2048).
    assert parity.keras_dice == pytest.approx(2 / 3, abs=1e-6)
    assert parity.artifact_dice == pytest.approx(0, abs=1e-6)
    assert parity.dice_change == pytest.approx(-2 / 3, abs=1e-6)


def report(change=0.0, difference=0.0):
    parity = FlowParity(difference, difference / 2, 0.7, 0.7 + change, 3)
    measured = edge_measure.Measurement(1, 5, 1.0, 2.0, 3.0, 80.0, 140, 137, 2)
    return ParityReport("a", "tflite", 2_500_000, {"lung": parity}, {}, (measured,))


def test_faults_are_those_past_the_tolerance():
    assert report(0.004, 0.9).faults(0.005) == []
    assert "changes by -0.0060, allowed 0.005" in report(-0.006).faults(0.005)[0]
    assert "differs by 0.01, allowed 1e-06" in report(0, 0.01).faults(0.005, 1e-6)[0]
    assert len(report(float("nan"), float("nan")).faults(1.0, 1.0)) == 2


def test_a_map_that_is_not_a_number_is_a_fault():
    mask = np.ones((64, 64), bool)
    pixels = [np.zeros((64, 64), np.uint8)]
    flows = check_parity(constant(0.5), constant(np.nan), pixels, {"lung": [mask]})
    broken = dataclasses.replace(report(), flows=flows)
    assert broken.faults(1.0, 0.1)


def test_table_has_a_line_per_artifact():
    lines = parity_table([report(0.001, 0.5), report()]).splitlines()
    assert len(lines) == 4
    assert "| a | 2.50 | 0.7010 | +0.0010 |" in lines[2]
    assert "137 of 140 in 2 | 2.0 | 80 |" in lines[2]
    assert len({line.count("|") for line in lines}) == 1
    text = json.dumps(report(0.001, 0.5).to_dict())
    assert ParityReport.from_dict(json.loads(text)) == report(0.001, 0.5)


def test_measured_without_tensorflow_and_from_zero(tiny_bundle):
    """The memory is the child's own: this process has TensorFlow, that one not."""
    found = measure_artifact(tiny_bundle, "bundle", threads=1, runs=5)
    assert found.threads == 1
    assert found.runs == 5
    assert 20 < found.peak_memory_mb < 200
    assert 0 < found.latency_ms <= found.latency_p90_ms
    # uint8 input and outputs: three QUANTIZE that XNNPACK does not take.
    assert found.operators - found.delegated == 3
    assert found.partitions == 1
    with pytest.raises(ValueError, match="cannot be measured: .*no such model"):
        measure_artifact(tiny_bundle / "nothing", "bundle")


def test_measure_refuses(tmp_path, capsys):
    with pytest.raises(ValueError, match="at least 1"):
        edge_measure.measure(b"", threads=0)
    (tmp_path / "x.tflite").write_bytes(b"no model")
    assert edge_measure.main([str(tmp_path / "x.tflite")]) == 2
    assert "cannot load" in capsys.readouterr().err


def test_what_an_artifact_is(tiny_bundle, tiny_servable, tiny_model, tmp_path):
    form, size, operators = describe_artifact(tiny_bundle)
    assert form == "bundle"
    assert size > (tiny_bundle / "model.tflite").stat().st_size
    assert operators["LOGISTIC"] >= 2
    form, size, operators = describe_artifact(tiny_servable)
    assert form == "saved_model"
    assert operators["EnsureShape"] >= 3
    tiny_model.save(tmp_path / "tiny.keras")
    form, size, layers = describe_artifact(tmp_path / "tiny.keras")
    assert (form, size) == ("keras", (tmp_path / "tiny.keras").stat().st_size)
    # Two decoder scales of two steps, each with an attention.
    assert layers["RegionFusionAttention"] == 4


@pytest.mark.parametrize("name", ["x.tflite", "x.onnx", "x.keras", "nothing"])
@pytest.mark.parametrize("exists", [True, False])
def test_what_is_no_artifact(tmp_path, name, exists):
    if exists:
        (tmp_path / name).write_bytes(b"no model" * 10)
    with pytest.raises(ValueError, match=name):
        describe_artifact(tmp_path / name)


def test_a_plain_file_may_be_called_as_a_bundle_names_it(tiny_bundle, tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes((tiny_bundle / "model.tflite").read_bytes())
    assert describe_artifact(path)[0] == "tflite"
    assert describe_artifact(tiny_bundle / "model.tflite")[0] == "bundle"


def test_onnx_is_the_model(tiny_model, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    path = export_onnx(tiny_model, SPEC, tmp_path / "tiny.onnx")
    session = onnxruntime.InferenceSession(path)
    assert {x.name for x in session.get_outputs()} == {"lung", "infection"}
    pixels = np.stack([SPEC.apply(draw_phantom(i).image) for i in range(3)])
    images = pixels[..., None].astype(np.float32) / 255
    expected = tiny_model.predict(images, verbose=0)
    found = session.run(["lung", "infection"], {"image": images})
    for flow, maps in zip(("lung", "infection"), found, strict=True):
        np.testing.assert_allclose(maps, expected[flow], atol=1e-5)
    predictor = load_predictor(path)
    assert predictor.spec == SPEC
    np.testing.assert_allclose(
        predictor(pixels[1])["lung"], expected["lung"][1, ..., 0], atol=1e-5
    )
    assert describe_artifact(path)[0] == "onnx"
    with pytest.raises(ValueError, match="not overwritten"):
        export_onnx(tiny_model, SPEC, path)
    with pytest.raises(ValueError, match=r"ends in \.onnx"):
        export_onnx(tiny_model, SPEC, tmp_path / "tiny.pb")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ValueError, match="ONNX Runtime cannot load"):
        load_predictor(tmp_path / "bad.onnx")


def test_onnx_needs_the_size_of_its_model(tmp_path):
    other = keras.Sequential([keras.Input((64, 64, 1)), keras.layers.Conv2D(1, 1)])
    with pytest.raises(ValueError, match="must give a dict with 'lung'"):
        export_onnx(other, SPEC, tmp_path / "x.onnx")
    assert not list(tmp_path.iterdir())
