#!/usr/bin/env python
"""Bundles on the films of every source that none of them was trained on.

    python -m benchmarks.hospitals score --data DIR [--models xray xray_nano]
    python -m benchmarks.hospitals copies --data DIR
    python -m benchmarks.hospitals page

`score` runs each bundle as `covseg triage` does, guard and all, over the test rows of
each folder of DIR and writes docs/results/hospitals/MODEL.csv, one row per film:
numbers only. `copies` looks for test films among those that were learnt from, and
writes docs/results/hospitals/copies.json. `page` writes docs/results/hospitals.md and
its plot from those files.
"""

import csv
import dataclasses
import json
import pathlib
import sys

import cv2
import numpy as np

from benchmarks.hospitals.page import RESULTS, write_page
from covseg_tf.data import (
    Sample,
    load_sample,
    read_covid_qu_ex,
    read_hospital_films,
    read_samples,
)
from covseg_tf.data.duplicates import find_near, take_fingerprint
from covseg_tf.data.load_sample import load_image
from covseg_tf.edge import Segmenter, read_image
from covseg_tf.evaluation import image_scores
from covseg_tf.options import argument, command, option

# Folders of films with a manifest, and their split to test on; None: all of them.
SOURCES = {
    "ralo": "test",
    "cohen": "test",
    "hannover": "test",
    "nih_rsna": "test",
    "tb": "test",
    "kermany_lungs": "test",
    "general_blockchain": None,
    "general_blockchain_2": None,
}
LABELS = ("geographic_extent", "brixia_global_senior", "brixia_global_junior")
COLUMNS = (
    *("source", "name", "finding", "percent", "right", "left", "extent", "flags"),
    *("lung_dice", "infection_dice", "infection_pixels", "painted_pixels", "in_boxes"),
    *LABELS,
)


def films_of(data):
    """Every test film with its readers' numbers."""
    for sample in read_covid_qu_ex(data / "covid_qu_ex", "Val"):
        yield "covid_qu_ex", sample, {}
    for source, split in SOURCES.items():
        with (data / source / "manifest.csv").open(newline="") as stream:
            labels = {row["name"]: row for row in csv.DictReader(stream)}
        for sample in read_samples(data / source, split):
            yield source, sample, labels[sample.name]


def score_film(segmenter, source, sample: Sample, labels, data):
    """One film's row, as strings and numbers."""
    spec, threshold = segmenter.bundle.preprocessing, segmenter.bundle.threshold
    prediction = segmenter.predict(read_image(sample.image))
    pixels, lung, infection = load_sample(sample, spec)
    maps = {k: v / 256 for k, v in segmenter.run(pixels).items()}
    row = dict.fromkeys(COLUMNS, "") | {
        "source": source,
        "name": sample.name,
        "finding": sample.finding,
        "flags": " ".join(prediction.flags),
    }
    involvement = prediction.involvement
    for key, value in (
        ("percent", involvement.total),
        ("right", involvement.right),
        ("left", involvement.left),
    ):
        row[key] = "" if value is None else round(value, 3)
    row["extent"] = "" if prediction.extent is None else prediction.extent
    if sample.lung_mask is not None:
        row["lung_dice"] = round(image_scores(lung, maps["lung"], threshold)["dice"], 5)
    painted = maps["infection"] > threshold
    row["painted_pixels"] = int(painted.sum())
    if sample.infection_mask is not None:
        scores = image_scores(infection, maps["infection"], threshold)
        row["infection_dice"] = round(scores["dice"], 5)
        row["infection_pixels"] = scores["mask_pixels"]
    boxes = data / source / "box_masks" / f"{sample.name}.png"
    if boxes.is_file() and painted.any():
        inside = spec.resize_mask(cv2.imread(str(boxes), 0) // 255)
        row["in_boxes"] = round(float(np.mean(inside[painted] > 0)), 4)
    return row | {label: labels.get(label) or "" for label in LABELS}


def write_copies(data):
    """Names the pairs of a test film and a learnt one that are the same picture."""

    def fingerprints(samples):
        return [take_fingerprint(load_image(sample)) for sample in samples]

    tested = [(source, sample) for source, sample, _ in films_of(data)]
    learnt = read_hospital_films(data)
    ours, theirs = fingerprints(sample for _, sample in tested), fingerprints(learnt)
    digests = {one.digest: number for number, one in enumerate(theirs)}
    pairs = find_near(ours, theirs)
    pairs += [
        (i, digests[one.digest]) for i, one in enumerate(ours) if one.digest in digests
    ]
    named = [
        (f"{tested[i][0]}/{tested[i][1].name}", learnt[j].name)
        for i, j in sorted(pairs)
    ]
    found = {"tested": len(tested), "learnt": len(learnt), "pairs": named}
    (RESULTS / "copies.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(f"{len(named)} pairs of {len(tested)} tested and {len(learnt)} learnt films")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    what: str = argument("score, copies or page", choices=("score", "copies", "page"))
    data: pathlib.Path | None = option("folder of the sources", None)
    models: tuple[str, ...] = option("bundles", ("xray", "xray_nano"))

    def __post_init__(self):
        if self.what != "page" and self.data is None:
            raise ValueError(
                f"{self.what} needs --data DIR, the folder of the sources."
            )


def run(options):
    if options.what == "page":
        write_page()
        return
    if options.what == "copies":
        write_copies(options.data)
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    for model in options.models:
        segmenter = Segmenter(model)
        rows = [
            score_film(segmenter, *film, options.data)
            for film in films_of(options.data)
        ]
        path = RESULTS / f"{segmenter.bundle.name}.csv"
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        print(f"{path.name}: {len(rows)} films")


main = command("hospitals", __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
