"""A picture of samples with the outlines of their masks."""

import textwrap
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from covseg_tf.data.check import by_finding, spread
from covseg_tf.data.load_sample import load_image, load_mask
from covseg_tf.data.sample import Sample

# BGR, the colours of the triage report.
_LUNG, _INFECTION = (230, 210, 0), (0, 160, 255)
_PAPER, _INK, _FAINT = (24, 22, 20), (235, 235, 235), (165, 160, 155)
_WRONG, _WRONG_PAPER = (80, 80, 255), (30, 26, 48)
_MARGIN, _GAP, _CAPTION, _TITLE = 24, 10, 38, 34
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def draw_contact_sheet(
    groups: Mapping[str, Sequence[Sample]],
    title: str = "",
    tiles: int = 48,
    columns: int = 8,
    side: int = 192,
) -> np.ndarray:
    """Draws samples of every group, every finding in its share, spread evenly.

    The lung mask is outlined in cyan, the infection mask in amber; below stand
    the name, the finding and the infection in percent of the lung. A sample
    that cannot be read is a tile that says why.

    Args:
        groups: Heading, for example the split's name, to samples.
        title: Line above all. Defaults to none.
        tiles: How many samples to draw, at least one of every group and
            finding. Defaults to 48.
        columns: Tiles in a row. Defaults to 8.
        side: Side of a tile in pixels; the image keeps its proportions.
            Defaults to 192.

    Returns:
        uint8 BGR picture `(rows, columns, 3)`.

    Raises:
        ValueError: If there is no sample, or a number is below 1 (`side` below
            64).
    """
    groups = {heading: members for heading, members in groups.items() if members}
    if not groups:
        raise ValueError("A contact sheet needs at least one sample. Received: none")
    if min(tiles, columns) < 1 or side < 64:
        raise ValueError(
            "`tiles` and `columns` must be at least 1 and `side` at least 64. "
            f"Received: tiles={tiles}, columns={columns}, side={side}"
        )
    width = 2 * _MARGIN + columns * (side + _GAP) - _GAP
    strips = [_header(title, width)]
    for heading, members in groups.items():
        chosen = _choose(members, max(1, tiles // len(groups)))
        strips.append(_heading(f"{heading}: {len(members)} images", width))
        # Drawn file by file, so that a volume is read once.
        by_file = sorted(chosen, key=lambda sample: str(sample.image))
        drawn = {sample.name: _tile(sample, side) for sample in by_file}
        for start in range(0, len(chosen), columns):
            row = [drawn[sample.name] for sample in chosen[start : start + columns]]
            strips.append(_row(row, width))
    return np.concatenate([*strips, _blank(_MARGIN, width)])


def _choose(members, count):
    findings = by_finding(members)
    share = max(1, count // len(findings))
    return [s for group in findings.values() for s in spread(group, share)]


def _tile(sample, side):
    tile = _blank(side + _CAPTION, side)
    name, finding = sample.name.rsplit("/", 1)[-1], sample.finding
    if sample.slice_index is not None:
        name = sample.name
    try:
        image = load_image(sample)
        masks = [load_mask(sample, kind, image.shape) for kind in ("lung", "infection")]
    except ValueError as error:
        _complain(tile, str(error), side)
        _captions(tile, side, name, finding)
        return tile
    tile[:side] = _picture(image, masks, side)
    lung, infection = (mask.astype(bool) for mask in masks)
    if not lung.any():
        _captions(tile, side, name, finding, "empty lung", _WRONG)
        return tile
    percent = 100 * np.count_nonzero(infection & lung) / np.count_nonzero(lung)
    colour = _INFECTION if infection.any() else _FAINT
    _captions(tile, side, name, finding, f"{percent:.0f} %", colour)
    return tile


def _picture(image, masks, side):
    factor = side / max(image.shape)
    rows, columns = (max(1, round(n * factor)) for n in image.shape)
    shrinks = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    canvas = cv2.resize(image, (columns, rows), interpolation=shrinks)
    canvas = cv2.cvtColor(canvas, cv2.COLOR_GRAY2BGR)
    for mask, colour in zip(masks, (_LUNG, _INFECTION), strict=True):
        mask = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_NEAREST)
        outlines, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, outlines, -1, colour, 1, cv2.LINE_8)
    frame = np.zeros((side, side, 3), np.uint8)
    top, left = (side - rows) // 2, (side - columns) // 2
    frame[top : top + rows, left : left + columns] = canvas
    return frame


def _captions(tile, side, name, finding, note="", colour=_INK):
    room = _width(note, 0.42) + 8 if note else 0
    _write(tile, _fit(name, side, 0.4), 0, side + 15, 0.4, _INK)
    _write(tile, _fit(finding, side - room, 0.4), 0, side + 31, 0.4, _FAINT)
    _write(tile, note, side - room + 8, side + 31, 0.42, colour)


def _complain(tile, text, side):
    tile[:side] = _WRONG_PAPER
    _write(tile, "cannot be drawn", 8, 22, 0.45, _WRONG)
    lines = textwrap.wrap(text.split(": ", 1)[-1], (side - 16) // 7)
    for index, line in enumerate(lines[: (side - 44) // 14]):
        _write(tile, _fit(line, side - 16, 0.36), 8, 44 + 14 * index, 0.36, _INK)


def _header(title, width):
    strip = _blank(_MARGIN + 30, width)
    _write(strip, _fit(title, width - 300, 0.6), _MARGIN, _MARGIN + 12, 0.6, _INK, 1)
    x = width - _MARGIN - 190
    for label, colour, step in (("lung", _LUNG, 80), ("infection", _INFECTION, 0)):
        cv2.line(strip, (x, _MARGIN + 7), (x + 22, _MARGIN + 7), colour, 2, cv2.LINE_AA)
        _write(strip, label, x + 30, _MARGIN + 12, 0.45, _INK)
        x += step
    return strip


def _heading(text, width):
    strip = _blank(_TITLE, width)
    _write(strip, _fit(text, width - 2 * _MARGIN, 0.55), _MARGIN, 22, 0.55, _INK)
    return strip


def _row(tiles, width):
    side = tiles[0].shape[1]
    strip = _blank(tiles[0].shape[0] + _GAP, width)
    for index, tile in enumerate(tiles):
        left = _MARGIN + index * (side + _GAP)
        strip[: tile.shape[0], left : left + side] = tile
    return strip


def _blank(rows, columns):
    return np.full((rows, columns, 3), _PAPER, np.uint8)


def _write(canvas, text, x, y, size, colour, weight=1):
    cv2.putText(canvas, text, (x, y), _FONT, size, colour, weight, cv2.LINE_AA)


def _width(text, size):
    return cv2.getTextSize(text, _FONT, size, 1)[0][0]


def _fit(text, room, size):
    """Shortens in the middle; the font has ASCII only."""
    text = "".join(c if " " <= c <= "~" else "?" for c in text)
    if _width(text, size) <= room:
        return text
    keep = len(text) - 1
    while keep > 4 and _width(_shortened(text, keep), size) > room:
        keep -= 1
    return _shortened(text, keep)


def _shortened(text, keep):
    tail = keep * 2 // 3
    return f"{text[: keep - tail]}..{text[len(text) - tail :]}"
