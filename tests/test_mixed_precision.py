"""Quantization with ai-edge-quantizer, layer by layer."""

import json
import pathlib
import re
import runpy
import sys

import keras
import numpy as np
import pytest

from covseg_tf.deploy.optimization.mixed_precision import quantize_mixed_precision
from covseg_tf.deploy.proof.sensitivity import (
    FLOWS,
    image_dice,
    layer_sensitivity,
    predict_maps,
    to_text,
)
from covseg_tf.deploy.tflite import export_tflite
from covseg_tf.deploy.tflite.ai_edge import (
    calibrate_ranges,
    quantize_in_ranges,
    quantize_with_ai_edge,
)
from covseg_tf.deploy.tflite.contents import operator_names, read_schema
from covseg_tf.deploy.tflite.layers import layer_operators, layer_tensors
from covseg_tf.edge import PreprocessingSpec, Segmenter, draw_phantom, load_bundle

EXPORT = pathlib.Path(__file__).resolve().parents[1] / "export"
COMMAND = runpy.run_path(str(EXPORT / "mixed_precision.py"))
SPEC = PreprocessingSpec(64, 64)
IMAGES = [SPEC.apply(draw_phantom(100 + i, 0.3, 64).image) for i in range(4)]
CALIBRATION = [SPEC.apply(draw_phantom(i, 0.3, 128).image) for i in range(4)]
CALIBRATION.append(np.linspace(0, 255, 64 * 64).reshape(64, 64).astype(np.uint8))


@pytest.fixture(scope="module")
def float_file(tiny_model):
    return export_tflite(tiny_model, SPEC, quantize="float32")


@pytest.fixture(scope="module")
def int8_file(float_file):
    return quantize_with_ai_edge(float_file, "full_integer", CALIBRATION, SPEC)


@pytest.fixture(scope="module")
def fragile(tiny_model, tmp_path_factory):
    """The same function in float, with one channel 3000 times as large.

    Rectifiers let a factor through, so the next convolution can undo it; but in
    8 bit the other channels of that tensor all round to zero. The masks are the
    float maps, shifted so that half of the pixels are foreground.
    """
    path = tmp_path_factory.mktemp("fragile") / "fragile.keras"
    tiny_model.save(path)
    model = keras.saving.load_model(path, compile=False)
    norm, conv = model.get_layer("stem_norm"), model.get_layer("p2_down_conv")
    gamma, beta, *moving = norm.get_weights()
    kernel, *bias = conv.get_weights()
    gamma[0], beta[0], kernel[:, :, 0] = (
        gamma[0] * 3000,
        beta[0] * 3000,
        kernel[:, :, 0] / 3000,
    )
    norm.set_weights([gamma, beta, *moving])
    conv.set_weights([kernel, *bias])
    maps = model.predict(np.stack(IMAGES)[..., None] / np.float32(255), verbose=0)
    for flow in FLOWS:
        middle = np.median(maps[flow])
        logits = model.get_layer(f"{flow}_logits")
        kernel, bias = logits.get_weights()
        logits.set_weights([kernel, bias - np.log(middle / (1 - middle))])
    data = export_tflite(model, SPEC, quantize="float32")
    masks = {k: v > 0.5 for k, v in predict_maps(data, SPEC, IMAGES).items()}
    return data, masks


@pytest.fixture(scope="module")
def report(fragile):
    data, masks = fragile
    return layer_sensitivity(data, SPEC, CALIBRATION, IMAGES, masks)


def tensor_types(data):
    """Names of the types of every operator's output, by tensor name."""
    from ai_edge_litert import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.TensorType).items()}
    graph = read_schema(data).subgraphs[0]
    tensors = [graph.tensors[operator.outputs[0]] for operator in graph.operators]
    return {tensor.name.decode(): names[tensor.type] for tensor in tensors}


