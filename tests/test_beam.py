"""The Beam pipeline: one row per input, whatever the inputs, workers and reruns."""

import contextlib
import csv
import hashlib
import importlib.util
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import zipfile

import cv2
import numpy as np
import pytest

pytest.importorskip("apache_beam", reason="needs pip install 'covseg-tf[beam]'")

from covseg_tf.batch import (  # noqa: E402
    BeamFiles,
    ImageSource,
    TriageImages,
    run_batch,
)
from covseg_tf.batch import run as run_module  # noqa: E402
from covseg_tf.batch.images import image_of  # noqa: E402
from covseg_tf.batch.score_image import COLUMNS, parquet_schema  # noqa: E402
from covseg_tf.edge import Segmenter, draw_phantom, load_bundle  # noqa: E402
from covseg_tf.triage import triage  # noqa: E402

SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "export" / "beam_triage.py"
MODEL = "xray_nano"
GOOD = 24
LOCAL = ("--runner", "FnApiRunner")


def command(*words):
    spec = importlib.util.spec_from_file_location("beam_triage", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main([str(word) for word in words])


def write_film(path, seed):
    image = draw_phantom(seed, 0.1 * (seed % 8), 128).image
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """Good films and bad ones, in a folder; those that should fail, by name."""
    folder = tmp_path_factory.mktemp("films")
    for seed in range(GOOD):
        write_film(folder / f"{seed:03}{('.png', '.jpg', '.tif')[seed % 3]}", seed)
    whole = (folder / "000.png").read_bytes()
    (folder / "empty.png").write_bytes(b"")
    (folder / "junk.png").write_bytes(b"no image at all")
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "flipped.jpg").write_bytes((folder / "001.jpg").read_bytes()[:700])
    with zipfile.ZipFile(folder / "two.zip", "w") as archive:
        archive.writestr("a.png", whole)
        archive.writestr("b.png", whole)
    blank = np.zeros((128, 128), np.uint8)
    (folder / "black.png").write_bytes(cv2.imencode(".png", blank)[1].tobytes())
    return folder


BAD = {"empty.png", "junk.png", "cut.png", "flipped.jpg", "two.zip"}


@pytest.fixture(scope="module")
def manifest(films):
    """Names all films, two of them again, one that is missing and a folder."""
    names = [path.name for path in sorted(films.iterdir()) if path.suffix != ".txt"]
    names += ["000.png", "empty.png", "missing.png", "."]
    path = films.parent / films.name / "films.txt"
    path.write_bytes(os.fsencode("\r\n".join(names) + "\n\n") + b"b\xffd.png\n")
    return path


def rows_of(out, form="jsonl"):
    """All rows of the finished parts, by id; fails if an id comes twice."""
    rows = []
    for path in sorted(out.glob(f"part-*/rows-*.{form}")):
        if form == "parquet":
            import pyarrow.parquet

            rows += pyarrow.parquet.read_table(path).to_pylist()
        else:
            rows += map(json.loads, path.read_text("ascii").splitlines())
    by_id = {row["id"]: row for row in rows}
    assert len(by_id) == len(rows)
    return by_id


def by_name(rows):
    return {row["file"]: row for row in rows.values()}


def test_ids_are_those_of_the_names():
    key, (name, path) = image_of(b"a.png", "/films")
    assert key == hashlib.sha256(b"a.png").hexdigest()[:32]
    assert (name, path) == ("a.png", os.fsencode("/films/a.png"))
    assert image_of(b"gs://b/a.png", "/films")[1][1] == b"gs://b/a.png"
    assert image_of(b"b\xff.png")[1] == ("b\\xff.png", b"b\xff.png")


