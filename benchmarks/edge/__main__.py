"""What triage costs on this machine: start to report, memory, inference.

    python -m benchmarks.edge budget [--model xray] [--runs 15]
    python -m benchmarks.edge arm64 --work FOLDER

`budget` runs `covseg triage` on one phantom in a fresh process each time (wall clock
from process start to exit, peak resident memory as the kernel counts it), then
the network alone on one thread. Medians; needs nothing but `pip install .`, on
Linux or macOS. Expected on an x86-64 server core: 0.25 s, 96 MB, 2 to 5 ms.
"""

import dataclasses
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import cv2

from benchmarks.edge import arm64
from covseg_tf.edge import Segmenter, draw_phantom
from covseg_tf.options import command, group, option

LIMITS = {"seconds": 1.5, "megabytes": 200.0, "milliseconds": 30.0}


def triage_once(image, out, model):
    """Returns seconds and peak resident megabytes of one fresh process."""
    words = ["-m", "covseg_tf.cli", "triage", image, "--out", out, "--model", model]
    start = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *map(str, words)], stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"covseg triage ended with code {process.returncode}")
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return seconds, usage.ru_maxrss / unit


def inference_milliseconds(segmenter, image, runs):
    """Returns the median time of the network alone, preprocessing excluded."""
    pixels = segmenter.bundle.preprocessing.apply(image)
    times = []
    for _ in range(runs + 5):
        start = time.perf_counter()
        segmenter.run(pixels)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[5:])


def measure(model="xray", runs=15):
    """Returns a dict with the keys of `LIMITS`, all medians."""
    phantom = draw_phantom(seed=1, severity=0.4).image
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        image = folder / "phantom.png"
        image.write_bytes(cv2.imencode(".png", phantom)[1].tobytes())
        results = [triage_once(image, folder / f"{i}", model) for i in range(runs)]
    seconds, megabytes = zip(*results, strict=True)
    segmenter = Segmenter(model, threads=1)
    return {
        "seconds": statistics.median(seconds),
        "megabytes": statistics.median(megabytes),
        "milliseconds": inference_milliseconds(segmenter, phantom, 10 * runs),
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    model: str = option("bundled model, or a bundle", "xray")
    runs: int = option("fresh processes", 15)


def run(options):
    measured = measure(options.model, options.runs)
    for key, title in (
        ("seconds", "process start to report, one 512x512 image"),
        ("megabytes", "peak resident memory"),
        ("milliseconds", "inference, one thread"),
    ):
        print(f"{title:45} {measured[key]:8.2f} {key:13} limit {LIMITS[key]:g}")
    return int(any(measured[key] > limit for key, limit in LIMITS.items()))


main = group(
    "edge",
    __doc__,
    {"budget": command("edge budget", __doc__, Options, run), "arm64": arm64.main},
)

if __name__ == "__main__":
    sys.exit(main())
