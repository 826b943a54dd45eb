"""Fit and measure the guard: is this picture what the network was made for?

    python -m benchmarks.guard fit --data DATA --wheels WHEELS
    python -m benchmarks.guard measure --data DATA [--wheels WHEELS] [--out FOLDER]
    python -m benchmarks.guard page

`fit` writes `covseg_tf/edge/guard_weights.npy` (5 minutes on one core) from the train
rows of all films, slices of the training patients of COVID-19-CT-Seg and what is
computed from them, phantoms, drawings, and pictures in published wheels. `measure`
counts on what `fit` never saw: test rows of nine folders, the folder of what must not
be scored, the other patients, other pictures, pydicom's test files, new phantoms and
drawings (same formulas, other seed). `page` writes docs/results/guard.md. WHEELS is a
folder that `benchmarks/guard/sources.py` tells how to fill; without it there are no
photographs.
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
from benchmarks.guard.page import write_page
from covseg_tf.edge import draw_phantom, guard
from covseg_tf.evaluation import write_rows
from covseg_tf.options import command, group, option


def run_fit(options):
    features, classes, kinds = fit.gather(
        options.data, options.wheels, 0, options.share
    )
    for kind in np.unique(kinds):
        print(f"{kind:20s} {np.count_nonzero(kinds == kind):6d}")
    np.save(guard.WEIGHTS, fit.fit(features, classes, 0))
    print(f"{guard.WEIGHTS}: {guard.WEIGHTS.stat().st_size} bytes")


def run_measure(options):
    tables = {
        "views": lambda: _views(options.data, options.wheels),
        "lungs": lambda: lungs.count(options.data),
        "cost": _costs,
    }
    for name in options.only or tables:
        rows = []
        for row in tables[name]():
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
    share: float = option("share of the pictures, for a quick fit", 1.0)

    def __post_init__(self):
        if not 0 < self.share <= 1:
            raise ValueError(f"--share must be above 0, at most 1, not {self.share}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    data: pathlib.Path = option("folder of the data sets")
    wheels: pathlib.Path | None = option("folder of the wheels", None)
    out: pathlib.Path | None = option("folder for the CSV files", None)
    only: tuple[str, ...] = option(
        "which tables", (), choices=("views", "lungs", "cost")
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PageOptions:
    """There are none."""


cv2.setNumThreads(1)
main = group(
    "guard",
    __doc__,
    {
        "fit": command("guard fit", __doc__, FitOptions, run_fit),
        "measure": command("guard measure", __doc__, MeasureOptions, run_measure),
        "page": command("guard page", __doc__, PageOptions, lambda _: write_page()),
    },
)

if __name__ == "__main__":
    sys.exit(main())
