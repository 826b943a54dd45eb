"""Draws the pictures the guard is fitted on and fits its weights; NumPy alone."""

import numpy as np

from benchmarks.guard import changes, drawings, reformats, sources
from covseg_tf.edge import draw_phantom, guard

# Pictures drawn per kind.
COUNTS = {
    "drawing": 500,
    "film": 800,
    "photo": 7000,
    "phantom": 700,
    "slice": 1500,
    "lateral": 5000,
    "reformat": 5000,
}
NETWORKS, HIDDEN = 3, 24
EPOCHS, BATCH, RATE, DECAY, DROP = 16, 128, 1.5e-3, 3e-3, 0.25


def gather(data, wheels, seed, share=1.0):
    """Features `(pictures, features)`, classes `(pictures,)`, kinds, weights."""
    rng = np.random.default_rng(seed)
    rows = []
    for kind, view, picture in examples(rng, data, wheels, share):
        features = guard.view_features(picture)
        if features is not None:
            rows.append((features, guard.VIEWS.index(view), kind))
    features, classes, kinds = map(list, zip(*rows, strict=True))
    return np.stack(features), np.array(classes), np.array(kinds)


def examples(rng, data, wheels, share=1.0):
    """Yields `(kind, view, picture)`, that share of `COUNTS`, films and slices."""
    counts = {kind: max(1, round(share * count)) for kind, count in COUNTS.items()}
    step = round(1 / share)
    films = sources.films(data, "Train")
    for source in sources.TRAINED:
        films += sources.listed(data, source, split="train")
    films, slices = films[::step], sources.slices(data, "train")[::step]
    photos = list(sources.pictures(wheels, sources.FIT).values())
    yield from _films(rng, films)
    yield from _phantoms(rng, counts)
    yield from _slices(rng, slices)
    yield from _reformats(rng, sources.volumes(data, "train"), films, counts)
    yield from _photos(rng, photos, counts)
    yield from _drawings(rng, counts)


def _films(rng, films):
    spoil = (changes.turn, changes.turn, changes.jigsaw, changes.warp, changes.detail)
    for film in films:
        yield "film", "xray", film
        for _ in range(3):
            yield "film", "xray", changes.vary(rng, film)
        for change in rng.choice(spoil, 3, replace=False):
            yield f"film {change.__name__}", "other", _worn(rng, change(rng, film))
        yield "film one-sided", "other", _worn(rng, reformats.one_sided(rng, film))
        pick = [films[i] for i in rng.integers(0, len(films), 4)]
        yield "film collage", "other", _worn(rng, changes.collage(rng, pick))


def _phantoms(rng, counts):
    for number in range(counts["phantom"]):
        size = int(rng.choice([128, 256]))
        phantom = draw_phantom(10_000 + number, rng.uniform(0, 0.95), size).image
        yield "phantom", "xray", phantom
        yield "phantom", "xray", changes.vary(rng, phantom)
        if number % 3 == 0:
            turned = changes.turn(rng, changes.resize(phantom))
            yield "phantom turn", "other", turned


def _slices(rng, slices):
    for piece in slices:
        for _ in range(12):
            picture = changes.reorient(rng, piece)
            if rng.random() < 0.5:
                picture = changes.narrow(rng, picture)
            picture = changes.vary(rng, picture)
            yield "slice", "ct", picture
        for _ in range(8):  # as figures show it: upright and cut close
            picture = changes.tighten(rng, piece)
            if rng.random() < 0.7:
                picture = changes.narrow(rng, picture)
            yield "slice, cut close", "ct", changes.vary(rng, picture)
        yield "slice", "ct", piece
        for change in (changes.jigsaw, changes.warp, changes.detail):
            yield f"slice {change.__name__}", "other", _worn(rng, change(rng, piece))
        pick = [slices[i] for i in rng.integers(0, len(slices), 4)]
        yield "slice collage", "other", changes.collage(rng, pick)


def _reformats(rng, volumes, films, counts):
    def some(pictures):
        return pictures[rng.integers(len(pictures))]

    shadows = [reformats.shadows_of(volume) for volume in volumes]
    for _ in range(counts["lateral"]):
        picture = reformats.lateral(rng, some(shadows), some(films))
        yield "lateral", "other", changes.vary(rng, picture)
    for number in range(counts["reformat"]):
        cut = reformats.coronal if number % 3 else reformats.sagittal
        picture = cut(rng, some(volumes))
        if rng.random() < 0.5:
            picture = changes.narrow(rng, picture)
        yield cut.__name__, "other", changes.vary(rng, picture)