def test_one_row_per_input_with_bad_ones_among_them(manifest, tmp_path):
    source = ImageSource.of_manifest(str(manifest), BeamFiles())
    report = run_batch(source, str(tmp_path), MODEL, shards=3, options=LOCAL)
    inputs = GOOD + len(BAD) + 1 + 3  # a black film; missing, a folder, not UTF-8
    assert (report.lines, report.images, report.rows) == (inputs + 2, inputs, inputs)
    rows = by_name(rows_of(tmp_path))
    failing = BAD | {"missing.png", ".", "b\\xffd.png"}
    assert {name for name, row in rows.items() if row["error"]} == failing
    assert report.errors == len(failing)
    assert rows["empty.png"]["error"] == "the file is empty."
    assert rows["missing.png"]["error"] == "cannot be read (No such file or directory)."
    assert rows["two.zip"]["error"].startswith("holds 2 images;")
    assert rows["black.png"]["involved_percent"] is None
    assert rows["black.png"]["flags"]
    sha256 = hashlib.sha256(load_bundle(MODEL).model).hexdigest()
    assert {row["model_sha256"] for row in rows.values()} == {sha256}
    assert {tuple(row) for row in rows.values()} == {COLUMNS}
    assert len(list(tmp_path.glob("part-0001/rows-*-of-00003.jsonl"))) == 3
    marker = json.loads((tmp_path / "part-0001/part.json").read_text("utf-8"))
    assert (marker["rows"], marker["errors"]) == (inputs, len(failing))
    assert not (tmp_path / "covseg-unfinished").exists()


def test_rows_say_what_triage_says(films, tmp_path):
    good = [path for path in sorted(films.iterdir()) if path.stem.isdigit()]
    expected = triage(good, tmp_path / "triage", Segmenter(MODEL), report_images=0)
    source = ImageSource.of_pattern(str(films / "0*"), BeamFiles())
    run_batch(source, str(tmp_path / "rows"), MODEL, options=LOCAL)
    rows = by_name(rows_of(tmp_path / "rows"))
    assert set(rows) == {row.file for row in expected}
    assert any(row.involved_percent for row in expected)
    shared = set(COLUMNS) - {"id", "model", "model_sha256"}
    for row in expected:
        columns = row.to_dict()
        assert {name: rows[row.file][name] for name in shared} == {
            name: columns[name] for name in shared
        }


def test_reruns_and_formats_agree(manifest, tmp_path):
    source, texts = ImageSource.of_manifest(str(manifest), BeamFiles()), []
    for name in ("first", "second"):
        run_batch(source, str(tmp_path / name), MODEL, options=LOCAL)
        files = sorted((tmp_path / name).glob("part-0001/rows-*"))
        texts.append(sorted(b"".join(f.read_bytes() for f in files).splitlines()))
    assert texts[0] == texts[1]
    run_batch(source, str(tmp_path / "third"), MODEL, "parquet", options=LOCAL)
    assert rows_of(tmp_path / "third", "parquet") == rows_of(tmp_path / "first")
    assert tuple(parquet_schema().names) == COLUMNS


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_resume_adds_what_is_missing(films, tmp_path, form):
    lines, out = ["000.png", "empty.png", "000.png"], tmp_path / "rows"
    manifest = tmp_path / "films.csv"

    def run(model=MODEL, **keywords):
        with manifest.open("w", encoding="utf-8-sig", newline="") as stream:
            csv.writer(stream).writerows([["n", "file"], *enumerate(files)])
        source = ImageSource.of_manifest(str(manifest), BeamFiles())
        return run_batch(source, str(out), model, form, options=LOCAL, **keywords)

    files = [films / name for name in lines]
    assert run().rows == 2
    before = rows_of(out, form)
    with pytest.raises(ValueError, match="holds 1 finished part.*add --resume"):
        run()
    files += [films / "001.jpg", films / "missing.png"]
    report = run(resume=True)
    assert (report.rows, report.skipped, report.lines) == (2, 2, 5)
    after = rows_of(out, form)
    assert len(after) == 4
    assert after.items() >= before.items()
    report = run(resume=True)
    assert (report.part, report.rows, report.skipped) == ("", 0, 4)
    assert sorted(path.name for path in out.iterdir()) == ["part-0001", "part-0002"]
    with pytest.raises(ValueError, match="give another output folder"):
        run("xray", resume=True)


