"""Undoes what viewers, scanners, slides and cameras do to a film."""

import dataclasses

import numpy as np

from covseg_tf.imaging.correct.frame import find_frame
from covseg_tf.imaging.correct.negative import looks_inverted
from covseg_tf.imaging.correct.photograph import straighten
from covseg_tf.imaging.film import Film

# A frame is cut off if it takes this share of the picture. The networks know narrower
# ones from training: drawn around 108 films, a frame of 10 % of the side on each side
# (31 % of the picture) moves infection Dice of `xray` from 0.810 to 0.796, one of 20 %
# to 0.747; and cutting the narrow ones that films have does not help.
_LEAST_FRAMED = 0.3


def correct_film(film: Film) -> Film:
    """Returns a film without a wide frame and with dark lungs, and notes of it.

    A photograph of a film is cut to the film first, and straightened.

    Args:
        film: Any radiograph; a doubtful one comes back as it is.
    """
    if film.camera:
        film = _straightened(film)
    pixels, box, notes = film.pixels, film.box, film.notes
    if "padding_left_out" in notes:  # none of the film, however narrow; it is black
        pixels, box = _cut(pixels, _within_black(pixels), box)
    inside, inner = _cut(pixels, find_frame(pixels), box)
    if inside.size <= (1 - _LEAST_FRAMED) * pixels.size:
        pixels, box = inside, inner
        notes += ("borders_cropped",)
    if looks_inverted(inside):
        pixels, notes = 255 - pixels, (*notes, "inverted")
    return dataclasses.replace(film, pixels=pixels, box=box, notes=notes)


def _straightened(film):
    photo = straighten(film.pixels)
    if photo is None:
        return dataclasses.replace(film, notes=(*film.notes, "no_outline"))
    notes = (*film.notes, "photograph")
    return dataclasses.replace(film, pixels=photo.pixels, photograph=photo, notes=notes)


def _cut(pixels, frame, box):
    top, left, bottom, right = frame
    inside = np.ascontiguousarray(pixels[top:bottom, left:right])
    return inside, (box[0] + top, box[1] + left)


def _within_black(pixels):
    """What lies between bands on opposite sides; a band on one side took film away."""
    ends = []
    for axis in (1, 0):
        held = np.flatnonzero(pixels.any(axis=axis))
        first, last = (int(held[0]), int(held[-1]) + 1) if held.size else (0, 0)
        between = first > 0 and last < pixels.shape[1 - axis]
        ends.append((first, last) if between else (0, pixels.shape[1 - axis]))
    (top, bottom), (left, right) = ends
    return top, left, bottom, right
