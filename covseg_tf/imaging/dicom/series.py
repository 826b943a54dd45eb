"""CT volumes from the slices of a DICOM series."""

import dataclasses
import hashlib
import itertools
import math
from collections.abc import Sequence

import numpy as np

from covseg_tf.imaging.contrast import window_hounsfield
from covseg_tf.imaging.dicom.grey import mend_rescale
from covseg_tf.imaging.dicom.header import (
    dicom_errors,
    number_of,
    parse_dicom,
    text_of,
)
from covseg_tf.imaging.dicom.pixels import frame_count, read_frame
from covseg_tf.imaging.film import Volume
from covseg_tf.imaging.hounsfield import air_share, check_body_part, has_air
from covseg_tf.imaging.limits import MAX_PIXELS, MAX_VOLUME
from covseg_tf.imaging.passing_error import PassingError
from covseg_tf.imaging.sources.entry import Entry

# A slice's place is told apart from its neighbour's, in mm.
_SAME_PLACE = 0.01
# Distances of slices that differ by more than this share are uneven.
_UNEVEN = 0.1


def is_scout(dataset) -> bool:
    """Tells the overview image that scans are planned on."""
    kinds = [str(kind).upper() for kind in dataset.get("ImageType") or ()]
    return "LOCALIZER" in kinds or "SCOUT" in kinds


def series_identity(entries: Sequence[Entry]) -> str:
    """Returns a checksum that changes with any slice of a series."""
    lines = sorted(f"{entry.name}\0{entry.identity}" for entry in entries)
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()


def read_series(entries: Sequence[Entry]) -> Volume:
    """Reads a CT series through the lung window.

    Slices are sorted along the normal of their plane, whatever their files are
    called, and turned as `Volume` says. Exact copies of a slice are dropped.

    Args:
        entries: Files of one series, in any order.

    Raises:
        ValueError: If a slice cannot be read, slices differ in size or
            orientation, two that differ lie at one place, or it is not a chest
            in HU.
        OSError: If a file cannot be read.
    """
    planes: list = []
    headers: list = []
    shares: list[float] = []
    taken: set = set()
    size = 0
    for entry in entries:
        try:
            with dicom_errors():
                plane, header, share = _read_slice(entry.load())
                identity = _identity(plane, header)
        except ValueError as error:
            kind = PassingError if isinstance(error, PassingError) else ValueError
            raise kind(f"{entry.name}: {error}") from None
        if identity in taken:
            continue
        taken.add(identity)
        size += plane.size
        if size > MAX_VOLUME:
            raise ValueError(f"holds more than {MAX_VOLUME} pixels.")
        if planes and plane.shape != planes[0].shape:
            raise ValueError("its slices are of different sizes.")
        planes.append(plane)
        headers.append(header)
        shares.append(share)
    if not has_air(shares):
        raise ValueError(
            "is not in HU: hardly a value lies between -1400 and -300, where air and "
            "lung are. Mend the rescaling of its header, or export it anew."
        )
    with dicom_errors():
        volume = _assemble(planes, headers)
    if len(planes) < len(entries):
        volume = dataclasses.replace(volume, notes=(*volume.notes, "copies_dropped"))
    return volume


def _identity(plane, header):
    """What two copies of a slice share: where it lies, or its number, and pixels."""
    place = _numbers(header, "ImagePositionPatient", 3)
    if place is None:
        place = text_of(header, "SOPInstanceUID"), number_of(header, "InstanceNumber")
    return place, hashlib.sha256(plane).digest()


def _read_slice(data):
    dataset = parse_dicom(data, pixels=True)
    if frame_count(dataset) != 1:
        raise ValueError("is a CT of many frames in one file; export single slices.")
    stored = read_frame(dataset)
    if stored.ndim != 2 or stored.size > MAX_PIXELS:
        raise ValueError("is no grey slice.")
    from pydicom.pixels import apply_rescale

    check_body_part(text_of(dataset, "BodyPartExamined"))
    mend_rescale(dataset)
    hu = apply_rescale(stored, dataset)
    del dataset["PixelData"]
    return window_hounsfield(hu), dataset, air_share(hu)


def _assemble(planes, headers):
    directions = [_numbers(h, "ImageOrientationPatient", 6) for h in headers]
    positions = [_numbers(h, "ImagePositionPatient", 3) for h in headers]
    if None in directions or None in positions:
        return _by_number(planes, headers)
    rows, columns = np.array(directions[0][:3]), np.array(directions[0][3:])
    if np.ptp(np.array(directions), axis=0).max() > 0.01:
        raise ValueError("its slices lie in different planes.")
    normal = np.cross(rows, columns)
    if abs(np.linalg.norm(normal) - 1) > 0.1:
        raise ValueError("its header does not say how the slices lie.")
    places = np.array(positions) @ normal
    order = np.argsort(places, kind="stable")
    step, notes = _step(places[order], headers)
    volume = np.stack([planes[n] for n in order])
    spacing = (step, *(_numbers(headers[0], "PixelSpacing", 2) or (0, 0)))
    headers = [headers[n] for n in order]
    return _turned(volume, np.array([normal, columns, rows]), spacing, notes, headers)


def _step(places, headers):
    """Distance of the slices, and a note if it varies."""
    steps = np.diff(places)
    if not len(steps):
        thickness = headers[0].get("SliceThickness")
        return float(thickness or 0), ()
    if steps.min() < _SAME_PLACE:
        raise ValueError(
            "two slices lie at one place (several phases?); export one of them."
        )
    step = float(np.median(steps))
    return step, ("uneven_slices",) if np.ptp(steps) > _UNEVEN * step else ()


def _by_number(planes, headers):
    order = sorted(
        range(len(planes)), key=lambda n: number_of(headers[n], "InstanceNumber")
    )
    volume = np.stack([planes[n] for n in order])
    return Volume(volume, None, ("unplaced_slices",), [headers[n] for n in order])


def _turned(volume, axes, spacing, notes, headers):
    """Turns a volume whose `axes` are unit vectors to the left, back and head."""
    best = max(
        itertools.permutations(range(3)),
        key=lambda order: sum(
            abs(axes[axis, 2 - goal]) for goal, axis in enumerate(order)
        ),
    )
    volume = volume.transpose(best)
    for goal, axis in enumerate(best):
        if axes[axis, 2 - goal] < 0:
            volume = np.flip(volume, goal)
            headers = headers[::-1] if goal == 0 else headers
    spacing = tuple(float(spacing[axis]) for axis in best)
    usable = all(math.isfinite(s) and s > 0 for s in spacing)
    if best[0] != 0:
        notes, headers = (*notes, "reformatted"), None
    return Volume(
        np.ascontiguousarray(volume), spacing if usable else None, notes, headers
    )


def _numbers(dataset, name, count):
    """So many finite numbers of an element, or `None`."""
    values = dataset.get(name)
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError):
        return None
    good = len(numbers) == count and np.isfinite(numbers).all()
    return tuple(numbers) if good else None
