"""The command as a user meets it, with a tiny bundle."""

import csv
import dataclasses
import io
import json
import pathlib
import subprocess
import sys
from types import MappingProxyType

import cv2
import numpy as np
import pytest

from covseg_tf import cli
from covseg_tf.edge import Prediction, Segmenter, draw_phantom
from covseg_tf.triage import scorer as scorer_module
from covseg_tf.triage import triage
from covseg_tf.triage.report.progress import Progress


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
    assert rows.index(broken) == sum(r["involved_percent"] is None for r in rows) - 1
    scores = [row["involved_percent"] for row in rows if not row["error"]]
    known = [s for s in scores if s is not None]
    assert known == sorted(known, reverse=True)
    assert None not in scores[len(scores) - len(known) :], "what needs a reader first"

    with (out / "report.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [row["file"] for row in table] == [row["file"] for row in rows]
    read = [row for row in rows if not row["error"]]
    for row in read:
        shape = cv2.imread(row["file"]).shape[:2]
        mask = cv2.imread(str(out / row["infection_mask"]), cv2.IMREAD_UNCHANGED)
        assert mask.shape == shape
        assert set(np.unique(mask)) <= {0, 255}
    assert len({row["lung_mask"] for row in read}) == 3  # two are called "one"

    page = (out / "report.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 3
    assert page.count("data:image/png;base64,") == len(known)
    assert sorted(p.name for p in out.iterdir()) == [
        *("finished.jsonl", "masks", "overlays"),
        *("report.csv", "report.html", "report.json"),
    ]
    assert len(list((out / "overlays").glob("*.jpg"))) == 3
    assert not list(out.rglob("*.part"))


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


@pytest.mark.parametrize("name", ["report.csv", "report.json", "report.html"])
def test_force_leaves_a_report_of_someone_else(
    images, tiny_bundle, tmp_path, capsys, name
):
    out = tmp_path / "mine"
    out.mkdir()
    (out / name).write_text("mine")
    words = ("--out", out, "--model", tiny_bundle, "--force")
    for command in (("triage", images), ("demo",)):
        assert run(*command, *words) == 2
        error = capsys.readouterr().err
        assert f"{name}: was not written by an earlier report" in error
        assert error.count("\n") == 1
    assert [(p.name, p.read_text()) for p in out.iterdir()] == [(name, "mine")]


def test_force_goes_on_where_a_killed_force_stopped(
    images, tiny_bundle, tmp_path, monkeypatch
):
    def stop(path):
        raise KeyboardInterrupt

    out = tmp_path / "out"
    words = ("triage", images, "--out", out, "--model", tiny_bundle)
    assert run(*words) == 0
    (out / "report.csv.part").write_text("x")
    for name in ("rmdir", "unlink"):
        with monkeypatch.context() as patch:
            patch.setattr(pathlib.Path, name, lambda path, missing_ok=False: stop(path))
            assert run(*words, "--force") == 130
        assert (out / "finished.jsonl").exists()
    assert run(*words, "--force") == 0
    assert not list(out.rglob("*.part"))


def test_demo_leaves_phantoms_of_someone_else(tiny_bundle, tmp_path, capsys):
    out = tmp_path / "out"
    mine = out / "phantoms" / "healthy.png"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    assert run("demo", "--out", out, "--model", tiny_bundle, "--force") == 2
    assert "phantoms: was not written by" in capsys.readouterr().err
    assert [path for path in out.rglob("*") if path.is_file()] == [mine]
    assert mine.read_text() == "mine"


def test_demo_again_wants_force_or_another_folder(tiny_bundle, tmp_path, capsys):
    words = ("demo", "--out", tmp_path / "out", "--model", tiny_bundle)
    assert run(*words) == 0
    capsys.readouterr()
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert "--force" in error
    assert "another --out" in error
    assert "--resume" not in error
    assert run(*words, "--force") == 0


def test_two_runs_do_not_write_into_one_folder(images, tiny_bundle, tmp_path, capsys):
    pytest.importorskip("fcntl")
    out = tmp_path / "out"
    words = ("--out", out, "--model", tiny_bundle)
    codes = []

    def second(row, done, total):
        if done == 2:
            for command in (("triage", images), ("demo",)):
                codes.append(run(*command, *words, "--force"))
            codes.append(run("triage", images, *words, "--resume"))

    rows = triage([images], out, Segmenter(tiny_bundle), on_row=second)
    assert codes == [2, 2, 2]
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert all("another run is writing here" in error for error in errors)
    assert not (out / "phantoms").exists()
    assert len(rows) == 4
    assert len(list((out / "masks").glob("*.png"))) == 6
    assert run("triage", images, *words, "--force") == 0


def test_without_locks_it_runs(images, tiny_bundle, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert len(triage([images], tmp_path / "out", Segmenter(tiny_bundle))) == 4


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

    monkeypatch.setattr(scorer_module, "write_png", full)
    words = ("triage", images / "one.png", "--out", tmp_path / "out")
    assert run(*words, "--model", tiny_bundle / "model.tflite") == 1
    error = capsys.readouterr().err
    assert "No space left" in error
    assert "0 done, the same command with --resume goes on" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["triage", "nowhere.png", "--out", "o"], "no such file"),
        (["triage", ".", "--out", "o"], "no image found"),
        (["triage", "x.png", "--out", "o", "--model", "nothing"], "no such model"),
        (["triage", "x.png", "--out", "o", "--threads", "0"], "at least 1"),
        (["triage", "x.png"], "--out"),
        (["triage", "x.png", "--out", "o", "--jobs", "0"], "at least 1"),
        (["triage", "x.png", "--out", "o", "--jobs", "2", "--threads", "2"], "either"),
        (["triage", "x.png", "--out", "o", "--report-images", "-1"], "0 or more"),
        (
            ["triage", "x.png", "--out", "o", "--force", "--resume"],
            "one of --force and",
        ),
        (["triage", "x.png", "--out", "o", "--colour"], "unknown option --colour"),
        (["bogus"], "no command 'bogus'"),
        ([], "no command given"),
        (["data"], "no command 'data'"),
        (["demo", "--seed", "-1"], "0 or more"),
    ],
)
def test_bad_usage_is_one_line_and_code_2(words, text, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if "nowhere.png" not in words and "." not in words:
        cv2.imwrite("x.png", np.zeros((8, 8), np.uint8))
    code = cli.main(words)
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


class Fixed:
    """A segmenter that gives drawn maps, so that the order is known."""

    class bundle:  # noqa: N801
        name, threshold, modality = "fixed", 0.5, "xray"
        model, folder, metrics = b"", pathlib.Path("(in memory)"), MappingProxyType({})

    guard = False

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


def test_unscored_first_then_most_involved(tmp_path):
    for name in "abcd":
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.zeros((20, 20), np.uint8))
    (tmp_path / "e.png").write_bytes(b"x")
    rows = triage([tmp_path], tmp_path / "out", Fixed([10, None, 80, 40]))
    assert [pathlib.Path(row.file).stem for row in rows] == list("becda")
    assert [row.involved_percent for row in rows] == [None, None, 80, 40, 10]
    assert rows[0].flags == ("no_lungs_found",)