def test_a_failed_run_publishes_nothing_and_the_next_one_all(
    manifest, tmp_path, monkeypatch
):
    source, out = ImageSource.of_manifest(str(manifest), BeamFiles()), tmp_path / "rows"
    with monkeypatch.context() as patch:
        patch.setattr(run_module, "count_rows", lambda path: 1)
        with pytest.raises(RuntimeError, match="1 rows were written of 33"):
            run_batch(source, str(out), MODEL, options=LOCAL)
    with monkeypatch.context() as patch:
        patch.setattr(
            run_module,
            "TriageImages",
            lambda model, sha256: TriageImages(model, "0" * 64),
        )
        with pytest.raises(RuntimeError, match="the pipeline failed: .*another model"):
            run_batch(source, str(out), MODEL, options=LOCAL)
    assert [path.name for path in out.iterdir()] == ["covseg-unfinished"]
    # As if moving the shards had been cut short before the marker.
    (out / "part-0001").mkdir()
    (out / "part-0001" / "rows-00000-of-00009.jsonl").write_text("{}\n")
    assert run_batch(source, str(out), MODEL, options=LOCAL).rows == 33
    assert len(rows_of(out)) == 33
    assert [path.name for path in out.iterdir()] == ["part-0001"]


def test_what_lies_beside_is_left_alone_and_no_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_film(tmp_path / "a.png", 1)
    (tmp_path / "part-0002").mkdir()
    (tmp_path / "part-0002" / "rows-mine.txt").write_text("mine")
    for rows in (2, 0):  # a.png and rows-mine.txt; then nothing
        source = ImageSource.of_pattern("**", BeamFiles())
        report = run_batch(source, "rows", MODEL, resume=True, options=LOCAL)
        assert (report.lines, report.rows) == (2, rows)
    names = {row["file"] for row in rows_of(tmp_path / "rows").values()}
    assert names == {"a.png", os.path.join("part-0002", "rows-mine.txt")}
    assert run_batch(source, ".", MODEL, options=LOCAL).lines == 4
    assert run_batch(source, ".", MODEL, resume=True, options=LOCAL).lines == 4
    assert (tmp_path / "part-0002" / "rows-mine.txt").read_text() == "mine"


def test_threads_agree_with_one(manifest, tmp_path):
    """Each has an interpreter of its own: one shared would mix films or fail."""
    source, rows = ImageSource.of_manifest(str(manifest), BeamFiles()), []
    threads = ("--direct_running_mode", "multi_threading", "--direct_num_workers", "3")
    for name, flags in (("one", LOCAL), ("three", (*LOCAL, *threads))):
        run_batch(source, str(tmp_path / name), MODEL, options=flags)
        rows.append(rows_of(tmp_path / name))
    assert rows[0] == rows[1]


def test_command(films, tmp_path, capsys):
    words = ("--input", films / "0*.png", "--out", tmp_path / "out", "--model", MODEL)
    assert command(*words, "--format", "parquet", "--shards", 2) == 0
    told = capsys.readouterr().out
    assert "8 inputs: 0 named again, 0 done earlier, 8 rows written" in told
    assert len(rows_of(tmp_path / "out", "parquet")) == 8


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--input", "{films}/none-*"), "no such file"),
        (("--manifest", "{films}/none.txt"), "cannot be read (No such file"),
        (("--manifest", "{films}/empty.png"), "names no file"),
        (("--input", "{films}/*", "--model", "none"), "no such model"),
        (("--input", "{films}/*", "--resumee"), "unknown flag: --resumee"),
        (("--input", "{films}/*", "--runner", "Bogus"), "Unexpected pipeline runner"),
        (("--input", "{films}/*", "--shards", "-1"), "--shards must be 0 or more"),
        (("--input", "foo://x/*"), "Unable to get filesystem"),
    ],
)
def test_bad_usage_is_one_line(films, tmp_path, capsys, words, line):
    out = tmp_path / "out"
    words = [word.format(films=films) for word in words]
    assert command(*words, "--out", out) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("beam_triage.py: ")
    assert line in told
    assert not out.exists()


def test_a_manifest_needs_its_column(tmp_path):
    (tmp_path / "films.csv").write_text("path\na.png\n")
    with pytest.raises(ValueError, match="needs a column 'file'. It has: path."):
        ImageSource.of_manifest(str(tmp_path / "films.csv"), BeamFiles())


def test_results_page_holds_what_was_measured():
    root = SCRIPT.parents[1]
    benchmark = importlib.import_module("benchmarks.batch.__main__")
    results = root / "docs" / "results"
    figures = json.loads((results / "batch.json").read_text("utf-8"))
    page = (results / "batch.md").read_text("utf-8")
    assert benchmark.table(figures) in page
    assert f"{benchmark.core_hours(figures):.0f} core hours" in page


