"""Images per second of the Beam and the Spark command against a plain loop.

    python -m benchmarks.batch [--images 2000] [--repeats 3] \\
        [--out docs/results/batch.json]

Draws 100 phantoms (512 px, PNG) and copies them, then scores them with a plain loop,
with Beam and with Spark, each as a command, one after another and that several times.
Each also scores 20 images: the difference is free of what a start costs. Medians;
interpreter and OpenCV at one thread. CPU seconds hardly depend on what else runs on
the machine (Spark's do: Java compiles itself while it runs), images per second do: the
load is noted.
Prints the table of docs/results/batch.md. Needs Linux, Java 17 and
pip install 'covseg-tf[beam,spark]'. Time: 10 to 20 minutes.
"""

import ctypes
import dataclasses
import json
import multiprocessing
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import cv2

from benchmarks.machine import cpu_name
from covseg_tf.edge import Segmenter, draw_phantom
from covseg_tf.options import command, option

EXPORT = pathlib.Path(__file__).resolve().parents[2] / "export"
FEW = 20
# Drawing one takes longer than scoring it; more are copies under other names.
DRAWN = 100
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
)
LOOP = ["-m", "benchmarks.batch", "--loop"]
BEAM = [EXPORT / "beam_triage.py", "--runner", "FnApiRunner"]
TWO = ["--direct_running_mode", "multi_processing", "--direct_num_workers", "2"]
ARMS = {
    "plain loop": [*LOOP, "1"],
    "plain loop, 2 processes": [*LOOP, "2"],
    "Beam, 1 process": BEAM,
    "Beam, 2 processes": [*BEAM, *TWO],
    "Spark, 2 cores": [EXPORT / "spark_triage.py", "--master", "local[2]"],
}
PR_SET_CHILD_SUBREAPER = 36
# Of the 10 million that the page prices.
MANY = 10_000_000


def plain_loop(options):
    """Scores the images of a manifest, and does nothing else."""
    paths = pathlib.Path(options.manifest).read_text().splitlines()
    parts = [
        multiprocessing.Process(
            target=score, args=(paths[i :: options.loop], f"{options.out}{i}", options)
        )
        for i in range(options.loop)
    ]
    for part in parts:
        part.start()
    for part in parts:
        part.join()
    if any(part.exitcode for part in parts):
        raise OSError("a process of the loop has failed.")


def score(paths, out, options):
    """One process of the loop: reads, decodes, corrects, scores, writes a row."""
    from covseg_tf.imaging.sources.find_sources import bytes_sources
    from covseg_tf.triage.score import describe, with_numbers

    segmenter = Segmenter(options.model)
    with open(out, "w", encoding="ascii") as stream:
        for path in paths:
            film = bytes_sources(path, pathlib.Path(path).read_bytes())[0].read()
            row = describe(path, film, segmenter.bundle.modality)
            row = with_numbers(row, segmenter.predict(film.pixels))
            stream.write(json.dumps(row.to_dict()) + "\n")


def draw_films(folder, count):
    """Writes phantoms; returns manifests of all and of a few."""
    paths = []
    for seed in range(count):
        path = folder / f"{seed:06}.png"
        if seed < DRAWN:
            cv2.imwrite(str(path), draw_phantom(seed, 0.05 * (seed % 16), 512).image)
        else:
            shutil.copy(paths[seed % DRAWN], path)
        paths.append(str(path))
    manifests = []
    for name, some in (("all.txt", paths), ("few.txt", paths[:FEW])):
        manifests.append(folder / name)
        manifests[-1].write_text("\n".join(some) + "\n")
    return manifests


def measure(arm, manifest, folder, model):
    """Runs one arm; returns its wall and CPU seconds, workers' included."""
    out = pathlib.Path(tempfile.mkdtemp(dir=folder)) / "rows"
    words = [*ARMS[arm], "--manifest", manifest, "--out", out, "--model", model]
    command = [sys.executable, *map(str, words)]
    before, start = cpu_seconds(), time.perf_counter()
    code = subprocess.call(
        command,
        env=os.environ | ONE_THREAD,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wall = time.perf_counter() - start
    if code:
        raise SystemExit(f"{arm} ended with {code}: {command}")
    try:
        while True:  # Spark's Java and what it started end after the command
            os.wait()
    except ChildProcessError:
        return wall, cpu_seconds() - before


def cpu_seconds():
    """Returns the CPU seconds of all that has been started and has ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure_all(options):
    """Measures all arms by turns; returns the figures."""
    times = {arm: {"all": [], "few": []} for arm in ARMS}
    loads = []
    # Orphans come to this process: their CPU seconds are counted too.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        whole, few = draw_films(folder, options.images)
        for _ in range(options.repeats):
            for arm in ARMS:
                loads.append(os.getloadavg()[0])
                for key, manifest in (("few", few), ("all", whole)):
                    times[arm][key].append(
                        measure(arm, manifest, folder, options.model)
                    )
    return {
        "images": options.images,
        "repeats": options.repeats,
        "model": options.model,
        "machine": cpu_name(),
        "load": [round(min(loads), 1), round(max(loads), 1)],
        "arms": {arm: summarize(each, options.images) for arm, each in times.items()},
    }


def summarize(times, images):
    """Returns the medians of one arm."""
    wall, cpu = (
        [full[i] - few[i] for full, few in zip(times["all"], times["few"], strict=True)]
        for i in (0, 1)
    )
    net = images - FEW
    return {
        "images_per_second": round(net / statistics.median(wall), 1),
        "lowest": round(net / max(wall), 1),
        "highest": round(net / min(wall), 1),
        "cpu_ms_per_image": round(1000 * statistics.median(cpu) / net, 2),
        "start_seconds": round(statistics.median(t[0] for t in times["few"]), 1),
    }


def table(figures):
    """Returns the figures as Markdown."""
    lines = [
        "| | images/s | lowest to highest | CPU ms per image | start, s |",
        "|---|---:|---:|---:|---:|",
    ]
    for arm, row in figures["arms"].items():
        lines.append(
            f"| {arm} | {row['images_per_second']:.0f} | {row['lowest']:.0f} to "
            f"{row['highest']:.0f} | {row['cpu_ms_per_image']:.1f} | "
            f"{row['start_seconds']:.1f} |"
        )
    return "\n".join(lines)


def core_hours(figures, images=MANY):
    """Returns the core hours of Beam by its CPU seconds in one process."""
    row = figures["arms"]["Beam, 1 process"]
    return row["cpu_ms_per_image"] * images / 1000 / 3600


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    images: int = option("phantoms to score", 2000)
    repeats: int = option("of every arm", 3)
    model: str = option("bundled model, or a bundle", "xray")
    out: pathlib.Path | None = option("JSON file for the figures", None)
    loop: int = option("processes of the plain loop: run it alone", 0)
    manifest: str = option("what it scores", "")

    def __post_init__(self):
        if self.images <= FEW or self.repeats < 1:
            raise ValueError(f"--images above {FEW} and --repeats above 0, please.")


def run(options):
    if options.loop:
        plain_loop(options)
        return
    figures = measure_all(options)
    print(table(figures))
    loop = figures["arms"]["plain loop, 2 processes"]["images_per_second"]
    for arm, row in figures["arms"].items():
        print(f"{arm}: {row['images_per_second'] / loop:.2f} of the loop on 2 cores")
    print(f"{MANY:,} images: {core_hours(figures):.0f} core hours")
    if options.out:
        options.out.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


main = command("batch", __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