def test_sizes_and_types_of_the_methods(float_file, int8_file):
    half = quantize_with_ai_edge(float_file, "float16")
    dynamic = quantize_with_ai_edge(float_file, "dynamic_range")
    maps = predict_maps(float_file, SPEC, IMAGES)
    for data, bound in ((half, 1e-3), (dynamic, 0.05)):
        found = predict_maps(data, SPEC, IMAGES)
        for flow in FLOWS:
            assert 0 < np.abs(found[flow] - maps[flow]).max() < bound
    assert len(float_file) > len(dynamic)
    # At this size the names and scales outweigh the weights: compare buffers.
    weights = [
        sum(len(b.data) for b in read_schema(data).buffers if b.data is not None)
        for data in (float_file, half, int8_file)
    ]
    assert weights[0] > weights[1] > weights[2]


def test_full_integer_is_integer_alone_and_takes_grey_levels(int8_file):
    assert set(tensor_types(int8_file).values()) == {"INT8", "UINT8"}
    assert "DEQUANTIZE" not in operator_names(int8_file)
    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_content=int8_file).get_signature_runner("serve")
    (image,) = runner.get_input_details().values()
    assert image["dtype"] == np.uint8
    assert image["quantization"] == (pytest.approx(1 / 255, rel=1e-3), 0)
    for output in runner.get_output_details().values():
        assert output["dtype"] == np.uint8
        assert output["quantization"] == (1 / 256, 0)


def test_static_is_what_the_converter_calibrates(tiny_bundle, int8_file):
    converted = load_bundle(tiny_bundle).model  # on the same images

    def scales(data):
        graph = read_schema(data).subgraphs[0]
        tensors = [graph.tensors[operator.outputs[0]] for operator in graph.operators]
        return {
            re.sub(r"functional(_\d+)*/", "", t.name.decode()): t.quantization.scale[0]
            for t in tensors
        }

    ours, theirs = scales(int8_file), scales(converted)
    shared = sorted(set(ours) & set(theirs))
    assert len(shared) > 80
    ratio = np.array([theirs[name] / ours[name] for name in shared])
    # The converter widens the inputs of additions and concatenations to spare a
    # QUANTIZE; every other range is the same.
    assert ratio.min() > 1 - 1e-5
    assert (ratio > 1 + 1e-5).sum() < 0.25 * len(shared)
    ours, theirs = (
        Segmenter.from_bytes(data, SPEC).run(IMAGES[0])
        for data in (int8_file, converted)
    )
    for flow in FLOWS:
        difference = np.abs(ours[flow].astype(int) - theirs[flow])
        assert difference.max() <= 4  # levels of 1/256
        assert difference.mean() < 0.5


def test_layers_of_the_file(float_file):
    layers = layer_tensors(float_file)
    graph = read_schema(float_file).subgraphs[0]
    assert sum(map(len, layers.values())) == len(graph.operators)
    assert {"stem_conv_1", "lung_logits_1", "p2_block1_add_1", *FLOWS} <= set(layers)
    operators = layer_operators(float_file)
    assert list(operators) == list(layers)
    assert operators["stem_conv_1"] == "CONV_2D"
    assert operators["rfa_d1_1/lung_gate_1"] == "CONV_2D+LOGISTIC"
    assert operators["infection"] == "LOGISTIC"


