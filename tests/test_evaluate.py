"""Any form of a network gives the same scores; the command; the poster's panel."""

import csv
import json
import os
import shutil
import subprocess
import sys

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from covseg_tf import cli
from covseg_tf.data import read_samples
from covseg_tf.data.load_sample import load_sample
from covseg_tf.deploy import load_predictor
from covseg_tf.edge import PreprocessingSpec, Segmenter, draw_phantom
from covseg_tf.evaluation import (
    draw_panel,
    evaluate_with_curve,
    mark_errors,
    pick_cases,
    summarize_f_measure,
    summarize_rows,
)
from covseg_tf.models import DualFlowSegmenter, EdgeEncoder


def tiny(shape=(64, 64, 1), **kwargs):
    encoder = EdgeEncoder(shape, 4, (4, 6, 8), (0, 0, 0))
    return DualFlowSegmenter(encoder, (6, 4), separable=True, **kwargs)


@pytest.fixture(scope="module")
def forms(tiny_model, tmp_path_factory):
    """The same network as .keras, SavedModel and float TFLite."""
    folder = tmp_path_factory.mktemp("forms")
    tiny_model.save(folder / "net.keras")
    tiny_model.export(str(folder / "net"), verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "net"))
    (folder / "net.tflite").write_bytes(converter.convert())
    return [folder / name for name in ("net.keras", "net", "net.tflite")]


def test_every_form_gives_the_same_scores(forms, phantom_data):
    samples = read_samples(phantom_data, "Val")
    results = []
    for path in forms:
        predictor = load_predictor(path)
        assert predictor.name == "net"
        assert predictor.flows == ("lung", "infection")
        assert predictor.spec == PreprocessingSpec(64, 64)
        results.append(evaluate_with_curve(predictor, samples, predictor.spec))
    assert len(results[0][0]) == 12
    for rows, curve in results[1:]:
        for row, expected in zip(rows, results[0][0], strict=True):
            assert row == pytest.approx(expected, abs=1e-4)
        for level, expected in zip(curve, results[0][1], strict=True):
            assert level == pytest.approx(expected, abs=1e-3)


def test_maps_are_the_network_s_own(forms, tiny_model):
    pixels = draw_phantom(3, 0.4, 64).image
    expected = tiny_model.predict_on_batch(pixels[None, :, :, None] / np.float32(255))
    for path in forms:
        maps = load_predictor(path)(pixels)
        for flow in ("lung", "infection"):
            assert maps[flow].dtype == np.float32
            np.testing.assert_allclose(
                maps[flow], expected[flow][0, :, :, 0], atol=1e-5
            )


def test_integer_files_are_levels_of_256(tiny_bundle, tmp_path):
    pixels = draw_phantom(3, 0.4, 64).image
    expected = Segmenter(tiny_bundle).run(pixels)
    shutil.copy(tiny_bundle / "model.tflite", tmp_path / "alone.tflite")
    for path in (tiny_bundle, tiny_bundle / "model.tflite", tmp_path / "alone.tflite"):
        maps = load_predictor(path)(pixels)
        for flow, levels in expected.items():
            np.testing.assert_array_equal(maps[flow], levels / np.float32(256))
    assert load_predictor(tiny_bundle).name == "tiny"
    assert load_predictor("xray").spec == PreprocessingSpec(256, 256)


def test_side_outputs_are_left_and_the_baseline_has_no_lung(tmp_path):
    tiny(side_outputs=("scales",), lung_supervision=False).save(tmp_path / "side.keras")
    predictor = load_predictor(tmp_path / "side.keras")
    assert predictor.flows == ("infection",)
    assert set(predictor(np.zeros((64, 64), np.uint8))) == {"infection"}


def test_a_network_of_any_size_is_given_256(tmp_path):
    tiny((None, None, 1)).save(tmp_path / "any.keras")
    assert load_predictor(tmp_path / "any.keras").spec == PreprocessingSpec(256, 256)


def test_mirrored_treats_left_and_right_alike(forms):
    mirrored = load_predictor(forms[0]).mirrored()
    pixels = draw_phantom(3, 0.4, 64).image
    straight, flipped = mirrored(pixels), mirrored(pixels[:, ::-1])
    assert not np.allclose(pixels, pixels[:, ::-1])
    for flow in straight:
        np.testing.assert_allclose(straight[flow], flipped[flow][:, ::-1], atol=1e-6)


