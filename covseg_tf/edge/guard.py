"""Tells whether a picture is what the network was made for.

A network paints lungs into anything. Before its numbers are believed, this looks
at the picture alone: hand-made features, one hidden layer, three classes.
It was fitted by `python -m benchmarks.guard`; what it catches and what it misses is in
`docs/results/guard.md`.
"""

import functools
import pathlib

import cv2
import numpy as np

MODALITIES = ("xray", "ct")
VIEWS = (*MODALITIES, "other")
# Weights beside this file: float16, one flat array, in the order of `shapes_of`.
WEIGHTS = pathlib.Path(__file__).with_name("guard_weights.npy")
# Above this a score is believed: the class outweighs the two others together.
LIMITS = {"xray": 0.5, "ct": 0.5}
_FLAGS = {"xray": "not_a_chest_xray", "ct": "not_a_ct_slice"}

_SIDE = 64
_CELLS = 8
_ORIENTATIONS = 8
_COARSE = 16
# Grey levels between the darkest and the brightest hundredth, below which a picture
# is blank.
_FEWEST_LEVELS = 8


def classify_view(grey: np.ndarray) -> str:
    """Returns what a picture shows: `"xray"`, `"ct"` or `"other"`.

    Args:
        grey: uint8 `(rows, columns)`, the whole picture; the ratio of its sides
            does not matter. A CT slice may be turned or mirrored, a film not.

    Returns:
        `"xray"` for a frontal chest X-ray, upright and not inverted; `"ct"` for
        an axial slice of the chest; `"other"` for all else, blanks included.
    """
    return _view_of(view_scores(grey))


def view_scores(grey: np.ndarray) -> dict[str, float]:
    """Returns the score of each class of `VIEWS`; they add up to 1.

    A score orders pictures; it is no probability that holds elsewhere.

    Args:
        grey: uint8 `(rows, columns)`, as for `classify_view`.
    """
    return _scores(view_features(grey))


def guard_flags(grey: np.ndarray, modality: str = "xray") -> tuple[str, ...]:
    """Returns why a picture should not be scored, or an empty tuple.

    Args:
        grey: uint8 `(rows, columns)`, as for `classify_view`.
        modality: `"xray"` or `"ct"`, what the network was trained on.

    Returns:
        `()`; or `("film_rotated",)` for a chest X-ray that lies on its side,
        stands on its head or is tilted by about 20 to 50 degrees; or
        `("not_a_chest_xray",)`, `("not_a_ct_slice",)`.

    Raises:
        ValueError: If the modality is unknown.
    """
    if modality not in MODALITIES:
        raise ValueError(
            f"`modality` must be one of {MODALITIES}. Received: {modality}"
        )
    small = _shrink(grey)
    features = view_features(small)
    view = _view_of(_scores(features))
    if view == modality:
        return ()
    if modality == "xray" and view == "other" and _is_turned_film(small, features):
        return ("film_rotated",)
    return (_FLAGS[modality],)


def view_features(grey: np.ndarray) -> np.ndarray | None:
    """Returns what the classifier reads, or `None` for a blank picture.

    Of the picture at 64x64, stretched from its 1st to its 99th percentile: a
    coarse copy (16x16, mean 0, deviation 1); histograms of gradient directions
    (8x8 cells, 8 directions over the full circle); the grey levels' histogram
    (8 bins); and the deviation left after a blur of 1 and of 4 pixels, relative.

    Args:
        grey: uint8 `(rows, columns)`.

    Returns:
        float32 vector.
    """
    small = _shrink(grey)
    below = np.bincount(small.ravel(), minlength=256).cumsum()
    low, high = np.searchsorted(below, (0.01 * small.size, 0.99 * small.size))
    if high - low < _FEWEST_LEVELS:
        return None
    scale = np.float32(1 / (high - low))
    picture = np.clip((small - np.float32(low)) * scale, 0, 1)
    coarse = cv2.resize(picture, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA)
    coarse = (coarse - coarse.mean()) / (coarse.std() + 1e-3)
    levels = np.bincount((picture * 7.999).astype(np.int64).ravel(), minlength=8)
    fine = [picture - cv2.GaussianBlur(picture, (0, 0), radius) for radius in (1, 4)]
    detail = [part.std() / (picture.std() + 1e-3) for part in fine]
    parts = (coarse.ravel(), _gradients(picture), levels / picture.size, detail)
    return np.concatenate(parts).astype(np.float32)


