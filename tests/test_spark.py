"""The Spark job: the rows of `covseg triage`, whatever the inputs and executors."""

import contextlib
import importlib.util
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import cv2
import pytest

pytest.importorskip("pyspark", reason="needs pip install 'covseg-tf[spark]'")
if not shutil.which("java"):
    pytest.skip("needs Java: openjdk-17-jre-headless", allow_module_level=True)

from covseg_tf.batch import ImageSource, SparkFiles, run_spark  # noqa: E402
from covseg_tf.batch import spark as spark_module  # noqa: E402
from covseg_tf.batch.score_image import COLUMNS, parquet_schema  # noqa: E402
from covseg_tf.edge import Segmenter, draw_phantom  # noqa: E402
from covseg_tf.triage import triage  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "export" / "spark_triage.py"
MODEL = "xray_nano"
GOOD = 12


def script():
    spec = importlib.util.spec_from_file_location("spark_triage", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for seed in range(GOOD):
        image = draw_phantom(seed, 0.1 * (seed % 8), 128).image
        suffix = (".png", ".jpg", ".tif")[seed % 3]
        data = cv2.imencode(suffix, image)[1].tobytes()
        (folder / f"{seed:03}{suffix}").write_bytes(data)
    whole = (folder / "000.png").read_bytes()
    (folder / "empty.png").write_bytes(b"")
    (folder / "junk.png").write_bytes(b"no image at all")
    (folder / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / ".hidden.png").write_bytes(whole)
    (folder / "inner").mkdir()
    (folder / "inner" / "deep.png").write_bytes(whole)
    return folder


@pytest.fixture(scope="module")
def builder(tmp_path_factory):
    """Two cores of this process's own; stopped at the end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        builder = script().session_builder("local[2]")
        folder = str(tmp_path_factory.mktemp("spark"))
        builder = builder.config("spark.sql.warehouse.dir", folder)
        yield builder.config("spark.local.dir", folder)
        builder.getOrCreate().stop()


def rows_of(out):
    """All rows, by name; fails if one comes twice."""
    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(out).to_pylist()
    by_name = {row["file"]: row for row in rows}
    assert len(by_name) == len(rows) == len({row["id"] for row in rows})
    return by_name


@pytest.fixture(scope="module")
def manifest(films):
    """Names all films, two of them again, three that fail, one by its address."""
    names = sorted(path.name for path in films.iterdir())
    names += ["000.png", "empty.png", "missing.png", f"file://{films}/001.jpg"]
    names += [f"file://{films}/none.jpg"]
    path = films.parent / f"{films.name}.txt"
    lines = [n if "://" in n else str(films / n) for n in names]
    path.write_bytes(os.fsencode("\n".join(lines)) + b"\nb\xffd.png\n")
    return path


@pytest.fixture(scope="module")
def finished(manifest, builder, tmp_path_factory):
    """A run of the manifest: its report and its folder."""
    out = tmp_path_factory.mktemp("runs") / "rows"
    source = ImageSource.of_manifest(str(manifest), SparkFiles())
    return run_spark(source, str(out), builder, MODEL, films_per_task=3), out


def test_rows_are_those_of_triage(films, finished, tmp_path):
    report, out = finished
    rows = rows_of(out)
    # Five bad ones; .hidden.png; one by its address; the folder `inner`.
    assert (report.lines, report.rows, report.errors) == (GOOD + 11, GOOD + 9, 7)
    assert len(rows) == report.rows
    failing = {path for path, row in rows.items() if row["error"]}
    bad = {str(films / n) for n in ("empty.png", "junk.png", "cut.png", "inner")}
    bad |= {str(films / "missing.png"), f"file://{films}/none.jpg", "b\\xffd.png"}
    assert failing == bad
    # `covseg triage` refuses what is not there, and looks into folders.
    asked = [films / n for n in os.listdir(films) if n != "inner"]
    expected = triage(asked, tmp_path / "triage", Segmenter(MODEL), report_images=0)
    assert any(row.involved_percent for row in expected)
    shared = set(COLUMNS) - {"id", "model", "model_sha256"}
    for row in expected:
        columns = row.to_dict()
        assert {name: rows[row.file][name] for name in shared} == {
            name: columns[name] for name in shared
        }
    plain, addressed = rows[str(films / "001.jpg")], rows[f"file://{films}/001.jpg"]
    differing = {name for name in COLUMNS if plain[name] != addressed[name]}
    assert differing == {"id", "file"}


def test_files_are_whole_and_typed(finished):
    import pyarrow.parquet

    _, out = finished
    names = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    assert "_SUCCESS" in names
    files = sorted(names - {"_SUCCESS"})
    assert len(files) == (GOOD + 9) / 3  # a file a task of three
    assert all(name.startswith("part-") for name in files)
    for name in files:
        found = pyarrow.parquet.read_schema(out / name)
        assert found.names == list(COLUMNS)
        for field in parquet_schema():
            kind = found.field(field.name).type
            assert str(kind).partition("<")[0] == str(field.type).partition("<")[0]


def test_rows_are_those_of_beam(manifest, finished, tmp_path):
    pytest.importorskip("apache_beam", reason="needs pip install 'covseg-tf[beam]'")
    from covseg_tf.batch import BeamFiles, run_batch

    source = ImageSource.of_manifest(str(manifest), BeamFiles())
    run_batch(source, str(tmp_path), MODEL, options=("--runner", "FnApiRunner"))
    lines = b"".join(path.read_bytes() for path in tmp_path.glob("part-*/rows-*"))
    rows = {row["file"]: row for row in map(json.loads, lines.splitlines())}
    found = rows_of(finished[1])
    # Beam knows no file://; what an address cannot be read for is each engine's.
    assert {n: r for n, r in rows.items() if "://" not in n} == {
        n: r for n, r in found.items() if "://" not in n
    }


@pytest.mark.parametrize("pattern", ["**", "0*", "*.png", "[0-1]*", "000.png"])
def test_a_pattern_means_what_beam_means(films, pattern):
    pytest.importorskip("apache_beam", reason="needs pip install 'covseg-tf[beam]'")
    from covseg_tf.batch import BeamFiles

    found, expected = (
        sorted(files.match(str(films / pattern)))
        for files in (SparkFiles(), BeamFiles())
    )
    assert found == expected
    assert found


def test_what_is_there_is_refused_and_left_alone(films, finished, builder, tmp_path):
    source = ImageSource.of_pattern(str(films / "0*"), SparkFiles())
    _, out = finished
    before = {path: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(ValueError, match="rows: is there already; give another"):
        run_spark(source, str(out), builder, MODEL)
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    (tmp_path / "half" / "_temporary").mkdir(parents=True)
    with pytest.raises(ValueError, match="without _SUCCESS: no run has ended there"):
        run_spark(source, str(tmp_path / "half"), builder, MODEL)
    assert (tmp_path / "half" / "_temporary").exists()


def test_a_failed_job_leaves_nothing(films, builder, tmp_path, monkeypatch):
    """As if each executor had another model; and as if rows had been lost."""
    source, out = (
        ImageSource.of_pattern(str(films / "0*"), SparkFiles()),
        tmp_path / "r",
    )
    with monkeypatch.context() as patch:
        origin = {"model_sha256": "0" * 64}
        patch.setattr(spark_module, "load_model", lambda model: (None, origin))
        with pytest.raises(
            RuntimeError, match="job failed: ValueError: .*another model"
        ):
            run_spark(source, str(out), builder, MODEL)
    assert not out.exists()
    score = spark_module._score_all
    with monkeypatch.context() as patch:
        patch.setattr(spark_module, "_score_all", lambda *w: score(*w).limit(5))
        with pytest.raises(RuntimeError, match="5 rows of 5 inputs, not of 12"):
            run_spark(source, str(out), builder, MODEL)
    assert not out.exists()
    assert run_spark(source, str(out), builder, MODEL).rows == GOOD


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--input", "{films}/none-*"), "no such file"),
        (("--input", "s3://b/*"), "is not listed from here; give a manifest"),
        (("--manifest", "{films}/none.txt"), "cannot be read (No such file"),
        (("--manifest", "{films}/empty.png"), "names no file"),
        (("--input", "{films}/*", "--model", "none"), "no such model"),
        (("--input", "{films}/*", "--films-per-task", "0"), "must be above 0. Got: 0"),
        (("--input", "{films}/*", "--shards", "2"), "unknown option --shards"),
        ((), "give one of --input and --manifest"),
    ],
)
def test_bad_usage_is_one_line(films, tmp_path, capsys, words, line):
    words = [word.format(films=films) for word in words]
    assert script().main([*words, "--out", str(tmp_path / "out")]) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert told.startswith("spark_triage.py: ")
    assert line in told
    assert not (tmp_path / "out").exists()


# Executors in processes of their own, and what is left when one is killed.

DEADLINE = 600
INPUTS = 1000


def wait_for(condition, process, what):
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end and process.poll() is None:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"no {what}")


def executors(pid):
    """Living executors below a process."""
    parents, found = {}, []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(stat[1])
            if b"CoarseGrainedExecutorBackend" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))

    def is_below(child):
        while child > 1 and child != pid:
            child = parents.get(child, 0)
        return child == pid

    return [child for child in found if is_below(child)]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_executor_loses_and_doubles_nothing(films, tmp_path):
    """The job goes on: it is at most the films of one task that are done again."""
    good = (films / "000.png").read_bytes()
    (tmp_path / "films").mkdir()
    for index in range(INPUTS):
        data = b"bad" if index % 10 == 3 else good
        (tmp_path / "films" / f"{index:04}.png").write_bytes(data)
    out, log = tmp_path / "rows", tmp_path / "log"
    words = ("--input", tmp_path / "films" / "*", "--out", out, "--model", MODEL)
    words += ("--master", "local-cluster[2,1,1024]", "--films-per-task", 20)
    with (
        log.open("w") as stream,
        subprocess.Popen(
            [sys.executable, SCRIPT, *map(str, words)],
            env=os.environ | {"SPARK_WORKER_DIR": str(tmp_path / "work")},
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
        ) as process,
    ):
        scored = "_temporary/0/task*/part-*"
        wait_for(lambda: list(out.glob(scored)), process, "task that ended")
        os.kill(executors(process.pid)[0], signal.SIGKILL)
        assert not list(out.glob("part-*"))  # it was the middle
        told, _ = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0, log.read_text()[-2000:]
    assert "Lost executor" in log.read_text()
    assert f"{INPUTS} rows written, {INPUTS // 10} of them could not be read" in told
    rows = rows_of(out)
    assert set(rows) == {str(p) for p in (tmp_path / "films").iterdir()}
    assert sum(bool(row["error"]) for row in rows.values()) == INPUTS // 10
    assert (out / "_SUCCESS").exists()
