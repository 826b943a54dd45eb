"""A run that is cut short, in whatever way, goes on where it stopped."""

import json
import pathlib
import re
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from covseg_tf import cli
from covseg_tf.edge import Segmenter, draw_phantom
from covseg_tf.triage import triage
from covseg_tf.triage.record.journal import FINISHED, JOURNAL
from covseg_tf.triage.record.output import mark_folder

COUNT = 1000
# Of a journal, too, which holds when each row was done, in the order they were.
TIMES = re.compile(
    r'\d{4}-\d\d-\d\d.\d\d:\d\d:\d\d(Z| UTC)|(?<="covseg-journal" content=")\w{64}'
)


def write_films(folder, count):
    """Writes small images, two of each name in different folders."""
    drawn = [draw_phantom(i, 0.1 * (i % 8), 64).image for i in range(16)]
    for number in range(count):
        image = drawn[number % 16] // 2 + number % 7
        path = folder / f"{number % 2}" / f"film{number // 2:04}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image.astype(np.uint8))
    return folder


@pytest.fixture
def films(tmp_path):
    return write_films(tmp_path / "films", 6)


@pytest.fixture
def stopped(films, tiny_bundle, tmp_path):
    """An output folder whose run was interrupted after three rows."""
    with pytest.raises(KeyboardInterrupt):
        triage([films], tmp_path / "out", Segmenter(tiny_bundle), on_row=stop_after(3))
    return tmp_path / "out"


def stop_after(count):
    def on_row(row, done, total):
        if done == count:
            raise KeyboardInterrupt

    return on_row


def go_on(films, out, bundle, **words):
    seen = []
    rows = triage(
        [films],
        out,
        Segmenter(bundle),
        resume=True,
        on_row=lambda row, done, total: seen.append(row.file),
        **words,
    )
    return rows, seen


def without_times(path):
    return TIMES.sub("TIME", path.read_text("utf-8"))


def run(*words):
    return cli.main([str(word) for word in words])


def test_goes_on_where_it_stopped(films, stopped, tiny_bundle, tmp_path):
    assert len((stopped / JOURNAL).read_text().splitlines()) == 4
    rows, seen = go_on(films, stopped, tiny_bundle)
    assert len(seen) == 3
    assert len({row.file for row in rows}) == len(rows) == 6
    assert not (stopped / JOURNAL).exists()
    triage([films], tmp_path / "whole", Segmenter(tiny_bundle))
    for name in ("report.json", "report.csv", "report.html"):
        assert without_times(stopped / name) == without_times(tmp_path / "whole" / name)


def test_half_a_line_is_dropped(films, stopped, tiny_bundle):
    journal = stopped / JOURNAL
    journal.write_bytes(journal.read_bytes()[:-20])
    rows, seen = go_on(films, stopped, tiny_bundle)
    assert len(seen) == 4
    assert len(rows) == 6


@pytest.mark.parametrize("left", [0, 10])
def test_half_a_header_starts_anew(films, stopped, tiny_bundle, left):
    journal = stopped / JOURNAL
    journal.write_bytes(journal.read_bytes()[:left])
    rows, seen = go_on(films, stopped, tiny_bundle)
    assert len(seen) == len(rows) == 6


def test_a_changed_file_is_done_again(films, stopped, tiny_bundle):
    changed = sorted(films.rglob("*.png"))[0]
    cv2.imwrite(str(changed), np.zeros((40, 30), np.uint8))
    rows, seen = go_on(films, stopped, tiny_bundle)
    assert str(changed) in seen
    assert len(seen) == 4
    (row,) = [row for row in rows if row.file == str(changed)]
    assert (row.rows, row.columns) == (40, 30)
    assert len(list((stopped / "masks").glob("*.png"))) == 12


def test_a_changed_file_leaves_nothing_of_what_it_was(films, tiny_bundle, tmp_path):
    out = tmp_path / "out"
    first, _ = go_on(films, out, tiny_bundle)
    changed = films / "0" / "film0000.png"
    (row,) = [row for row in first if row.file == str(changed)]
    stem = pathlib.Path(row.overlay).stem
    (out / "masks" / stem).mkdir()
    (out / "masks" / stem / "lung_0001.png").write_bytes(b"x")
    mark_folder(out / "dicom")
    for name in (f"{stem}_seg.dcm", f"{stem}_overlay.dcm", f"{stem}-9_seg.dcm"):
        (out / "dicom" / name).write_bytes(b"x")
    before = files_of(out)
    changed.write_bytes(b"no film any more")
    rows, seen = go_on(films, out, tiny_bundle)
    assert seen == [str(changed)]
    assert rows[0].error
    assert before - files_of(out) == {
        *(f"masks/{stem}_lung.png", f"masks/{stem}_infection.png"),
        *(f"masks/{stem}/lung_0001.png", f"overlays/{stem}.jpg"),
        *(f"overlays/layers/{stem}.jpg", f"overlays/layers/{stem}.png"),
        *(f"dicom/{stem}_seg.dcm", f"dicom/{stem}_overlay.dcm"),
    }