def test_kept_layers_are_float_and_the_others_int8(float_file):
    kept = ("p2_block1_1_conv_1", "lung_d1_skip_1")
    data = quantize_with_ai_edge(float_file, "full_integer", CALIBRATION, SPEC, kept)
    types = tensor_types(data)
    layers = layer_tensors(float_file)
    for layer, tensors in layers.items():
        expected = "FLOAT32" if layer in kept else "INT8"
        assert {types[tensor] for tensor in tensors} == {expected}, layer
    again = quantize_with_ai_edge(float_file, "full_integer", CALIBRATION, SPEC, kept)
    assert data == again
    ranges = calibrate_ranges(float_file, CALIBRATION, SPEC)
    nothing = quantize_in_ranges(float_file, ranges, list(layers))
    assert set(tensor_types(nothing).values()) == {"FLOAT32"}
    for flow, maps in predict_maps(nothing, SPEC, IMAGES).items():
        np.testing.assert_array_equal(
            maps, predict_maps(float_file, SPEC, IMAGES)[flow]
        )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"method": "int4"}, "one of float16, dynamic_range, full_integer"),
        ({"spec": None}, "needs `spec`"),
        ({"calibration": None}, "Received: 0 images"),
        ({"calibration": [np.full((64, 64), 100, np.uint8)] * 2}, "black .0. to white"),
        (
            {"keep_float": ["stem_conv"]},
            "no layer 'stem_conv'. Did you mean stem_conv_1",
        ),
        ({"model": b"no model" * 100}, "is no TFLite file"),
    ],
)
def test_quantize_refuses(float_file, changes, text):
    arguments = {
        "model": float_file,
        "method": "full_integer",
        "calibration": CALIBRATION,
        "spec": SPEC,
    }
    with pytest.raises(ValueError, match=text):
        quantize_with_ai_edge(**arguments | changes)


def test_quantized_files_and_odd_interfaces_are_refused(float_file, int8_file):
    with pytest.raises(ValueError, match="Received: a quantized file"):
        quantize_with_ai_edge(int8_file, "float16")
    with pytest.raises(ValueError, match="'uint8' without `keep_float`"):
        quantize_in_ranges(float_file, {}, ["stem_conv_1"], "uint8")


