"""The command as a user meets it, with a tiny bundle."""

import csv
import json
import pathlib
import subprocess
import sys

import cv2
import numpy as np
import pytest

from covseg_tf import cli
from covseg_tf.edge import Prediction, Segmenter, draw_phantom
from covseg_tf.triage import TriageRow, triage
from covseg_tf.triage.report import render_report


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "films"
    (folder / "b").mkdir(parents=True)
    phantom = draw_phantom(1, 0.5, 96).image
    cv2.imwrite(str(folder / "one.png"), phantom)
    cv2.imwrite(str(folder / "b" / "one.jpg"), phantom[:, 10:])
    cv2.imwrite(str(folder / "deep.png"), phantom.astype(np.uint16) * 257)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (folder / "notes.txt").write_text("not an image")
    return folder


def run(*words):
    return cli.main([str(word) for word in words])


def test_worklist_report_and_masks(images, tiny_bundle, tmp_path, capsys):
    out = tmp_path / "out"
    assert run("triage", images, "--out", out, "--model", tiny_bundle) == 0
    text = capsys.readouterr().out
    assert "broken.png" in text
    assert "report.html" in text

    document = json.loads((out / "report.json").read_text())
    rows = document["images"]
    assert len(rows) == 4
    (broken,) = [row for row in rows if row["error"]]
    assert "cannot be decoded" in broken["error"]
    assert rows[-1] == broken
    scores = [row["involved_percent"] for row in rows if not row["error"]]
    known = [s for s in scores if s is not None]
    assert known == sorted(known, reverse=True)
    assert None not in scores[: len(known)]

    with (out / "report.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [row["file"] for row in table] == [row["file"] for row in rows]
    for row in rows[:-1]:
        shape = cv2.imread(row["file"]).shape[:2]
        mask = cv2.imread(str(out / row["infection_mask"]), cv2.IMREAD_UNCHANGED)
        assert mask.shape == shape
        assert set(np.unique(mask)) <= {0, 255}
    assert len({row["lung_mask"] for row in rows[:-1]}) == 3  # two are called "one"

    page = (out / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 6
    assert "http" not in page.replace("http-equiv", "")
    assert "<script" not in page


def test_sixteen_bit_equals_eight_bit(images, tiny_bundle):
    segmenter = Segmenter(tiny_bundle)
    eight = cv2.imread(str(images / "one.png"), cv2.IMREAD_UNCHANGED)
    stretched = ((eight - eight.min()) * (255.0 / np.ptp(eight))).round()
    deep = segmenter.predict(images / "deep.png")
    same = segmenter.predict(stretched.astype(np.uint8))
    np.testing.assert_array_equal(deep.lung_levels, same.lung_levels)


def test_output_is_kept_unless_forced(images, tiny_bundle, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("keep")
    words = ("triage", images, "--out", out, "--model", tiny_bundle)
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert "--force" in error
    assert error.count("\n") == 1
    assert [p.name for p in out.iterdir()] == ["mine.txt"]
    assert run(*words, "--force") == 0
    assert (out / "mine.txt").read_text() == "keep"
    assert run(*words, "--force") == 0  # and again over its own report
    assert len(list((out / "masks").glob("*.png"))) == 6


def test_force_never_empties_a_folder_it_did_not_write(
    images, tiny_bundle, tmp_path, capsys
):
    (tmp_path / "set" / "masks").mkdir(parents=True)
    truth = tmp_path / "set" / "masks" / "one_lung.png"
    truth.write_bytes(b"ground truth")
    words = ("triage", images, "--out", tmp_path / "set", "--model", tiny_bundle)
    assert run(*words, "--force") == 2
    assert "left alone" in capsys.readouterr().err
    assert truth.read_bytes() == b"ground truth"
    assert [p.name for p in (tmp_path / "set").iterdir()] == ["masks"]


def test_own_masks_are_not_taken_for_images(images, tiny_bundle):
    out = images / "report"
    for force in ((), ("--force",)):
        assert run("triage", images, "--out", out, "--model", tiny_bundle, *force) == 0
        assert len(json.loads((out / "report.json").read_text())["images"]) == 4


def test_a_write_that_fails_is_one_line_and_code_1(
    images, tiny_bundle, tmp_path, monkeypatch, capsys
):
    def full(path, mask):
        raise OSError(28, "No space left on device", str(path))

    # The function `triage` hides the module of its name.
    monkeypatch.setattr(sys.modules[triage.__module__], "_write_png", full)
    words = ("triage", images / "one.png", "--out", tmp_path / "out")
    assert run(*words, "--model", tiny_bundle / "model.tflite") == 1
    error = capsys.readouterr().err
    assert "No space left" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["triage", "nowhere.png", "--out", "o"], "no such file"),
        (["triage", ".", "--out", "o"], "no image found"),
        (["triage", "x.png", "--out", "o", "--model", "nothing"], "no such model"),
        (["triage", "x.png", "--out", "o", "--threads", "0"], "at least 1"),
        (["triage", "x.png"], "--out"),
        (["triage", "x.png", "--out", "o", "--colour"], "unrecognized"),
        (["bogus"], "invalid choice"),
        (["demo", "--seed", "-1"], "0 or more"),
    ],
)
def test_bad_usage_is_one_line_and_code_2(words, text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if "nowhere.png" not in words and "." not in words:
        cv2.imwrite("x.png", np.zeros((8, 8), np.uint8))
    try:
        code = cli.main(words)
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2
    assert text in error
    assert error.count("\n") == 1
    assert not (tmp_path / "o").exists()


def test_nothing_readable_is_code_1(tmp_path, tiny_bundle, capsys):
    (tmp_path / "a.png").write_bytes(b"")
    out = tmp_path / "out"
    words = ("triage", tmp_path / "a.png", "--out", out, "--model", tiny_bundle)
    assert run(*words) == 1
    assert (
        "empty" in json.loads((out / "report.json").read_text())["images"][0]["error"]
    )


def test_names_cannot_become_markup_or_formulas(tmp_path):
    hostile = '"><img src=x onerror=alert(1)>\x1b[31m.png'
    row = TriageRow(file=hostile, error="<b>bad</b>", overlay=(b"a", b"b"))
    page = render_report([row], {"name": "<i>"})
    assert "<img src=x" not in page
    assert "<b>bad" not in page
    assert "<i>\n" not in page
    assert "\x1b" not in page

    from covseg_tf.triage.run import _write_csv

    _write_csv(tmp_path / "r.csv", [TriageRow(file="=HYPERLINK(1)")])
    assert "\n'=HYPERLINK" in (tmp_path / "r.csv").read_text()


class Fixed:
    """A segmenter that gives drawn maps, so that the order is known."""

    class bundle:  # noqa: N801
        name, threshold, metrics = "fixed", 0.5, {}

    def __init__(self, percents):
        self.percents = iter(percents)

    def predict(self, image):
        percent = next(self.percents)
        lung, infection = np.zeros((2, 100, 100), np.uint8)
        if percent is not None:
            lung[20:70, 10:40] = lung[20:70, 60:90] = 255
            rows = round(50 * percent / 100)
            infection[20 : 20 + rows] = 255
        return Prediction(image.shape, lung, infection)


def test_most_involved_first_unscored_last(tmp_path):
    for name in "abcd":
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((20, 20), np.uint8))
    (tmp_path / "e.png").write_bytes(b"x")
    rows = triage([tmp_path], tmp_path / "out", Fixed([10, None, 80, 40]))
    assert [pathlib.Path(row.file).stem for row in rows] == list("cdabe")
    assert [row.involved_percent for row in rows] == [80, 40, 10, None, None]
    assert rows[3].flags == ("no_lungs_found",)


def test_module_runs_as_a_program(tiny_bundle, tmp_path):
    words = ["demo", "--out", str(tmp_path / "demo"), "--model", str(tiny_bundle)]
    result = subprocess.run(
        [sys.executable, "-m", "covseg_tf.cli", *words], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert len(list((tmp_path / "demo" / "phantoms").glob("*.png"))) == 5
    assert result.stderr.count("Traceback") == 0