def files_of(out):
    paths = (path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix() for path in paths}


def test_a_row_whose_files_are_gone_is_done_again(films, stopped, tiny_bundle):
    next((stopped / "masks").glob("*_lung.png")).write_bytes(b"")
    next((stopped / "overlays").glob("*.jpg")).unlink()
    _, seen = go_on(films, stopped, tiny_bundle)
    assert len(seen) in (4, 5)
    assert all(path.stat().st_size for path in (stopped / "masks").iterdir())


def test_another_model_or_path_is_refused(
    films, stopped, tiny_bundle, tmp_path, capsys
):
    before = (stopped / JOURNAL).read_bytes()
    for words, text in (
        ((films, "--model", "xray_nano"), "another model"),
        ((films / "0", "--model", tiny_bundle), "other paths"),
        ((films, "--model", tiny_bundle, "--dicom"), "another --dicom"),
    ):
        assert run("triage", *words, "--out", stopped, "--resume") == 2
        error = capsys.readouterr().err
        assert text in error
        assert error.count("\n") == 1
    assert (stopped / JOURNAL).read_bytes() == before


def test_an_unfinished_run_is_named(films, stopped, tiny_bundle, capsys):
    words = ("triage", films, "--out", stopped, "--model", tiny_bundle)
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert "unfinished run, 3 done; add --resume to go on, --force" in error
    assert run(*words, "--force") == 0
    assert not (stopped / JOURNAL).exists()
    assert run(*words) == 2
    assert "holds a report; add --resume" in capsys.readouterr().err


def test_a_finished_run_takes_in_what_is_new(films, tiny_bundle, tmp_path):
    out = tmp_path / "out"
    first, _ = go_on(films, out, tiny_bundle)
    stamp = (out / "report.html").stat().st_mtime_ns
    again, seen = go_on(films, out, tiny_bundle)
    assert again == first
    assert seen == []
    assert (out / "report.html").stat().st_mtime_ns == stamp
    new, gone = films / "new.png", films / "0" / "film0000.png"
    cv2.imwrite(str(new), draw_phantom(9, 0.5, 64).image)
    gone.unlink()
    rows, seen = go_on(films, out, tiny_bundle)
    assert seen == [str(new)]
    assert {row.file for row in rows} == {row.file for row in first} | {str(new)}
    assert "new.png" in (out / "report.html").read_text()
    assert (out / FINISHED).exists()
    assert not (out / JOURNAL).exists()


def test_a_folder_that_holds_something_else_is_no_run(films, tmp_path, capsys):
    (tmp_path / "mine.txt").write_text("x")
    assert run("triage", films, "--out", tmp_path, "--resume") == 2
    assert "holds no run to go on with" in capsys.readouterr().err


def test_resume_of_nothing_is_a_run(films, tiny_bundle, tmp_path):
    rows, seen = go_on(films, tmp_path / "new", tiny_bundle)
    assert len(rows) == len(seen) == 6


def test_resume_of_an_empty_folder_is_nothing_new(tiny_bundle, tmp_path, capsys):
    drop, out = tmp_path / "drop", tmp_path / "out"
    drop.mkdir()
    words = ("triage", drop, "--out", out, "--model", tiny_bundle)
    assert run(*words) == 2
    assert "no image found" in capsys.readouterr().err
    assert run(*words, "--resume") == 0
    assert capsys.readouterr() == ("nothing new\n", "")
    assert run(*words, "--resume", "--quiet") == 0
    assert capsys.readouterr() == ("", "")
    assert not out.exists()
    drop.rmdir()
    assert run(*words, "--resume") == 2
    assert "no such file or folder" in capsys.readouterr().err


