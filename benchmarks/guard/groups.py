"""The groups of pictures that the guard is measured on; none was fitted on."""

import numpy as np

from benchmarks.guard import changes, drawings, sources
from covseg_tf.edge import draw_phantom

DRAWN = 100
# Groups of the guard's folder that are, or are mostly, axial slices of a chest.
AXIAL = ("ChestCT", "CT slice (journal figure)")


def groups(data, wheels, seed):
    """Yields `(name, view, pictures)`, view as in `covseg_tf.edge.guard.VIEWS`."""
    rng = np.random.default_rng(seed)
    val = sources.films(data, "Val")
    hospitals = {
        source: sources.listed(data, source, split="test") for source in sources.TRAINED
    }
    hospitals |= {source: sources.listed(data, source) for source in sources.UNSEEN}
    other = hospitals["general_blockchain"]
    yield "COVID-QU-Ex Val", "xray", val
    for source, pictures in hospitals.items():
        yield f"{source}, test", "xray", pictures
    for name in dict.fromkeys(row["group"] for row in sources.rows(data / "guard")):
        view = "xray" if name == "CXR" else "other"
        pictures = sources.listed(data, "guard", group=name)
        yield f"guard: {name}", "ct" if name in AXIAL else view, pictures
    yield "Val, harmless changes", "xray", [changes.vary(rng, p, 15) for p in val]
    varied = [changes.vary(rng, p, 15) for p in other for _ in range(10)]
    yield "General Blockchain, harmless changes, 10 each", "xray", varied
    yield "phantoms", "xray", list(_phantoms())
    parts = [sources.slices(data, part) for part in ("validation", "test")]
    slices = [piece for part in parts for piece in part]
    yield "CT slices, validation and test patients", "ct", slices
    moved = [changes.vary(rng, changes.reorient(rng, p), 15) for p in slices]
    yield "CT slices, turned, harmless changes", "ct", moved
    narrowed = [changes.narrow(rng, p) for p in slices]
    yield "CT slices, other window (imitated)", "ct", narrowed
    yield from _spoilt(rng, val, other)
    if wheels is not None:
        photos = list(sources.pictures(wheels, sources.HELD_OUT).values())
        yield "pictures of wheels", "other", photos
        crops = [changes.detail(rng, p, (0.3, 1)) for p in photos for _ in range(20)]
        yield "pictures of wheels, 20 crops each", "other", crops
    yield "pydicom's test files", "other", list(sources.dicom_pictures().values())
    for name, draw in drawings.DRAWINGS.items():
        drawn = [draw(rng) for _ in range(DRAWN)]
        yield f"drawn: {name.replace('_', ' ')}", "other", drawn


def _phantoms():
    for size, seeds in ((224, 36), (512, 4)):
        for seed in range(seeds):
            for severity in (0.0, 0.2, 0.45, 0.7, 0.95):
                yield draw_phantom(seed, severity, size).image


def _spoilt(rng, val, other):
    for turns, name in ((1, "turned left"), (3, "turned right"), (2, "upside down")):
        turned = [np.ascontiguousarray(np.rot90(p, turns)) for p in val + other]
        yield f"films, {name}", "other", turned
    flipped = [np.ascontiguousarray(p[::-1]) for p in val + other]
    yield "films, mirrored top to bottom", "other", flipped
    tilted = [changes.tilt(rng, p, rng.choice([-45, 45])) for p in val + other]
    yield "films, tilted by 45 degrees", "other", tilted
    details = [changes.detail(rng, p) for p in val + other]
    yield "films, a part of 20-50 % of the side", "other", details
    jigsaws = [changes.jigsaw(rng, p) for p in val + other]
    yield "films, tiles in another order", "other", jigsaws
    pages = []
    for _ in range(len(val)):
        pick = [val[i] for i in rng.integers(0, len(val), 4)]
        pages.append(changes.collage(rng, pick))
    yield "films, several or small on a page", "other", pages
    yield "films, inverted", "other", [255 - p for p in val + other]
