"""From a film and what the network saw in it to the numbers of its row."""

import dataclasses

import numpy as np

from covseg_tf.edge.prediction import Prediction
from covseg_tf.edge.segmenter import Segmenter
from covseg_tf.imaging.film import Film, Volume
from covseg_tf.triage.record.row import TriageRow

# DICOM modalities that a model for X-rays or for CT is shown; OT and SC may be any.
_FITTING = {
    "xray": {"", "CR", "DX", "RG", "RF", "OT", "SC"},
    "ct": {"", "CT", "OT", "SC"},
}
# Notes of `correct_film` of what a camera took.
_PHOTOGRAPHED = {"photograph", "no_outline"}
_LATERAL_VIEWS = {"LL", "RL", "LLD", "RLD", "L", "R"}


def fits(image: Film | Volume, modality: str) -> bool:
    """Whether an image is of the kind that a model was made for.

    Args:
        image: What was read.
        modality: `"xray"` or `"ct"`, the model's.
    """
    if isinstance(image, Volume):
        return modality == "ct"
    return image.modality in _FITTING[modality]


def is_lateral(film: Film) -> bool:
    """Whether a film says that it is a lateral view.

    Args:
        film: What was read.
    """
    return film.view.upper() in _LATERAL_VIEWS


def describe(name: str, image: Film | Volume, modality: str) -> TriageRow:
    """Returns the row of an image before it is scored.

    Args:
        name: What the worklist calls it.
        image: What was read.
        modality: `"xray"` or `"ct"`, the model's.

    Returns:
        The row; with a flag if the image is not to be scored.
    """
    if isinstance(image, Volume):
        count, *shape = image.slices.shape
        row = TriageRow(name, "volume", slices=count, notes=tuple(image.notes))
    else:
        shape = list(image.shape)
        row = TriageRow(name, notes=(*image.notes, *_outline(image)))
    row = dataclasses.replace(row, rows=int(shape[0]), columns=int(shape[1]))
    if not fits(image, modality):
        needs = f"needs_{_wanted(image, modality)}_model"
        return dataclasses.replace(
            row, flags=("wrong_modality",), notes=(*row.notes, needs)
        )
    if isinstance(image, Film) and modality == "xray" and is_lateral(image):
        return dataclasses.replace(row, flags=("lateral_view",))
    return row


def _outline(film):
    """Where the film lies in its photograph, in words."""
    if film.photograph is None:
        return ()
    corners = np.rint(film.photograph.corners).astype(int).tolist()
    places = ", ".join(f"({x}, {y})" for x, y in corners)
    return (f"The film's corners in the photograph, from its top left on: {places}.",)


def _wanted(image, modality):
    is_ct = isinstance(image, Volume) or image.modality == "CT"
    wanted = "ct" if is_ct else "xray"
    # Neither fits an MR image or a mammogram.
    return "other" if wanted == modality else wanted


def predict_film(film: Film, segmenter: Segmenter) -> Prediction:
    """Segments a film, without what glare hides in it.

    Args:
        film: What was read.
        segmenter: What scores.
    """
    if film.unreadable is None:
        return segmenter.predict(film.pixels)
    return segmenter.predict(film.pixels, film.unreadable)


def with_numbers(row: TriageRow, found: Prediction) -> TriageRow:
    """Returns a film's row with what was found in it.

    Args:
        row: From `describe`.
        found: The prediction.
    """
    involvement, zones = found.involvement, found.zones
    return dataclasses.replace(
        row,
        involved_percent=_number(involvement.total),
        involved_percent_right=_number(involvement.right),
        involved_percent_left=_number(involvement.left),
        extent=found.extent,
        extent_right=found.extent_right,
        extent_left=found.extent_left,
        zones=None if zones is None else int(zones.count),
        zone_percents=None
        if zones is None
        else {zone: float(value) for zone, value in zones.percents.items()},
        zone_threshold=None if zones is None else zones.threshold,
        flags=_with_camera(found.flags, row.notes),
    )


def _with_camera(flags, notes):
    # The prediction was of the film alone, and cannot know.
    if not _PHOTOGRAPHED & set(notes) or "photograph" in flags:
        return tuple(flags)
    last = ("glare",) if "glare" in flags else ()
    return (*(flag for flag in flags if flag not in last), "photograph", *last)


def _number(value):
    return None if value is None else float(value)
