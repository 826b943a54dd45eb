"""What a hostile file, a report of someone else or a power cut does to triage."""

import json
import os
import signal
import sys

import cv2
import pytest

from covseg_tf import cli
from covseg_tf.edge import Segmenter, draw_phantom
from covseg_tf.triage import triage
from covseg_tf.triage.record.journal import FINISHED, JOURNAL


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter("xray_nano")


@pytest.fixture
def films(tmp_path):
    folder = tmp_path / "films"
    folder.mkdir()
    for number in range(3):
        draw(folder / f"film{number}.png", number)
    return folder


@pytest.fixture
def precious(tmp_path):
    """A folder that no run has anything to do with."""
    folder = tmp_path / "precious"
    (folder / "sub").mkdir(parents=True)
    for path in (folder / "thesis.txt", folder / "lung_0001.png", folder / "sub" / "y"):
        path.write_text("years of work")
    return folder


def draw(path, number):
    image = draw_phantom(number, 0.1 * number, 64).image
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())


def contents(folder):
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def run(*words):
    return cli.main([str(word) for word in ("triage", *words, "--quiet")])


def tamper(out, **entries):
    """Changes the first row of a finished run's journal."""
    lines = (out / FINISHED).read_text().splitlines(keepends=True)
    entry = json.loads(lines[1])
    row = entry["row"] | entries.pop("row", {})
    lines[1] = json.dumps(entry | {"row": row, "identity": "other"} | entries) + "\n"
    (out / FINISHED).write_text("".join(lines))


class TestReportOfSomeoneElse:
    @pytest.mark.parametrize(
        "stem", ["{}", "../../precious", "..", ".", "", "a/b", "a\\b", "a\0", "C:a", 7]
    )
    def test_stem_that_is_a_path(
        self, films, precious, segmenter, tmp_path, capsys, stem
    ):
        out = tmp_path / "out"
        triage([films], out, segmenter)
        tamper(out, stem=stem.format(precious) if isinstance(stem, str) else stem)
        before = contents(tmp_path)
        words = (films, "--out", out, "--model", "xray_nano")
        assert run(*words, "--resume") == 2
        error = capsys.readouterr().err
        assert "line 2 of its journal names files" in error
        assert error.count("\n") == 1
        assert contents(tmp_path) == before
        assert run(*words, "--force") == 0
        assert contents(precious) == {p: before[p] for p in contents(precious)}

    @pytest.mark.parametrize(
        "row",
        [
            {"overlay": "../precious/thesis.txt"},
            {"overlay": "overlays/film1.jpg"},
            {"lung_mask": "masks"},
            {"infection_mask": "/etc/passwd"},
            {"dicom_seg": "dicom/../../x"},
        ],
    )
    def test_row_that_names_other_files(self, films, segmenter, tmp_path, row):
        out = tmp_path / "out"
        triage([films], out, segmenter)
        tamper(out, row=row)
        with pytest.raises(ValueError, match="names files that covseg does not"):
            triage([films], out, segmenter, resume=True)

    def test_row_of_other_types_is_done_again(self, films, segmenter, tmp_path):
        out = tmp_path / "out"
        first = triage([films], out, segmenter)
        tamper(out, row={"involved_percent": "much"})
        again = triage([films], out, segmenter, resume=True)
        assert [r.involved_percent for r in again] == [
            r.involved_percent for r in first
        ]

    @pytest.mark.parametrize("name", ["masks", "overlays", "overlays/layers", FINISHED])
    @pytest.mark.parametrize("option", ["--resume", "--force"])
    def test_folder_that_is_a_link(
        self, films, precious, segmenter, tmp_path, capsys, name, option
    ):
        out = tmp_path / "out"
        triage([films], out, segmenter)
        moved = precious / "moved"
        os.rename(out / name, moved)
        (out / name).symlink_to(moved)
        draw(films / "film0.png", 7)
        before = contents(precious)
        assert run(films, "--out", out, "--model", "xray_nano", option) == 2
        assert contents(precious) == before

    def test_links_in_the_place_of_files(self, films, precious, segmenter, tmp_path):
        """A run replaces them, and neither reads nor writes what they lead to."""
        out = tmp_path / "out"
        triage([films], out, segmenter)
        target = precious / "thesis.txt"
        links = [out / "report.csv.part", out / "overlays" / "ABOUT.txt"]
        links += [out / "overlays" / "layers" / "film1.jpg"]
        links += [out / "masks" / f"film1_lung.png{end}" for end in ("", ".part")]
        for link in links:
            link.unlink(missing_ok=True)
            link.symlink_to(target)
        before = contents(precious)
        draw(films / "film0.png", 7)
        triage([films], out, segmenter, resume=True)
        assert contents(precious) == before
        assert not [path for path in out.rglob("*") if path.is_symlink()]
        assert "eWVhcnMgb2Yg" not in (out / "report.html").read_text()  # in base64

    def test_slices_folder_that_is_a_link(self, precious, segmenter, tmp_path):
        from covseg_tf.triage.record.output import make_slices, remove_outputs

        (tmp_path / "out" / "masks").mkdir(parents=True)
        (tmp_path / "out" / "masks" / "scan").symlink_to(precious)
        before = contents(precious)
        remove_outputs(tmp_path / "out", "scan")
        with pytest.raises(OSError, match="is a link"):
            make_slices(tmp_path / "out", "scan")
        assert contents(precious) == before

    def test_what_a_reader_put_beside_the_masks_stays(self, films, segmenter, tmp_path):
        out = tmp_path / "out"
        triage([films], out, segmenter)
        mine = out / "masks" / "corrected" / "film1.png"
        mine.parent.mkdir()
        for path in (mine, out / "overlays" / "notes.txt"):
            path.write_text("mine")
        triage([films], out, segmenter, force=True)
        assert (
            mine.read_text() == (out / "overlays" / "notes.txt").read_text() == "mine"
        )
        assert len(list((out / "masks").glob("*.png"))) == 6


