"""What was found in a film or a series, as DICOM objects of the same study."""

import contextlib
import copy
import io
import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from covseg_tf.edge.bundle import Bundle
from covseg_tf.imaging.dicom.header import dicom_errors
from covseg_tf.imaging.film import Film, Volume
from covseg_tf.triage.record.output import write_atomic
from covseg_tf.triage.record.row import TriageRow
from covseg_tf.triage.report.dicom.capture import capture
from covseg_tf.triage.report.dicom.encode import encode_report
from covseg_tf.triage.report.dicom.segmentation import segmentation
from covseg_tf.triage.report.dicom.structured_report import structured_report
from covseg_tf.triage.report.overlay import draw_canvas
from covseg_tf.triage.score.volume import FoundVolume

_NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")
# Of type 2: they may be empty but must be there.
_MAY_BE_EMPTY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)


class NotWritable(Exception):
    """No DICOM output can be made of a source; the message says why."""


def write_film_dicom(
    film: Film,
    in_file: dict[str, np.ndarray],
    masks: dict[str, np.ndarray],
    bundle: Bundle,
    seg_path: pathlib.Path,
    overlay_path: pathlib.Path,
) -> None:
    """Writes what was found in a film of the same patient and study.

    Args:
        film: The film; its `dicom` is the source.
        in_file: Masks of the whole image in its file: `"lung"`, `"infection"`.
        masks: Likewise, of `film.pixels`.
        bundle: The model.
        seg_path: Where the Segmentation goes, lung as segment 1, infection as 2.
        overlay_path: Where the Secondary Capture goes.

    Raises:
        NotWritable: If the source lacks what DICOM needs.
        OSError: If a file cannot be written.
    """
    source = _completed(film.dicom)
    if film.frame is not None or int(source.get("NumberOfFrames") or 1) > 1:
        raise NotWritable("the source is one frame of several in a file.")
    pixels = np.stack([in_file["lung"], in_file["infection"]], axis=-1)[None]
    shown = source
    if film.mirrored or film.upended:  # the overlay is drawn on pixels as they hang
        shown = copy.deepcopy(source)
        shown.PatientOrientation = ["L", "F"]
    _write_pair(
        [source],
        pixels,
        shown,
        draw_canvas(film.pixels, masks["lung"], masks["infection"]),
        bundle,
        (seg_path, overlay_path),
    )


def write_volume_dicom(
    volume: Volume,
    found: FoundVolume,
    bundle: Bundle,
    seg_path: pathlib.Path,
    overlay_path: pathlib.Path,
) -> None:
    """Writes what was found in a CT series of the same patient and study.

    Args:
        volume: The volume; its `dicom` are the sources, one per slice.
        found: What was found in it.
        bundle: The model.
        seg_path: Where the Segmentation goes, over all slices.
        overlay_path: Where the Secondary Capture of the shown slice goes.

    Raises:
        NotWritable: If the series lacks what DICOM needs, or its slices were
            turned in a way that cannot be taken back.
        OSError: If a file cannot be written.
    """
    sources = [_completed(dataset) for dataset in volume.dicom]
    if len(sources) != len(volume.slices):
        raise NotWritable("the slices are not those of the series' files.")
    pixels = np.stack([found.lung, found.infection], axis=-1)
    flips = _flips(sources[0])
    if flips:
        pixels = np.flip(pixels, flips)
    index = found.shown
    slices = (volume.slices, found.lung, found.infection)
    canvas = draw_canvas(*(part[index] for part in slices))
    paths = (seg_path, overlay_path)
    _write_pair(sources, pixels, sources[index], canvas, bundle, paths)


def write_report_dicom(
    row: TriageRow,
    headers: Sequence[Any],
    lungs: Mapping[str, np.ndarray],
    bundle: Bundle,
    seg_path: pathlib.Path | None,
    path: pathlib.Path,
) -> None:
    """Writes what was found, or why nothing was, as a structured report.

    Args:
        row: What was found.
        headers: The `pydicom.Dataset` of the film, or those of a series' slices.
        lungs: As for `structured_report`.
        bundle: The model.
        seg_path: Where the Segmentation lies, or `None` if there is none.
        path: Where the report goes.

    Raises:
        NotWritable: If the source lacks what DICOM needs.
        OSError: If a file cannot be read or written.
    """
    import pydicom

    sources = [_completed(header) for header in headers]
    seg = None if seg_path is None else pydicom.dcmread(seg_path)
    try:
        with dicom_errors(), _hushed():
            made = structured_report(row, sources, bundle, lungs, seg)
            data = encode_report(made)
    except ValueError as error:
        raise NotWritable(f"the source's header does not allow it ({error}).") from None
    write_atomic(path, data)


def _write_pair(sources, pixels, reference, canvas, bundle, paths):
    shape = (reference.get("Rows"), reference.get("Columns"))
    if shape != pixels.shape[1:3]:
        raise NotWritable(
            f"the source is {shape[0]} x {shape[1]}, the masks "
            f"{pixels.shape[1]} x {pixels.shape[2]}."
        )
    try:
        with dicom_errors(), _hushed():
            made = (
                segmentation(sources, pixels, bundle),
                capture(reference, canvas, bundle),
            )
            contents = [_to_bytes(dataset) for dataset in made]
    except ValueError as error:
        raise NotWritable(f"the source's header does not allow it ({error}).") from None
    for path, data in zip(paths, contents, strict=True):
        write_atomic(path, data)


@contextlib.contextmanager
def _hushed():
    """Keeps what highdicom says of a source's values off the screen."""
    logger = logging.getLogger("highdicom")
    before, logger.propagate = logger.propagate, False
    handler = logging.NullHandler()
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.propagate = before
        logger.removeHandler(handler)


def _completed(dataset) -> Any:
    """Returns a copy with what a derived image must repeat, empty where unknown."""
    missing = [name for name in _NEEDED if not dataset.get(name)]
    if missing:
        raise NotWritable(f"the source has no {', '.join(missing)}.")
    dataset = copy.deepcopy(dataset)
    for name in _MAY_BE_EMPTY:
        if name not in dataset:
            setattr(dataset, name, None)
    if dataset.PatientSex not in (None, "", "M", "F", "O"):
        dataset.PatientSex = None
    if not dataset.get("Modality"):
        dataset.Modality = "OT"
    return dataset


def _flips(dataset):
    """Axes of `(slices, rows, columns)` along which reading flipped the slices."""
    orientation = dataset.get("ImageOrientationPatient")
    if orientation is None:
        raise NotWritable("the series does not say how its slices lie.")
    columns, rows = np.array(orientation, float).reshape(2, 3)
    if abs(columns[0]) < 0.8 or abs(rows[1]) < 0.8:
        raise NotWritable("the slices are not axial, or were turned on reading.")
    return ([1] if rows[1] < 0 else []) + ([2] if columns[0] < 0 else [])


def _to_bytes(dataset):
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
