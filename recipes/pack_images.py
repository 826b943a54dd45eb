#!/usr/bin/env python
"""Pack the images of many data sets into one small file, for a short loan of a GPU.

    python recipes/pack_images.py --data DATA --out FILE [--limit-mb 45]

packs those of DATA/covid_qu_ex, general_blockchain, covid_19_ct_seg, ralo,
kermany_lungs, nih_rsna and tb that are there, at 256x256; of films and slices whose
split is test only the three test sets of the poster's table. Masks are lossless; images
too where that fits, else WebP of the best quality that fits, and the test images at
least at 95. FILE holds the images themselves: treat it as the data, never publish it.
What it took is in the .csv beside it.

`recipes/poster_study.py` reads it. Time: about ten minutes on a CPU; `--side 32` is
for a rehearsal.
"""

import dataclasses
import pathlib
import sys
import time

import numpy as np

from covseg_tf.data import (
    load_sample,
    read_covid_qu_ex,
    read_manifest,
    read_packed,
    split_samples,
    write_packed,
)
from covseg_tf.edge import PreprocessingSpec
from covseg_tf.evaluation import write_rows
from covseg_tf.losses import extent_bounds
from covseg_tf.options import command, option

WEAK = ("ralo", "kermany_lungs", "nih_rsna", "tb")
QUALITIES = (None, 95, 90, 85, 80, 75, 70, 60, 50)
TEST_QUALITY = 95
HEALTHY = {"normal", "NIH text label: No_findings"}
WEAK_HEALTHY = 0.5
# Share of both lungs that a finding without an outline means at least.
LEAST_SHARE = {
    "tuberculosis": 0.08,
    "bacterial pneumonia": 0.08,
    "NIH text label: Pneumonia": 0.04,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    data: pathlib.Path = option("folder of the data sets")
    out: pathlib.Path = option("file to write, .npz")
    limit_mb: float = option("size of the file, MB", 45.0)
    side: int = option("height and width, pixels", 256)

    def __post_init__(self):
        if not (self.limit_mb > 0 and self.side > 0):
            raise ValueError("--limit-mb and --side must be positive")
        if self.out.exists():
            raise ValueError(f"--out {self.out}: already there; give another")


def read_planes(root, spec):
    """Per image `(facts, image, lung, infection)`; the facts are what a run reads."""
    training = read_covid_qu_ex(root / "covid_qu_ex", "Train")
    parts = split_samples(training, 0.1)
    groups = {("xray", "train"): parts[0], ("xray", "validation"): parts[1]}
    groups["covid_qu_ex_val", "test"] = read_covid_qu_ex(root / "covid_qu_ex", "Val")
    if (root / "general_blockchain").is_dir():
        films = read_manifest(root / "general_blockchain")
        groups["general_blockchain", "test"] = films
    if (root / "covid_19_ct_seg").is_dir():
        for part in ("train", "validation"):
            groups["ct", part] = read_manifest(root / "covid_19_ct_seg", part)
        slices = read_manifest(root / "covid_19_ct_seg", "test")
        groups["covid_19_ct_seg_test", "test"] = slices
    for (group, part), samples in groups.items():
        for sample in samples:
            yield facts(sample, group, part), *load_sample(sample, spec)
    for folder in (root / name for name in WEAK if (root / name).is_dir()):
        for film in read_manifest(folder, "train"):
            told = facts(film, "weak", "train") | {"bounds": bounds_of(film)}
            image, _, empty = load_sample(film, spec)
            # Lungs of other conventions are not learnt from.
            yield told, image, None, empty if film.finding in HEALTHY else None


def facts(sample, group, part):
    told = {"name": sample.name, "group": group, "part": part}
    told |= {"finding": sample.finding, "patient": sample.patient or ""}
    # Another pneumonia's empty mask does not say "no opacity"; what was mined from
    # reports counts half.
    weight = WEAK_HEALTHY if group == "weak" else float(sample.finding != "Non-COVID")
    return told | {"weights": [1.0, weight]}


def bounds_of(film):
    """Lowest and highest share of both lungs that the film's readers allow."""
    if film.extents is None or None in film.extents:
        return [LEAST_SHARE.get(film.finding, 0.0), 1.0]
    return np.mean([extent_bounds(score) for score in film.extents], axis=0).tolist()


def with_quality(planes, quality):
    if quality is None:
        return planes
    coarsest = {"test": max(quality, TEST_QUALITY)}
    return [
        (told | {"quality": coarsest.get(told["part"], quality)}, *of)
        for told, *of in planes
    ]


def run(options):
    planes = list(read_planes(options.data, PreprocessingSpec(*2 * (options.side,))))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for quality in QUALITIES:
        chosen = with_quality(planes, quality)
        # Every tenth image shows what is far too large.
        few = write_packed(options.out, chosen[::10])
        if few["bytes"] / few["images"] * len(planes) > options.limit_mb * 1e6:
            continue
        size = write_packed(options.out, chosen)
        if size["bytes"] <= options.limit_mb * 1e6:
            break
    else:
        options.out.unlink()
        raise ValueError(
            f"--limit-mb {options.limit_mb}: too small for {len(planes)} images; "
            "a smaller --side fits."
        )
    began, worked = time.perf_counter(), time.process_time()
    packed = read_packed(options.out)
    seconds, worked = time.perf_counter() - began, time.process_time() - worked
    error = np.mean(
        [
            np.square(image - packed.images[i].astype(float)).mean()
            for i, (_, image, *_) in enumerate(planes)
        ]
    )
    told = {
        "images": len(planes),
        "quality": "lossless" if quality is None else quality,
        "test_quality": quality and max(quality, TEST_QUALITY) or "lossless",
        "psnr_db": float("inf") if not error else 10 * np.log10(255**2 / error),
        "mb": size["bytes"] / 1e6,
        "mask_mb": size["mask_bytes"] / 1e6,
        "decode_seconds": seconds,
        "decode_cpu_seconds": worked,
    }
    write_rows(options.out.with_suffix(".csv"), [told], 3)
    print(f"{options.out}: " + ", ".join(f"{k} {v}" for k, v in told.items()))


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
