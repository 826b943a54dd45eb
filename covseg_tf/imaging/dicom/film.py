"""Films from DICOM files of radiography."""

import re

import cv2
import numpy as np

from covseg_tf.imaging.dicom.grey import grey_levels
from covseg_tf.imaging.dicom.header import dicom_errors, parse_dicom, text_of
from covseg_tf.imaging.dicom.pixels import frame_count, read_frame
from covseg_tf.imaging.film import Film
from covseg_tf.imaging.limits import MAX_READS

# Radiography, and what scanned or exported films are filed under.
_RADIOGRAPHY = ("CR", "DX", "DR", "RG", "OT", "SC", "")
_LATERALS = {"LAT", "LATERAL", "LATERALE", "LL", "RL", "LLAT", "RLAT", "SEITLICH"}
_DECUBITUS = {"DECUB", "DECUBITUS", "LLD", "RLD"}
_VIEWS = {
    # SNOMED CT, then the codes it replaced in DICOM.
    **{"399348003": "AP", "399182000": "PA", "399173006": "LL", "399198007": "RL"},
    **{"399067008": "LL", "R-10206": "AP", "R-10214": "PA", "R-10236": "LL"},
    **{"R-10232": "RL"},
}


def read_dicom_film(data: bytes, frame: int | None = None) -> Film:
    """Reads one frame of a radiograph as it is looked at.

    One whose rows run to the patient's right is mirrored back, one whose columns run
    to the head is set upright.

    Args:
        data: The file.
        frame: Which frame, from 0; `None` (default) for a file of one.

    Returns:
        The film, with its modality, view and header.

    Raises:
        ValueError: If pydicom or a decoder is missing, it is another modality,
            holds no pixels, or is damaged.
    """
    with dicom_errors():
        # A file of frames is parsed anew for each of them.
        most = MAX_READS if frame is None else MAX_READS // 10
        dataset = parse_dicom(data, pixels=True, most_reads=most)
        modality = text_of(dataset, "Modality").upper()
        if modality not in _RADIOGRAPHY:
            raise ValueError(
                f"is of modality {modality}. Expected a radiograph (CR, DX) or a CT."
            )
        if frame is None and frame_count(dataset) > 1:
            raise ValueError(f"holds {frame_count(dataset)} frames. Expected one.")
        grey, notes = _grey(dataset, read_frame(dataset, frame or 0))
        view, (rows, columns) = view_of(dataset), _directions(dataset)
        frontal = rows in ("L", "R") and columns in ("F", "H")
        mirrored, upended = frontal and rows == "R", frontal and columns == "H"
        if mirrored:
            grey, notes = np.ascontiguousarray(grey[:, ::-1]), (*notes, "mirrored")
        if upended:
            grey, notes = np.ascontiguousarray(grey[::-1]), (*notes, "upended")
        del dataset["PixelData"]
        number = None if frame is None else frame + 1
        return Film(
            *(grey, grey.shape, (0, 0), notes, modality, view, dataset, number),
            mirrored=mirrored,
            upended=upended,
        )


def view_of(dataset) -> str:
    """Returns the view: `"PA"`, `"AP"`, `"LL"`, ..., empty if unknown.

    From `ViewPosition`, else `ViewCodeSequence`, else `PatientOrientation`,
    whose rows run from front to back on a lateral film, else `SeriesDescription`.
    """
    view = text_of(dataset, "ViewPosition").upper()
    if "LAT" in view:  # LATERAL, LLAT, LT LAT, RIGHT LATERAL
        return "RL" if view.startswith("R") else "LL"
    if view:
        return view
    for item in dataset.get("ViewCodeSequence") or ():
        view = _VIEWS.get(text_of(item, "CodeValue")) or _view_in_words(
            text_of(item, "CodeMeaning").lower()
        )
        if view:
            return view
    if _directions(dataset)[0] in ("A", "P"):
        return "LL"
    return _view_of_series(text_of(dataset, "SeriesDescription"))


def _view_of_series(description):
    """The view that a description names; nothing if it names a lateral and others."""
    words = set(re.findall(r"[A-Z]+", description.upper()))
    if words & _DECUBITUS:  # lies on the side, seen from the front
        return ""
    frontal = sorted(words & {"AP", "PA"})
    if words & _LATERALS:
        return "" if frontal else "LL"
    return frontal[0] if len(frontal) == 1 else ""


def _directions(dataset):
    """Where rows and columns mainly run to: `("L", "F")` on a film as it is hung."""
    values = dataset.get("PatientOrientation") or ()
    if isinstance(values, str) or len(values) != 2:
        return "", ""
    rows, columns = (str(value).strip()[:1].upper() for value in values)
    return rows, columns


def _view_in_words(meaning):
    if "lateral" in meaning:
        return "RL" if "right" in meaning else "LL"
    if "postero" in meaning:
        return "PA"
    return "AP" if "antero" in meaning else ""


def _grey(dataset, pixels):
    if pixels.ndim == 2:
        return grey_levels(dataset, pixels)
    if pixels.dtype != np.uint8:  # palettes hold 16 bits, the upper 8 of them shown
        pixels = (pixels >> 8).astype(np.uint8)
    return cv2.cvtColor(to_rgb(pixels), cv2.COLOR_RGB2GRAY), ("colour",)


def to_rgb(pixels: np.ndarray) -> np.ndarray:
    """Returns colour pixels without transparency, as OpenCV wants them.

    Args:
        pixels: uint8 `(rows, columns, 3 | 4)`.

    Raises:
        ValueError: If they are of another shape.
    """
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise ValueError(f"its pixels cannot be decoded (shape {pixels.shape}).")
    return np.ascontiguousarray(pixels[..., :3])