class TestStaleReport:
    def test_killed_between_the_last_row_and_the_reports(
        self, films, segmenter, tmp_path
    ):
        out = tmp_path / "out"
        triage([films], out, segmenter)
        draw(films / "new.png", 9)
        pid = os.fork()
        if not pid:
            kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # noqa: E731
            triage([films], out, segmenter, resume=True, on_row=kill)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL
        assert "new.png" in (out / JOURNAL).read_text()
        assert "new.png" not in (out / "report.html").read_text()
        triage([films], out, segmenter, resume=True)
        for name in ("report.csv", "report.json", "report.html"):
            assert "new.png" in (out / name).read_text()

    @pytest.mark.parametrize("name", ["report.csv", "report.json", "report.html"])
    def test_report_that_lacks_or_is_of_another_run(
        self, films, segmenter, tmp_path, name
    ):
        for out in ("out", "other"):
            triage([films], tmp_path / out, segmenter)
        whole = (tmp_path / "out" / name).read_bytes()
        (tmp_path / "out" / name).unlink()
        triage([films], tmp_path / "out", segmenter, resume=True)
        assert (tmp_path / "out" / name).exists()
        if name == "report.html":
            draw(films / "new.png", 9)
            triage([films], tmp_path / "out", segmenter, resume=True)
            (tmp_path / "out" / name).write_bytes(whole)
            triage([films], tmp_path / "out", segmenter, resume=True)
            assert b"new.png" in (tmp_path / "out" / name).read_bytes()


class TestPassingErrors:
    @pytest.mark.parametrize(
        "error",
        [
            PermissionError(13, "Permission denied"),
            OSError(5, "Input/output error"),
            MemoryError(),
        ],
    )
    def test_are_tried_again(self, films, segmenter, tmp_path, monkeypatch, error):
        from covseg_tf.imaging.sources import entry

        def fail(path, size=None):
            if size is None and path.name == "film1.png":
                raise error
            return read(path, size)

        read = entry.read_file
        with monkeypatch.context() as patch:
            patch.setattr(entry, "read_file", fail)
            rows = triage([films], tmp_path / "out", segmenter)
        assert [bool(row.error) for row in rows].count(True) == 1
        rows = triage([films], tmp_path / "out", segmenter, resume=True)
        assert not any(row.error for row in rows)
        assert len((tmp_path / "out" / FINISHED).read_text().splitlines()) == 5

    @pytest.mark.parametrize("package", ["pydicom", "nibabel"])
    def test_so_is_a_package_that_was_missing(
        self, segmenter, tmp_path, monkeypatch, package
    ):
        path = tmp_path / {"pydicom": "a.dcm", "nibabel": "a.nii"}[package]
        heads = {"pydicom": bytes(128) + b"DICM", "nibabel": bytes(344) + b"n+1\0"}
        path.write_bytes(heads[package] + bytes(400))
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            (row,) = triage([path], tmp_path / "out", segmenter)
        assert "pip install" in row.error
        (row,) = triage([path], tmp_path / "out", segmenter, resume=True)
        assert row.error
        assert "pip install" not in row.error

    def test_faults_of_the_file_are_not(self, films, segmenter, tmp_path):
        (films / "film1.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")
        triage([films], tmp_path / "out", segmenter)
        seen = []
        words = {"resume": True, "on_row": lambda *row: seen.append(row)}
        triage([films], tmp_path / "out", segmenter, **words)
        assert seen == []

    def test_a_reader_that_does_not_end(self, segmenter, tmp_path, monkeypatch):
        import threading

        from covseg_tf.imaging.sources.source import Source
        from covseg_tf.triage import scorer

        gate = threading.Event()
        monkeypatch.setattr(scorer, "SECONDS_TO_READ", 0.05)
        scored = scorer.Scorer(segmenter, tmp_path)(
            Source("slow.png", "1", gate.wait), "slow"
        )
        gate.set()
        assert scored.row.error == "was not read within 0.05 seconds."
        assert not scored.lasts