def test_module_runs_as_a_program(tiny_bundle, tmp_path):
    words = ["demo", "--out", str(tmp_path / "demo"), "--model", str(tiny_bundle)]
    result = subprocess.run(
        [sys.executable, "-m", "covseg_tf.cli", *words], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert len(list((tmp_path / "demo" / "phantoms").glob("*.png"))) == 5
    assert result.stderr.count("Traceback") == 0


def test_jobs_do_not_change_the_results(images, tiny_bundle, tmp_path):
    for number in range(6):
        phantom = draw_phantom(number, 0.4, 96).image
        cv2.imwrite(str(images / f"film{number}.png"), phantom)
    segmenter = Segmenter(tiny_bundle)
    one = triage([images], tmp_path / "one", segmenter)
    three = triage([images], tmp_path / "three", segmenter, jobs=3)
    # All but the time.
    assert [dataclasses.replace(row, finished="") for row in one] == [
        dataclasses.replace(row, finished="") for row in three
    ]
    for path in (tmp_path / "one" / "masks").iterdir():
        other = tmp_path / "three" / "masks" / path.name
        assert path.read_bytes() == other.read_bytes()


def test_calls_back_with_the_count(images, tiny_bundle, tmp_path):
    seen = []
    triage(
        [images],
        tmp_path / "out",
        Segmenter(tiny_bundle),
        on_row=lambda row, done, total: seen.append((done, total)),
    )
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_long_worklist_is_cut_on_the_screen_and_quiet_is_quiet(
    tmp_path, tiny_bundle, capsys
):
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(53):
        (folder / f"{number}.png").write_bytes(b"x")
    words = ("triage", folder, "--out", tmp_path / "out", "--model", tiny_bundle)
    assert run(*words) == 1
    text = capsys.readouterr().out
    assert text.count(".png") == 50
    assert "... and 3 more in report.csv" in text
    assert "53 images: 0 scored, 0 flagged, 53 could not be read" in text
    assert run(*words, "--force", "--quiet") == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "covseg triage: no image could be read\n"


def test_progress_is_for_a_terminal():
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    terminal, pipe, hushed = Terminal(), io.StringIO(), Terminal()
    for progress in (Progress(terminal), Progress(pipe), Progress(hushed, quiet=True)):
        for done in range(1, 101):
            progress(done, 100)
        progress.close()
    assert "100/100" in terminal.getvalue()
    assert "\n" not in terminal.getvalue()
    assert terminal.getvalue().endswith(" \r")
    assert pipe.getvalue() == hushed.getvalue() == ""


def test_a_folder_that_cannot_be_written_is_code_2(images, tiny_bundle, capsys):
    out = images / "one.png" / "out"
    assert run("triage", images, "--out", out, "--model", tiny_bundle) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "cannot be written" in error