def _scores(features):
    if features is None:
        return dict(zip(VIEWS, (0.0, 0.0, 1.0), strict=True))
    mean, scale, first, first_bias, second, second_bias = _weights()
    hidden = np.maximum(((features - mean) * scale) @ first + first_bias, 0)
    logits = hidden @ second + second_bias
    powers = np.exp(logits - logits.max())
    return dict(zip(VIEWS, (powers / powers.sum()).tolist(), strict=True))


def _view_of(scores):
    passed = {name: scores[name] for name in MODALITIES if scores[name] > LIMITS[name]}
    return max(passed, key=passed.get) if passed else "other"


def _shrink(grey):
    size = (_SIDE, _SIDE)
    if grey.shape == size:
        return grey
    shrinks = min(grey.shape) >= _SIDE
    mode = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(grey, size, interpolation=mode)


def _gradients(picture):
    smooth = cv2.GaussianBlur(picture, (0, 0), 0.8)
    right = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, ksize=3)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, ksize=3)
    length, angle = cv2.cartToPolar(right, down)
    bins = (angle * (_ORIENTATIONS / (2 * np.pi))).astype(np.int64) % _ORIENTATIONS
    size = _CELLS * _CELLS * _ORIENTATIONS
    index = (_cells() + bins).ravel()
    sums = np.bincount(index, length.ravel(), size).reshape(-1, _ORIENTATIONS)
    norms = np.sqrt((sums**2).sum(axis=1, keepdims=True))
    # A flat cell stays small: its directions are noise.
    return np.sqrt(sums / (norms + 0.3 * norms.mean() + 1e-3)).ravel()


@functools.cache
def _cells():
    rows, columns = np.indices((_SIDE, _SIDE)) * _CELLS // _SIDE
    return (rows * _CELLS + columns) * _ORIENTATIONS


def _is_turned_film(small, features):
    """Whether it would be a film after a quarter turn or two, or tilted by less."""
    if features is None:
        return False
    tries = [_turned(features, turns) for turns in (1, 2, 3)]
    tries += [view_features(_tilted(small, degrees)) for degrees in (-35, 35)]
    return any(_view_of(_scores(features)) == "xray" for features in tries)


def _turned(features, turns):
    """The features of the picture after quarter turns against the clock."""
    cut = _COARSE**2
    end = cut + _CELLS**2 * _ORIENTATIONS
    coarse = np.rot90(features[:cut].reshape(_COARSE, _COARSE), turns)
    cells = np.rot90(features[cut:end].reshape(_CELLS, _CELLS, -1), turns)
    cells = np.roll(cells, -turns * _ORIENTATIONS // 4, axis=-1)
    return np.concatenate((coarse.ravel(), cells.ravel(), features[end:]))


def _tilted(small, degrees):
    middle = ((_SIDE - 1) / 2,) * 2
    matrix = cv2.getRotationMatrix2D(middle, degrees, 1.0)
    return cv2.warpAffine(small, matrix, (_SIDE, _SIDE))


def shapes_of(features: int, hidden: int) -> list[tuple[int, ...]]:
    """Returns the shapes of the weights, in the order in which they are stored."""
    first, second = (features, hidden), (hidden, len(VIEWS))
    return [(features,), (features,), first, (hidden,), second, (len(VIEWS),)]


def hidden_units() -> int:
    """Returns the width of the hidden layer, which the weights' file decides."""
    return len(_weights()[3])


@functools.cache
def _weights():
    flat = np.load(WEIGHTS).astype(np.float32)
    features, views = _COARSE**2 + _CELLS**2 * _ORIENTATIONS + 8 + 2, len(VIEWS)
    hidden = (flat.size - 2 * features - views) // (features + 1 + views)
    parts, start = [], 0
    for shape in shapes_of(features, hidden):
        size = int(np.prod(shape))
        parts.append(flat[start : start + size].reshape(shape))
        start += size
    return parts