def test_resume_keeps_a_report_whose_films_moved_away(
    films, tiny_bundle, tmp_path, capsys
):
    out = tmp_path / "out"
    words = ("triage", films, "--out", out, "--model", tiny_bundle, "--resume")
    assert run(*words) == 0
    for path in films.rglob("*.png"):
        path.unlink()
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("report.*")}
    capsys.readouterr()
    assert run(*words) == 0
    text = capsys.readouterr().out
    assert text == f"nothing new; report: {out / 'report.html'}\n"
    assert len(stamps) == 3
    assert stamps == {path: path.stat().st_mtime_ns for path in stamps}
    assert len(list((out / "masks").glob("*.png"))) == 12


def test_resume_without_films_ends_an_unfinished_run(films, stopped, tiny_bundle):
    for path in films.rglob("*.png"):
        path.unlink()
    rows, seen = go_on(films, stopped, tiny_bundle)
    assert (len(rows), seen) == (3, [])
    assert (stopped / "report.html").exists()


def test_a_journal_of_someone_else_is_left_alone(films, tiny_bundle, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / JOURNAL).write_text('{"mine": 1}\n')
    words = ("triage", films, "--out", out, "--model", tiny_bundle)
    for option in ("--force", "--resume"):
        assert run(*words, option) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert (out / JOURNAL).read_text() == '{"mine": 1}\n'


def test_interrupted_is_code_130_and_says_how_to_go_on(
    films, tiny_bundle, tmp_path, monkeypatch, capsys
):
    from covseg_tf.triage.report import progress

    calls = []

    def interrupt(self, done, total):
        calls.append(done)
        if done == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(progress.Progress, "__call__", interrupt)
    words = ("triage", films, "--out", tmp_path / "out", "--model", tiny_bundle)
    assert run(*words) == 130
    error = capsys.readouterr().err
    assert error == (
        "covseg triage: interrupted; 2 done, the same command with --resume goes on\n"
    )
    monkeypatch.undo()
    assert run(*words, "--resume") == 0


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_one_line(films, tiny_bundle, tmp_path, monkeypatch, capsys):
    from covseg_tf.triage.record import journal

    monkeypatch.setattr(
        journal.Journal, "_write", lambda self, entry: _write_full(self._path)
    )
    words = ("triage", films, "--out", tmp_path / "out", "--model", tiny_bundle)
    assert run(*words) == 1
    error = capsys.readouterr().err
    assert "No space left on device" in error
    assert error.count("\n") == 1


def _write_full(path):
    with open("/dev/full", "wb", buffering=0) as stream:
        stream.write(b"x")


def test_a_thousand_films_killed_midway(tiny_bundle, tmp_path):
    """SIGKILL, which no program can catch: nothing is lost, nothing done twice."""
    films = write_films(tmp_path / "films", COUNT)
    out = tmp_path / "out"
    words = [sys.executable, "-m", "covseg_tf.cli", "triage", str(films)]
    words += ["--out", str(out), "--model", str(tiny_bundle), "--jobs", "2", "--quiet"]
    with subprocess.Popen(words, stderr=subprocess.PIPE) as process:
        wait_for_lines(out / JOURNAL, 300, process)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert process.returncode == -signal.SIGKILL
    done = lines_of(out / JOURNAL)
    assert 300 <= len(done) < COUNT
    stamps = {p.name: p.stat().st_mtime_ns for p in (out / "masks").iterdir()}

    result = subprocess.run([*words, "--resume"], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    rows = json.loads((out / "report.json").read_text())["images"]
    assert len(rows) == len({row["file"] for row in rows}) == COUNT
    finished = {row["file"]: row["finished"] for row in rows}
    for row in done:
        assert finished[row["file"]] == row["finished"]
        name = pathlib.Path(row["lung_mask"]).name
        assert (out / "masks" / name).stat().st_mtime_ns == stamps[name]

    whole = tmp_path / "whole"
    triage([films], whole, Segmenter(tiny_bundle))
    for name in ("report.json", "report.csv", "report.html"):
        assert without_times(out / name) == without_times(whole / name)
    assert len(list((out / "masks").glob("*.png"))) == 2 * COUNT
    assert not list(out.rglob("*.part"))


def wait_for_lines(path, count, process):
    while process.poll() is None:
        if path.exists() and path.read_bytes().count(b"\n") > count:
            return
        time.sleep(0.01)
    pytest.fail(f"ended with code {process.returncode}: {process.stderr.read()}")


def lines_of(path):
    whole = path.read_bytes().split(b"\n")[1:-1]
    return [json.loads(line)["row"] for line in whole]
