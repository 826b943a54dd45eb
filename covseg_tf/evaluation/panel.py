"""The poster's Figure 1: cases in rows, networks in columns, errors in red."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

# BGR.
_PAPER, _INK, _FAINT = (255, 255, 255), (32, 28, 26), (120, 112, 108)
_WRONG = (40, 30, 225)
_FONT = cv2.FONT_HERSHEY_DUPLEX
# Sizes for a tile of 256 pixels; everything grows with the tile.
_UNIT, _MARGIN, _GAP, _HEAD, _FOOT, _TEXT = 256, 14, 6, 30, 30, 0.5


def mark_errors(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Paints a predicted mask, with every wrong pixel in red.

    Args:
        prediction: Array `(height, width)`, non-zero is foreground.
        truth: The mask, of the same shape.

    Returns:
        uint8 BGR `(height, width, 3)`: white where both are foreground, black
        where neither is, red where one alone is (false positive or false
        negative).

    Raises:
        ValueError: If the shapes differ.
    """
    prediction, truth = np.asarray(prediction) > 0, np.asarray(truth) > 0
    if prediction.shape != truth.shape or truth.ndim != 2:
        raise ValueError(
            "`prediction` and `truth` must be masks (height, width) of one shape. "
            f"Received: {prediction.shape} and {truth.shape}"
        )
    picture = np.zeros((*truth.shape, 3), np.uint8)
    picture[prediction & truth] = 255
    picture[prediction ^ truth] = _WRONG
    return picture


def draw_panel(
    images: Sequence[np.ndarray],
    predictions: Mapping[str, Sequence[np.ndarray]],
    truths: Sequence[np.ndarray],
    names: Sequence[str] | None = None,
    note: str = "",
    side: int = 512,
) -> np.ndarray:
    """Draws input, predictions and ground truth, one case per row.

    The form of Figure 1 of He, Wong and Yoo, "Integrating Dual-Supervision and
    Region Fusion Attention for COVID-19 Image Segmentation". Predictions are
    drawn by `mark_errors`; below each stands its Dice.

    Args:
        images: uint8 grey images `(height, width)`, one per case.
        predictions: Title to masks `(height, width)`, one per case, non-zero is
            foreground; a column each, in the order of the dict.
        truths: The masks, one per case, of the images' shapes.
        names: Written below each image; `None` (default) for none.
        note: Line at the foot, say by which rule the cases were picked.
        side: Width of a column in pixels, at least 64. Defaults to 512, right
            for a picture shown at half its size.

    Returns:
        uint8 BGR picture `(rows, columns, 3)`.

    Raises:
        ValueError: If there is no case, a sequence has another number of
            cases, shapes differ within a case, or `side` is below 64.

    Example:

    >>> import numpy as np
    >>> mask = np.eye(64, dtype=np.uint8)
    >>> draw_panel([mask * 255], {"a": [mask], "b": [1 - mask]}, [mask]).ndim
    3
    """
    _check(images, predictions, truths, names, side)
    unit = side / _UNIT
    titles = ["input", *predictions, "ground truth"]
    names = [""] * len(images) if names is None else list(names)
    width = round(unit * (2 * _MARGIN + (len(titles) - 1) * _GAP)) + len(titles) * side
    strips = [_row(_blank_tiles(titles, side, _HEAD), titles, width, unit)]
    for index, (image, truth) in enumerate(zip(images, truths, strict=True)):
        masks = [np.asarray(of[index]) > 0 for of in predictions.values()]
        tiles = [
            cv2.cvtColor(image, cv2.COLOR_GRAY2BGR),
            *(mark_errors(mask, truth) for mask in masks),
            mark_errors(truth, truth),
        ]
        tiles = [_stretch(t, side, smooth=i == 0) for i, t in enumerate(tiles)]
        dices = [f"Dice {_dice(mask, np.asarray(truth) > 0):.2f}" for mask in masks]
        strips.append(_row(tiles, [names[index], *dices, ""], width, unit, _FAINT))
    strips.append(_legend(note, width, unit))
    return np.concatenate(strips)