def test_a_missing_quantizer_is_named(float_file, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    with pytest.raises(ValueError, match=r"pip install 'covseg-tf\[quant\]'"):
        quantize_with_ai_edge(float_file, "float16")


def test_a_dead_tensor_is_refused(float_file):
    ranges = calibrate_ranges(float_file, CALIBRATION, SPEC)
    (tensor,) = layer_tensors(float_file)["stem_conv_1"]
    dead = {"min": np.zeros(1, np.float32), "max": np.zeros(1, np.float32)}
    with pytest.raises(ValueError, match="always zero"):
        quantize_in_ranges(float_file, dict(ranges) | {tensor: dead})


def test_the_report_blames_the_layers_around_the_bad_tensor(fragile, report):
    data, _ = fragile
    assert {row.layer for row in report[:2]} == {"stem_conv_1", "p2_down_conv_1"}
    assert sorted(r.layer for r in report) == sorted(layer_tensors(data))
    assert [r.worst for r in report] == sorted((r.worst for r in report), reverse=True)
    others = max(row.worst for row in report[2:])
    assert min(row.worst for row in report[:2]) > 4 * others
    by_name = {row.layer: row for row in report}
    # No path leads from the infection flow to the lung map.
    for name in ("infection_logits_1", "infection_d1_conv_1", "infection"):
        assert by_name[name].map_change["lung"] == 0
        assert by_name[name].map_change["infection"] > 0


def test_bytes_saved_are_those_of_the_weights(fragile, report):
    """Three of four bytes of a kernel, less a scale per filter and the borders."""
    by_name = {row.layer: row for row in report}
    kernel = 3 * 3 * 6 * 8  # p3_down_conv
    assert 3 * kernel - 2000 < by_name["p3_down_conv_1"].bytes_saved < 3 * kernel
    assert by_name["p2_block1_add_1"].bytes_saved <= 0
    table = to_text(report).splitlines()
    assert len(table) == len(report) + 1
    assert report[0].layer in table[1]
    assert f"{report[0].dice_lost['infection']:.5f}" in table[1]


def test_the_recipe_keeps_those_layers_and_stops_under_the_bound(fragile, report):
    data, masks = fragile
    result = quantize_mixed_precision(data, SPEC, CALIBRATION, IMAGES, masks, 0.02)
    assert result.sensitivity == tuple(report)  # two runs, the same numbers
    assert result.float_dice == {"lung": 1.0, "infection": 1.0}
    assert set(result.kept_float[:2]) == {"stem_conv_1", "p2_down_conv_1"}
    assert len(result.kept_float) <= 4
    assert [s.added for s in result.steps] == [None, *result.kept_float]
    assert all(step.worst > 0.02 for step in result.steps[:-1])
    assert result.steps[0].worst > 0.15
    types = tensor_types(result.model)
    for layer, tensors in layer_tensors(data).items():
        expected = "FLOAT32" if layer in result.kept_float else "INT8"
        assert {types[tensor] for tensor in tensors} == {expected}
    # The file itself keeps the promise, measured once more.
    dice = image_dice(predict_maps(result.model, SPEC, IMAGES), masks)
    lost = {flow: 1 - dice[flow].mean() for flow in FLOWS}
    assert lost == pytest.approx(result.steps[-1].dice_lost)
    assert max(lost.values()) <= 0.02
    assert len(result.to_text().splitlines()) == 2 + len(result.steps)


def test_all_int8_is_kept_where_it_is_good_enough(fragile):
    data, masks = fragile
    result = quantize_mixed_precision(data, SPEC, CALIBRATION, IMAGES, masks, 0.5)
    assert result.kept_float == ()
    assert result.sensitivity == ()
    assert result.model == quantize_with_ai_edge(
        data, "full_integer", CALIBRATION, SPEC
    )
    assert result.steps[0].model_bytes == len(result.model)


def test_the_recipe_refuses(fragile):
    data, masks = fragile
    arguments = [data, SPEC, CALIBRATION, IMAGES, masks]
    with pytest.raises(
        ValueError, match="No file loses at most 0.02 Dice with up to 0"
    ):
        quantize_mixed_precision(*arguments, 0.02, 0)
    with pytest.raises(ValueError, match="may be lost, 0 or more"):
        quantize_mixed_precision(*arguments, -0.1)
    with pytest.raises(ValueError, match="`max_float_layers` must be 0 or more"):
        quantize_mixed_precision(*arguments, 0.1, -1)
    arguments[4] = {"lung": masks["lung"]}
    with pytest.raises(ValueError, match="masks {'lung': 4, 'infection': 0}"):
        quantize_mixed_precision(*arguments, 0.1)
    arguments[4] = masks | {"infection": np.zeros_like(masks["infection"])}
    with pytest.raises(ValueError, match="masks of infection are empty"):
        quantize_mixed_precision(*arguments, 0.1)


def test_the_command_makes_a_bundle(
    tiny_model, phantom_data, report, tmp_path, monkeypatch, capsys
):
    scope = COMMAND["run"].__globals__
    monkeypatch.setitem(scope, "layer_sensitivity", lambda *arguments: report)
    tiny_model.save(tmp_path / "tiny.keras")
    words = [
        *(tmp_path / "tiny.keras", "--data", phantom_data, "--max-dice-loss", "0.5"),
        *("--report", tmp_path / "report.json", "--out"),
    ]
    words = [str(word) for word in words]
    assert COMMAND["main"]([*words, str(tmp_path / "tiny")]) == 0
    output = capsys.readouterr().out
    assert "follows chance" not in output
    bundle = load_bundle(tmp_path / "tiny")
    assert bundle.export["calibration_images"] == 9
    assert bundle.export["search_images"] == 3
    assert Segmenter(bundle).predict(draw_phantom(0).image).lung.shape == (512, 512)
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["kept_float"] == []
    assert written["sensitivity"][0]["layer"] == report[0].layer
    before = (tmp_path / "report.json").read_bytes()
    assert COMMAND["main"]([*words, str(tmp_path / "other")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "report.json: already there; give another --report" in line
    assert (tmp_path / "report.json").read_bytes() == before
    assert not (tmp_path / "other").exists()


def test_calibration_and_search_never_share_an_image():
    for count, sizes in ((2518, (200, 48)), (12, (9, 3)), (5, (4, 1))):
        picked, search = COMMAND["split"](list(range(count)), 48)
        assert (len(picked), len(search)) == sizes
        assert not set(picked) & set(search)
    with pytest.raises(ValueError, match="4 training images are too few"):
        COMMAND["split"](list(range(4)), 48)