def _photos(rng, photos, counts):
    large = [p for p in photos if min(p.shape) > 32]
    for number in range(counts["photo"]):
        if number % 6 == 0:
            picture = photos[rng.integers(len(photos))]
        else:
            picture = large[rng.integers(len(large))]
            picture = changes.detail(rng, picture, (0.3, 1.0))
        picture = changes.reorient(rng, picture)
        if rng.random() < 0.15:
            picture = 255 - picture
        yield "photo", "other", changes.vary(rng, picture, 90)


def _drawings(rng, counts):
    for _ in range(counts["slice"]):
        picture = changes.reorient(rng, drawings.slice_of_chest(rng))
        yield "drawn slice", "ct", _worn(rng, picture)
    for name, draw in drawings.DRAWINGS.items():
        for _ in range(counts["film" if name in drawings.FILMS else "drawing"]):
            yield f"drawn {name}", "other", _worn(rng, draw(rng))


def _worn(rng, picture):
    return changes.vary(rng, picture) if rng.random() < 0.5 else picture


def fit(features, classes, seed):
    """Weights in the order of `guard.shapes_of`, as one flat float16 array.

    Several fits from different beginnings, side by side in one layer: their mean.
    """
    fits = [_fit(features, classes, seed + number) for number in range(NETWORKS)]
    mean, scale = fits[0][:2]
    first, first_bias, second, second_bias = zip(*(f[2:] for f in fits), strict=True)
    parts = (
        *(mean, scale, np.hstack(first), np.hstack(first_bias)),
        *(np.vstack(second) / NETWORKS, np.mean(second_bias, axis=0)),
    )
    return np.concatenate([part.ravel() for part in parts]).astype(np.float16)


def _fit(features, classes, seed):
    rng = np.random.default_rng(seed)
    mean, deviation = features.mean(axis=0), features.std(axis=0) + 0.05
    inputs = ((features - mean) / deviation).astype(np.float32)
    shapes = guard.shapes_of(features.shape[1], HIDDEN)[2:]
    weights = [
        rng.normal(0, np.sqrt(2 / shape[0]), shape).astype(np.float32)
        if len(shape) == 2
        else np.zeros(shape, np.float32)
        for shape in shapes
    ]
    share = np.bincount(classes, minlength=len(guard.VIEWS)) / len(classes)
    importance = (1 / np.sqrt(share))[classes].astype(np.float32)
    importance /= importance.mean()
    moments = [(np.zeros_like(w), np.zeros_like(w)) for w in weights]
    step, steps = 0, EPOCHS * (len(inputs) // BATCH)
    for _ in range(EPOCHS):
        order = rng.permutation(len(inputs))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            index = order[start : start + BATCH]
            kept = rng.random(inputs.shape[1]) > DROP
            batch = inputs[index] * (kept / (1 - DROP)).astype(np.float32)
            slopes = _slopes(batch, classes[index], importance[index], weights)
            step += 1
            rate = RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            _adam(weights, moments, slopes, step, rate)
    return (mean, 1 / deviation, *weights)


def _slopes(inputs, classes, importance, weights):
    first, first_bias, second, second_bias = weights
    hidden = np.maximum(inputs @ first + first_bias, 0)
    logits = hidden @ second + second_bias
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = powers / powers.sum(axis=1, keepdims=True)
    error[np.arange(len(classes)), classes] -= 1
    error *= importance[:, None] / len(classes)
    back = (error @ second.T) * (hidden > 0)
    return inputs.T @ back, back.sum(axis=0), hidden.T @ error, error.sum(axis=0)


def _adam(weights, moments, slopes, step, rate):
    for weight, (first, second), slope in zip(weights, moments, slopes, strict=True):
        first += 0.1 * (slope - first)
        second += 0.001 * (slope**2 - second)
        change = (first / (1 - 0.9**step)) / (
            np.sqrt(second / (1 - 0.999**step)) + 1e-8
        )
        weight -= rate * (change + (DECAY * weight if weight.ndim == 2 else 0))