def pick_cases(scores: Sequence[float], count: int) -> list[int]:
    """Picks cases over the whole range of a score: the rule of the panel.

    The scores are put in order and cut into `count` equal parts; the middle of
    each part is picked, so that neither the best nor the worst is chosen by
    hand.

    Args:
        scores: One per case.
        count: How many to pick, at least 1; all if there are fewer.

    Returns:
        Indices, from the highest score to the lowest; ties in the order given.

    Raises:
        ValueError: If `count` is below 1 or there is no case.

    Example:

    >>> pick_cases([0.1, 0.9, 0.5, 0.7], 2)
    [3, 0]
    """
    if count < 1 or not len(scores):
        raise ValueError(
            f"Need at least one case. Received: count={count}, {len(scores)} scores"
        )
    order = np.argsort(-np.asarray(scores, float), kind="stable")
    count = min(count, len(order))
    middles = (np.arange(count) + 0.5) / count * len(order)
    return [int(order[int(middle)]) for middle in middles]


def _check(images, predictions, truths, names, side):
    counts = {"images": len(images), "truths": len(truths)}
    counts |= {title: len(masks) for title, masks in predictions.items()}
    if names is not None:
        counts["names"] = len(names)
    if not len(images) or len(set(counts.values())) > 1:
        raise ValueError(f"Need one of each per case, and a case. Received: {counts}")
    for index, image in enumerate(images):
        image = np.asarray(image)
        if image.ndim != 2 or image.dtype != np.uint8:
            raise ValueError(
                "Images must be uint8 (height, width). Received: "
                f"{image.dtype} {image.shape} (case {index})"
            )
        for masks in (truths, *predictions.values()):
            if np.shape(masks[index]) != image.shape:
                raise ValueError(
                    f"Masks must have their image's shape {image.shape}. Received: "
                    f"{np.shape(masks[index])} (case {index})"
                )
    if side < 64:
        raise ValueError(f"`side` must be at least 64. Received: {side}")


def _dice(mask, truth):
    sizes = np.count_nonzero(mask) + np.count_nonzero(truth)
    return 2 * np.count_nonzero(mask & truth) / sizes if sizes else 1.0


def _stretch(tile, side, smooth):
    height = max(1, round(side * tile.shape[0] / tile.shape[1]))
    if tile.shape[:2] == (height, side):
        return tile
    shrinks = tile.shape[1] > side
    kind = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    # Red stays red: a mask has no colours in between.
    kind = kind if smooth else cv2.INTER_NEAREST_EXACT
    return cv2.resize(tile, (side, height), interpolation=kind)


def _blank_tiles(titles, side, height):
    return [np.zeros((0, side, 3), np.uint8) for _ in titles]


def _row(tiles, captions, width, unit, colour=_INK):
    """Tiles side by side, a caption centred below each."""
    height = tiles[0].shape[0]
    strip = np.full((height + round(unit * _FOOT), width, 3), _PAPER, np.uint8)
    x = round(unit * _MARGIN)
    for tile, caption in zip(tiles, captions, strict=True):
        side = tile.shape[1]
        strip[:height, x : x + side] = tile
        text = _fit(caption, side, unit)
        left = x + (side - _text_width(text, unit)) // 2
        _write(strip, text, left, height + round(unit * 20), unit, colour)
        x += side + round(unit * _GAP)
    return strip


def _legend(note, width, unit):
    strip = np.full((round(unit * 34), width, 3), _PAPER, np.uint8)
    x, y, box = round(unit * _MARGIN), round(unit * 17), round(unit * 12)
    text = "wrong pixel (false positive or false negative)"
    cv2.rectangle(strip, (x, y - box), (x + box, y), _WRONG, -1)
    _write(strip, text, x + round(unit * 20), y - round(unit), unit, _INK)
    used = x + round(unit * 50) + _text_width(text, unit)
    note = _fit(note, width - used - round(unit * _MARGIN), unit)
    left = width - round(unit * _MARGIN) - _text_width(note, unit)
    _write(strip, note, left, y - round(unit), unit, _FAINT)
    return strip


def _write(canvas, text, x, y, unit, colour):
    weight = max(1, round(0.6 * unit))
    cv2.putText(canvas, text, (x, y), _FONT, _TEXT * unit, colour, weight, cv2.LINE_AA)


def _text_width(text, unit):
    return cv2.getTextSize(text, _FONT, _TEXT * unit, 1)[0][0]


def _fit(text, room, unit):
    """Shortens at the front, where names are alike; the font has ASCII only."""
    text = "".join(c if " " <= c <= "~" else "?" for c in text)
    keep = len(text)
    while keep > 1 and _text_width(_tail(text, keep), unit) > room:
        keep -= 1
    return _tail(text, keep)


def _tail(text, keep):
    return text if keep == len(text) else f"..{text[-keep:]}"
