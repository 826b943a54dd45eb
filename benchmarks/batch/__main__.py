"""Images per second of `export/beam_triage.py` against a plain loop.

    python -m benchmarks.batch [--images 2000] [--repeats 3] \\
        [--out docs/results/batch.json]

Draws 100 phantoms (512 px, PNG) and copies them, then scores them with a plain loop,
with Beam in one process and with Beam in two, each as a command, one after another and
that several times. Each also scores 20 images: the difference is free of what a
start costs. Medians; interpreter and OpenCV at one thread. CPU seconds hardly
depend on what else runs on the machine, images per second do: the load is noted.
Prints the table of docs/results/batch.md. Needs Linux. Time: 5 to 15 minutes.
"""

import dataclasses
import json
import os
import pathlib
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

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "export" / "beam_triage.py"
FEW = 20
# Drawing one takes longer than scoring it; more are copies under other names.
DRAWN = 100
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "1"
)
ARMS = {
    "plain loop": [],
    "Beam, 1 process": ["--runner", "FnApiRunner"],
    "Beam, 2 processes": [
        *("--runner", "FnApiRunner"),
        *("--direct_running_mode", "multi_processing", "--direct_num_workers", "2"),
    ],
}
# Of the 10 million that the page prices.
MANY = 10_000_000


def plain_loop(manifest, out, model):
    """Scores the images of a manifest, and does nothing else."""
    from covseg_tf.imaging.sources.find_sources import bytes_sources
    from covseg_tf.triage.record.row import TriageRow

    segmenter = Segmenter(model)
    with open(out, "w", encoding="ascii") as stream:
        for path in pathlib.Path(manifest).read_text().splitlines():
            data = pathlib.Path(path).read_bytes()
            film = bytes_sources(path, data)[0].read()
            found = segmenter.predict(film.pixels)
            zones, involvement = found.zones, found.involvement
            row = TriageRow(
                path,
                involved_percent=involvement.total,
                involved_percent_right=involvement.right,
                involved_percent_left=involvement.left,
                extent=found.extent,
                zones=None if zones is None else int(zones.count),
                flags=found.flags,
            )
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
    if arm == "plain loop":
        words = ["-m", "benchmarks.batch", "--loop", manifest, "--out", out]
    else:
        words = [SCRIPT, "--manifest", manifest, "--out", out, *ARMS[arm]]
    command = [sys.executable, *map(str, words), "--model", model]
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        env=os.environ | ONE_THREAD,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{arm} ended with {process.returncode}: {command}")
    wall = time.perf_counter() - start
    return wall, usage.ru_utime + usage.ru_stime


def measure_all(options):
    """Measures all arms by turns; returns the figures."""
    times = {arm: {"all": [], "few": []} for arm in ARMS}
    loads = []
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
    loop: str | None = option("a manifest: score it by the plain loop alone", None)

    def __post_init__(self):
        if self.images <= FEW or self.repeats < 1:
            raise ValueError(f"--images above {FEW} and --repeats above 0, please.")


def run(options):
    if options.loop:
        plain_loop(options.loop, options.out, options.model)
        return
    figures = measure_all(options)
    print(table(figures))
    print(f"{MANY:,} images: {core_hours(figures):.0f} core hours")
    if options.out:
        options.out.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


main = command("batch", __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