@pytest.fixture(scope="module")
def no_models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("no_models")
    tiny((64, 64, 3)).save(folder / "colour.keras")
    plain = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Dense(1)])
    plain.save(folder / "plain.keras")
    plain.export(str(folder / "plain"), verbose=False)
    for name in ("broken.keras", "broken.tflite", "film.png", "damaged/saved_model.pb"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"nothing of the kind" * 9)
    return folder


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nowhere", "no such model. Expected a .keras file, .*xray"),
        ("film.png", "not a model. Expected a .keras file"),
        ("colour.keras", r"takes an input \(None, 64, 64, 3\).*one grey channel"),
        ("plain.keras", "no output named 'infection'.*they have no names"),
        ("plain", "no output named 'infection'.*output_0"),
        ("broken.keras", "Keras cannot load it"),
        ("broken.tflite", "LiteRT cannot load it"),
        ("damaged", "TensorFlow cannot load it"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(no_models, name, text):
    with pytest.raises(ValueError, match=text) as error:
        load_predictor(no_models / name)
    assert "\n" not in str(error.value)


def test_wrong_calls_are_refused(forms):
    with pytest.raises(ValueError, match="`threads` must be at least 1"):
        load_predictor(forms[0], threads=0)
    with pytest.raises(ValueError, match=r"uint8 pixels \(64, 64\).*float64"):
        load_predictor(forms[0])(np.zeros((64, 64)))


def test_curve_and_adaptive_by_hand_and_by_the_reference(phantom_data):
    """A map of zeros: all is foreground at level 0, nothing above it."""
    spec = PreprocessingSpec(64, 64)
    by_finding = {s.finding: s for s in read_samples(phantom_data, "Val")}
    samples = [by_finding["COVID-19"], by_finding["Normal"]]
    masks = [load_sample(sample, spec)[2] for sample in samples]
    empty = np.zeros((64, 64))
    rows, curve = evaluate_with_curve(lambda _: {"infection": empty}, samples, spec)
    assert [row["infection_adaptive_f"] for row in rows] == [
        pytest.approx(curve[0]["f_lesions"]),  # twice the mean of zeros is zero
        1.0,
    ]
    precision = masks[0].mean()
    f = 1.3 * precision / (0.3 * precision + 1)
    assert curve[0] == pytest.approx(
        {"threshold": 0, "f_lesions": f, "f_all_images": f / 2}
    )
    assert curve[1] == {"threshold": 1, "f_lesions": 0.0, "f_all_images": 0.5}

    soft = np.linspace(0, 1, 64 * 64).reshape(64, 64)
    rows, curve = evaluate_with_curve(lambda _: {"infection": soft}, samples, spec)
    for protocol in ("lesions", "all_images"):
        expected = summarize_f_measure(masks, [soft, soft], protocol)
        values = [level[f"f_{protocol}"] for level in curve]
        assert max(values) == pytest.approx(expected["f_max"])
        assert np.mean(values) == pytest.approx(expected["f_mean"])
        assert (
            summarize_rows(rows)["infection"][protocol]["images"]
            == (expected["images"])
        )


def test_curve_without_lesions_is_nan(phantom_data):
    spec = PreprocessingSpec(64, 64)
    samples = [s for s in read_samples(phantom_data, "Val") if s.finding == "Normal"]
    empty = {"infection": np.zeros((64, 64))}
    _, curve = evaluate_with_curve(lambda _: empty, samples, spec)
    assert np.isnan(curve[9]["f_lesions"])
    assert curve[9]["f_all_images"] == 1.0


def run(*words):
    return cli.main([str(word) for word in words])


def test_command_prints_both_protocols_and_leaves_files(
    tiny_bundle, forms, phantom_data, tmp_path, capsys
):
    out = tmp_path / "out"
    words = ("evaluate", tiny_bundle, phantom_data, "--split", "Val", "--out", out)
    compare = ("--compare", f"as Keras={forms[0]}", f"float={forms[2]}")
    assert run(*words, *compare, "--cases", 2) == 0
    text = capsys.readouterr().out
    for part in ("tiny", "64x64", "split Val: 12 images", "lesions", "all images"):
        assert part in text
    with (out / "rows.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 12
    summary = json.loads((out / "summary.json").read_text())
    assert summary["images"] == 12
    lesions = [float(r["infection_dice"]) for r in rows if r["finding"] == "COVID-19"]
    score = summary["scores"]["infection"]["lesions"]
    assert score["images"] == len(lesions) == 4
    assert score["dice"] == pytest.approx(np.mean(lesions))
    assert f"{score['dice']:.4f}" in text
    assert len((out / "curve.csv").read_text().splitlines()) == 257
    panel = cv2.imread(str(out / "panel.png"))
    assert panel.shape[1] > 5 * 512  # input, two others, this one, truth
    assert 2 * 512 < panel.shape[0] < 3 * 512

    before = (out / "rows.csv").stat().st_mtime_ns
    assert run(*words) == 2
    assert "--force" in capsys.readouterr().err
    assert (out / "rows.csv").stat().st_mtime_ns == before
    assert run(*words, "--force", "--cases", 0) == 0


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("nothing", "DATA"), "nothing: no such model"),
        (("MODEL", "nowhere"), "nowhere: no such folder"),
        (("MODEL", "DATA", "--split", "Test"), "no split 'Test'. It has: Train, Val"),
        (("MODEL", "DATA", "--compare", "net"), "TITLE=MODEL"),
        (("MODEL", "DATA", "--compare", "a=b", "a=c"), "a title of its own"),
        (("MODEL", "DATA", "--compare", "a=nothing"), "nothing: no such model"),
        (("MODEL", "DATA", "--compare", "tiny=MODEL"), "a title of its own"),
        (("MODEL", "DATA", "--threads", "0"), "--threads at least 1"),
    ],
)
def test_command_refuses_in_one_line_and_writes_nothing(
    tiny_bundle, phantom_data, tmp_path, capsys, words, text
):
    places = {"MODEL": tiny_bundle, "DATA": phantom_data}
    words = [places.get(word, word) for word in words]
    words = [str(word).replace("=MODEL", f"={tiny_bundle}") for word in words]
    assert run("evaluate", *words, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err.strip()
    assert text in error
    assert "\n" not in error
    assert not (tmp_path / "out").exists()


def run_without_tensorflow(*words):
    """The command where TensorFlow, Keras and the exporters cannot be imported."""
    blocked = ("tensorflow", "keras", "tf_keras", "covseg_tf.deploy")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked})); "
        f"from covseg_tf import cli; sys.exit(cli.main({list(map(str, words))!r}))"
    )
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )


def test_a_bundle_is_scored_without_tensorflow(tiny_bundle, phantom_data, tmp_path):
    words = ("evaluate", tiny_bundle, phantom_data, "--split", "Val", "--mirror")
    same = shutil.copytree(tiny_bundle, tmp_path / "same")
    done = run_without_tensorflow(
        *words, "--out", tmp_path / "a", "--compare", f"twin={same}"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert run(*words, "--out", tmp_path / "b") == 0
    for name in ("rows.csv", "curve.csv", "summary.json"):
        assert (tmp_path / "a" / name).read_text() == (
            tmp_path / "b" / name
        ).read_text()


def test_without_keras_the_command_says_what_to_install(forms, phantom_data, tmp_path):
    code = (
        "import sys; sys.modules['keras'] = None; from covseg_tf import cli; "
        f"sys.exit(cli.main(['evaluate', {str(forms[0])!r}, {str(phantom_data)!r}, "
        f"'--out', {str(tmp_path / 'out')!r}]))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    )
    assert result.returncode == 2
    assert "pip install 'covseg-tf[tf]'" in result.stderr.splitlines()[-1]


WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (40, 30, 225)


def test_wrong_pixels_are_red():
    """Hit, false positive, false negative, rightly empty."""
    picture = mark_errors(np.array([[1, 1], [0, 0]]), np.array([[1, 0], [1, 0]]))
    assert picture.tolist() == [[list(WHITE), list(RED)], [list(RED), list(BLACK)]]
    with pytest.raises(ValueError, match=r"of one shape. Received: \(2,\) and"):
        mark_errors(np.ones(2), np.ones((2, 2)))


def test_panel_has_the_columns_in_order_and_no_colours_in_between():
    image = np.full((4, 4), 90, np.uint8)
    truth = np.zeros((4, 4), np.uint8)
    truth[:2] = 1
    columns = {"perfect": [truth], "inverse": [1 - truth]}
    panel = draw_panel([image], columns, [truth], ["a case"], side=64)
    tiles = panel[8:72]  # a heading of 30/4 pixels, then 64 rows
    starts = [round(14 / 4) + n * (64 + round(6 / 4)) for n in range(4)]
    seen = [
        {tuple(c) for c in tiles[:, x : x + 64].reshape(-1, 3).tolist()} for x in starts
    ]
    assert seen == [{(90, 90, 90)}, {WHITE, BLACK}, {RED}, {WHITE, BLACK}]
    np.testing.assert_array_equal(
        tiles[:, starts[1] : starts[1] + 64], tiles[:, starts[3] : starts[3] + 64]
    )


def test_panel_grows_with_cases_and_networks():
    image = draw_phantom(0, 0.3, 64).image
    mask = np.ones((64, 64), bool)
    one = draw_panel([image], {"a": [mask]}, [mask], side=128)
    more = draw_panel([image] * 3, {"a": [mask] * 3, "b": [mask] * 3}, [mask] * 3)
    assert one.shape[1] < more.shape[1] / 4
    assert more.shape[0] > 3 * 512
    wide = draw_panel([image[:32]], {"a": [mask[:32]]}, [mask[:32]], side=128)
    assert one.shape[0] - wide.shape[0] == 64  # proportions are kept


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"truths": []}, "one of each per case"),
        ({"names": ["a", "b"]}, "'names': 2"),
        ({"images": [np.zeros((8, 8))]}, "must be uint8"),
        ({"truths": [np.zeros((8, 9))]}, r"shape \(8, 8\). Received: \(8, 9\)"),
        ({"side": 20}, "`side` must be at least 64"),
    ],
)
def test_panel_refuses(change, text):
    mask = np.zeros((8, 8), np.uint8)
    arguments = {"images": [mask], "predictions": {"a": [mask]}, "truths": [mask]}
    with pytest.raises(ValueError, match=text):
        draw_panel(**{**arguments, **change})


def test_cases_are_the_middles_of_equal_parts():
    scores = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    assert pick_cases(scores, 1) == [3]
    assert pick_cases(scores, 2) == [5, 1]
    assert pick_cases(scores, 4) == [6, 4, 2, 0]
    assert pick_cases(scores, 99) == [7, 6, 5, 4, 3, 2, 1, 0]
    for count, cases in ((0, scores), (1, [])):
        with pytest.raises(ValueError, match="at least one case"):
            pick_cases(cases, count)