# Runners in processes of their own, and what is left when one is killed.

DEADLINE = 180


def environment():
    # The worker pool starts "python"; one thread each, as on a worker's core.
    folder = str(pathlib.Path(sys.executable).parent)
    return os.environ | {"PATH": folder + os.pathsep + os.environ["PATH"]}


def start(*words, **keywords):
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        **keywords,
    )


def wait_for(condition, what):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"no {what} in {DEADLINE} s")


@pytest.fixture(scope="module")
def portable(tmp_path_factory):
    """Flags of a job server and a separate worker pool, and the pool's process."""
    folder = tmp_path_factory.mktemp("beam")
    portability = "apache_beam.runners.portability.local_job_service_main"
    pool = "apache_beam.runners.worker.worker_pool_main"
    with contextlib.ExitStack() as stack:
        ports = []
        for module, words in (
            (portability, ("--port", 0, "--port_file", folder / "port")),
            (pool, ("--service_port", free_port())),
        ):
            log = stack.enter_context((folder / f"{module}.log").open("w"))
            process = subprocess.Popen(
                [sys.executable, "-m", module, *map(str, words)],
                env=environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
            stack.callback(process.wait)
            stack.callback(os.killpg, process.pid, signal.SIGTERM)
            ports.append(words[1])
        file = folder / "port"
        wait_for(file.exists, "job server")
        log = folder / f"{pool}.log"
        wait_for(lambda: "Started worker pool" in log.read_text(), "worker pool")
        yield (
            (
                *("--runner", "PortableRunner"),
                *("--job_endpoint", f"localhost:{file.read_text()}"),
                *("--environment_type", "EXTERNAL"),
                *("--environment_config", f"localhost:{ports[1]}"),
            ),
            process,
        )


def free_port():
    import socket

    with socket.socket() as probe:
        probe.bind(("", 0))
        return probe.getsockname()[1]


def workers(pid):
    """Living processes below a process that started none: a shell is no worker."""
    parents = {}
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(stat.parent.name)] = int(parent)
    below, todo = [], [pid]
    while todo:
        found = [child for child, parent in parents.items() if parent == todo[0]]
        below += [] if found or todo[0] == pid else [todo[0]]
        todo = todo[1:] + found
    return below


@pytest.fixture(scope="module")
def long_manifest(films, tmp_path_factory):
    """1,000 inputs that differ, every tenth of them bad."""
    folder = tmp_path_factory.mktemp("many")
    good = (films / "000.png").read_bytes()
    for index in range(1000):
        data = b"bad" if index % 10 == 3 else good
        (folder / f"{index:04}.png").write_bytes(data)
    path = folder / "films.txt"
    path.write_text("".join(f"{index:04}.png\n" for index in range(1000)))
    return path


def check_long(out):
    rows = rows_of(out)
    assert len(rows) == 1000
    assert sum(bool(row["error"]) for row in rows.values()) == 100
    assert not (out / "covseg-unfinished").exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("runner", ["portable", "multi_processing"])
def test_a_killed_worker_loses_and_doubles_nothing(
    runner, portable, long_manifest, tmp_path
):
    """The runners of one machine do not retry: the run fails, the next one is whole."""
    flags, pool = portable
    if runner == "multi_processing":
        flags = ("--direct_running_mode", runner, "--direct_num_workers", 2)
    out = tmp_path / "rows"
    words = (SCRIPT, "--manifest", long_manifest, "--out", out, "--model", MODEL)
    with start(*words, *flags) as process:
        parent = pool.pid if runner == "portable" else process.pid
        wait_for(lambda: list(out.glob("covseg-unfinished/beam-temp-rows*/*")), "shard")
        os.kill(wait_for(lambda: workers(parent), "worker")[-1], signal.SIGKILL)
        _, told = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1, told[-2000:]
    assert "beam_triage.py: the pipeline failed: " in told
    assert not list(out.glob("part-*"))
    with start(*words, *flags) as process:
        _, told = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, told[-2000:]
    check_long(out)
