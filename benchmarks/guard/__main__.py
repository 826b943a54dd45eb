"""Fit and measure the guard: is this picture what the network was made for?

    python -m benchmarks.guard fit --data DATA --wheels WHEELS
    python -m benchmarks.guard measure --data DATA [--wheels WHEELS] [--out FOLDER]

`fit` writes `covseg_tf/edge/guard_weights.npy` (5 minutes on one core) from films of
COVID-QU-Ex Train, slices of the training patients of COVID-19-CT-Seg, phantoms,
drawings, and pictures in published wheels. `measure` counts on what `fit` never saw:
Val, General Blockchain, the other patients, other pictures, pydicom's test files,
new phantoms and drawings (same formulas, other seed). WHEELS is a folder that
`benchmarks/guard/sources.py` tells how to fill; without it there are no photographs.
FOLDER receives `views.csv`, `lungs.csv` (the flags of the lungs' outline) and
`cost.csv`.
"""

import dataclasses
import pathlib
import statistics
import sys
import time

import cv2
import numpy as np

from benchmarks.guard import drawings, fit, groups, lungs
from covseg_tf.edge import draw_phantom, guard
from covseg_tf.evaluation import write_rows
from covseg_tf.options import command, group, option


def run_fit(options):
    features, classes, kinds = fit.gather(options.data, options.wheels, 0)
    for kind in np.unique(kinds):
        print(f"{kind:20s} {np.count_nonzero(kinds == kind):6d}")
    np.save(guard.WEIGHTS, fit.fit(features, classes, 0))
    print(f"{guard.WEIGHTS}: {guard.WEIGHTS.stat().st_size} bytes")


def run_measure(options):
    tables = {
        "views": _views(options.data, options.wheels),
        "lungs": lungs.count(options.data),
        "cost": _costs(),
    }
    for name, table in tables.items():
        rows = []
        for row in table:
            print(*row.values(), sep="\t", flush=True)
            rows.append(row)
        if options.out is not None:
            options.out.mkdir(parents=True, exist_ok=True)
            write_rows(options.out / f"{name}.csv", rows)


def _views(data, wheels):
    for name, view, pictures in groups.groups(data, wheels, 1):
        for modality in guard.MODALITIES:
            yield _count(name, view, pictures, modality)


def _costs(runs=300):
    """Median milliseconds of `guard_flags`, of a 256x256 picture in memory."""
    pictures = {
        "phantom": draw_phantom(1, 0.4, 256).image,
        "text page": drawings.page(np.random.default_rng(1)),
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class FitOptions:
    data: pathlib.Path = option("folder of the data sets")
    wheels: pathlib.Path = option("folder of the wheels")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    data: pathlib.Path = option("folder of the data sets")
    wheels: pathlib.Path | None = option("folder of the wheels", None)
    out: pathlib.Path | None = option("folder for the CSV files", None)


cv2.setNumThreads(1)
main = group(
    "guard",
    __doc__,
    {
        "fit": command("guard fit", __doc__, FitOptions, run_fit),
        "measure": command("guard measure", __doc__, MeasureOptions, run_measure),
    },
)

if __name__ == "__main__":
    sys.exit(main())
