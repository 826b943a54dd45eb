"""How often the flags of the lungs' outline come up, where they should and not."""

import dataclasses

import numpy as np

from benchmarks.guard import changes, sources
from covseg_tf.edge import Segmenter, draw_phantom

MODELS = ("xray", "xray_nano")
FLAGS = (
    "no_lungs_found",
    "lung_area_implausible",
    "lungs_not_separable",
    "film_rotated",
    "lungs_cut_off",
)


def count(data, seed=2):
    """Yields a dict per model and group of films: how many carry each flag."""
    groups = list(_groups(data, np.random.default_rng(seed)))
    for model in MODELS:
        segmenter = Segmenter(model)
        for name, films in groups:
            guarded = [segmenter.predict(film) for film in films]
            found = [dataclasses.replace(p, guard_flags=()).flags for p in guarded]
            scored = sum(p.involvement.total is not None for p in guarded)
            turned = sum("film_rotated" in p.flags for p in guarded)
            row = {"model": model, "group": name, "films": len(films)}
            row |= {flag: sum(flag in flags for flags in found) for flag in FLAGS}
            yield row | {"film_rotated_with_guard": turned, "scored": scored}


def _groups(data, rng):
    val = sources.films(data, "Val")
    yield "COVID-QU-Ex Val", val
    yield "General Blockchain", sources.listed(data, "general_blockchain")
    phantoms = [
        draw_phantom(i, s, 256).image for i in range(20) for s in (0, 0.45, 0.9)
    ]
    yield "phantoms", phantoms
    some = val[::4]
    for degrees in (15, 20, 25, 30, 35, 45, 60):
        signs = rng.choice([-1, 1], len(some))
        pairs = zip(some, signs, strict=True)
        tilted = [changes.tilt(rng, p, sign * degrees) for p, sign in pairs]
        yield f"Val, every 4th, tilted by {degrees} degrees", tilted
    for share in (0.15, 0.25, 0.35):
        for side in ("top", "bottom", "left", "right"):
            cut = [_cut(film, side, share) for film in some]
            yield f"Val, every 4th, {round(100 * share)} % cut off: {side}", cut


def _cut(film, side, share):
    rows, columns = (int(share * x) for x in film.shape)
    kept = {
        "top": film[rows:],
        "bottom": film[: film.shape[0] - rows],
        "left": film[:, columns:],
        "right": film[:, : film.shape[1] - columns],
    }
    return np.ascontiguousarray(kept[side])
