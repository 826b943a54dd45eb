"""Run a bundle under an emulated ARM CPU and compare it with this machine, bit by bit.

    python -m benchmarks.edge arm64 --work FOLDER [--model xray xray_nano]
        [--images 8] [--data DIR --split Val]

For an x86-64 Debian or Ubuntu with `qemu-user-static` and `debootstrap` installed, as
root. FOLDER receives an arm64 Debian (230 MB) and the aarch64 wheels, once; then
`covseg_tf.edge.Segmenter` runs there under QEMU's Cortex-A72, the CPU of a Raspberry
Pi 4, and here, on the same prepared images: phantoms, or films of DIR at equal steps.
Prints, per model and flow, how many pixels differ, by how much, and with DIR the mean
Dice on both (images whose mask is not empty, threshold of the bundle); exit code 1 if a
pixel differs. It says nothing of speed.
Time: 40 seconds to build, then 10 seconds a run.
"""

import dataclasses
import pathlib
import shutil
import subprocess
import sys
import zipfile

import numpy as np

from covseg_tf.edge import Segmenter, draw_phantom
from covseg_tf.options import command, option

PACKAGES = "python3.11,python3.11-minimal,libpython3.11-stdlib,libstdc++6,zlib1g"
WHEELS = ("ai-edge-litert==2.3.0", "numpy", "opencv-python-headless")
PLATFORMS = ("2014", "_2_17", "_2_27", "_2_28")
MIRROR = "http://deb.debian.org/debian"
# XNNPACK reads it to choose its kernels; QEMU shows that of the x86 host.
CPUINFO = """processor\t: 0
BogoMIPS\t: 108.00
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""
CHILD = """
import sys
import numpy as np
from covseg_tf.edge import Segmenter
segmenter = Segmenter(sys.argv[1])
levels = [segmenter.run(pixels) for pixels in np.load(sys.argv[2])]
np.savez(sys.argv[3], **{flow: [x[flow] for x in levels] for flow in levels[0]})
"""


def build(work):
    root = work / "root"
    if (root / "done").exists():
        return root
    for name in ("qemu-aarch64-static", "debootstrap"):
        if shutil.which(name) is None:
            raise ValueError(
                f"{name} is missing: apt install qemu-user-static debootstrap."
            )
    shutil.rmtree(root, ignore_errors=True)
    call(
        *("debootstrap", "--arch=arm64", "--foreign", "--variant=minbase"),
        *(f"--include={PACKAGES}", "bookworm", root, MIRROR),
    )
    for package in sorted((root / "var/cache/apt/archives").glob("*.deb")):
        call("dpkg", "-x", package, root)
    platforms = [f"--platform=manylinux{tag}_aarch64" for tag in PLATFORMS]
    call(
        *(sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:"),
        *("--python-version=3.11", *platforms, *WHEELS, "-d", work / "wheels"),
    )
    for wheel in (work / "wheels").glob("*.whl"):
        zipfile.ZipFile(wheel).extractall(root / "site")
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc" / "cpuinfo").write_text(CPUINFO)
    (root / "done").touch()
    return root


def call(*words):
    result = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    if result.returncode:
        last = (result.stderr or result.stdout).strip().splitlines()[-1:]
        raise ValueError(f"{words[0]} failed: {' '.join(last)}")


def run_on_arm(root, model, images, out):
    package = pathlib.Path(__file__).resolve().parents[2]
    call(
        *("qemu-aarch64-static", "-cpu", "cortex-a72", "-L", root),
        *("-E", f"PYTHONPATH={root / 'site'}:{package}"),
        *("-E", f"PYTHONHOME={root / 'usr'}"),
        *(root / "usr/bin/python3.11", "-c", CHILD, model, images, out),
    )


def compare(here, there):
    """Returns, per flow, share of pixels that differ and the largest difference."""
    found = {}
    for flow in here:
        difference = np.abs(here[flow].astype(int) - there[flow])
        found[flow] = (float(np.mean(difference > 0)), int(difference.max()))
    return found


def read_images(options, spec):
    """Prepared images, and masks per flow where there are any."""
    if options.data is None:
        severities = np.linspace(0, 0.7, options.images)
        phantoms = (draw_phantom(i, float(s)).image for i, s in enumerate(severities))
        return np.stack([spec.apply(image) for image in phantoms]), {}
    from covseg_tf.data import load_sample, read_samples

    samples = read_samples(options.data, options.split)
    count = min(options.images, len(samples))
    picked = [samples[i * len(samples) // count] for i in range(count)]
    pixels, lung, infection = zip(*(load_sample(x, spec) for x in picked), strict=True)
    return np.stack(pixels), {"lung": lung, "infection": infection}


def mean_dice(levels, masks, threshold):
    from covseg_tf.evaluation.scores import image_scores, summarize

    maps = levels / 256
    rows = [image_scores(m, p, threshold) for m, p in zip(masks, maps, strict=True)]
    return summarize(rows, "lesions")["dice"]


def measure(options, root, model):
    work = options.work.resolve()
    bundle = Segmenter(model).bundle
    pixels, masks = read_images(options, bundle.preprocessing)
    images = work / "images.npy"
    np.save(images, pixels)
    call(sys.executable, "-c", CHILD, model, images, work / "x86.npz")
    run_on_arm(root, model, images, work / "arm64.npz")
    here, there = np.load(work / "x86.npz"), np.load(work / "arm64.npz")
    dice = {
        flow: [mean_dice(x[flow], masks[flow], bundle.threshold) for x in (here, there)]
        for flow in masks
    }
    return compare(here, there), dice


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    work: pathlib.Path = option("folder for the ARM system, made by you")
    model: tuple[str, ...] = option("bundled, or bundles' folders", ("xray",))
    images: int = option("prepared images", 8)
    data: str | None = option("folder of images and masks", None)
    split: str | None = option("which split of it; without it all", None)

    def __post_init__(self):
        if self.images < 1:
            raise ValueError(f"--images must be at least 1. Received: {self.images}")


def run(options):
    if not options.work.is_dir():
        raise ValueError(f"{options.work}: no such folder; make it first.")
    root = build(options.work.resolve())
    differs = [report(m, *measure(options, root, m)) for m in options.model]
    return int(any(differs))


def report(model, found, dice):
    """Prints a model's lines; returns whether a pixel differs."""
    for flow, (share, largest) in found.items():
        line = f"{model:<12} {flow:<10} {100 * share:6.3f} % of pixels differ"
        line += f", by up to {largest}" if largest else ""
        if flow in dice:
            line += "; Dice here {:.4f}, on ARM {:.4f}".format(*dice[flow])
        print(line, flush=True)
    return any(largest for _, largest in found.values())


main = command("edge arm64", __doc__, Options, run)
