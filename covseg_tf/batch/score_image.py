"""From one image in memory to one row."""

import dataclasses
import os
import pathlib
from typing import Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from covseg_tf.batch.find_images import is_remote
from covseg_tf.edge.segmenter import Segmenter
from covseg_tf.imaging.film import Volume
from covseg_tf.imaging.limits import MAX_FILE
from covseg_tf.imaging.regular_file import read_file
from covseg_tf.imaging.sources.find_sources import bytes_sources
from covseg_tf.triage.record.row import TriageRow
from covseg_tf.triage.score import describe, predict_film, score_volume, with_numbers

# Columns of a row, after its id; those before `error` are the worklist's.
_WORKLIST = (
    *("file", "kind", "involved_percent", "involved_percent_right"),
    *("involved_percent_left", "extent", "zones", "flags", "notes", "error"),
)
COLUMNS = ("id", *_WORKLIST, "model", "model_sha256")


def score_path(
    key: str, name: str, path: bytes, segmenter: Segmenter
) -> dict[str, Any]:
    """Reads an image and scores it; whatever is wrong with it is in the row.

    Args:
        key: Its id.
        name: Its name in the row.
        path: Where it lies.
        segmenter: What scores.

    Returns:
        Dict with the keys `COLUMNS` but for the model's.
    """
    try:
        row = score_bytes(name, read_path(path), segmenter)
    except Exception as error:  # one file, whatever is wrong with it, is one row
        row = TriageRow(name, error=_reason(error))
    columns = row.to_dict()
    return {"id": key} | {column: columns[column] for column in _WORKLIST}


def read_path(path: bytes) -> bytes:
    """Reads a whole file through Beam's file systems, packed files as they are.

    Args:
        path: A local path, or one with a scheme.

    Raises:
        ValueError: If it is empty, no regular file, or too large.
        OSError: If it cannot be read.
    """
    given = os.fsdecode(path)
    if not is_remote(given):
        return read_file(pathlib.Path(given))
    plain = CompressionTypes.UNCOMPRESSED
    with FileSystems.open(given, compression_type=plain) as stream:
        data = stream.read(MAX_FILE + 1)
    if not 0 < len(data) <= MAX_FILE:
        raise ValueError(
            f"holds more than {MAX_FILE} bytes." if data else "the file is empty."
        )
    return data


def score_bytes(name: str, data: bytes, segmenter: Segmenter) -> TriageRow:
    """Scores an image that is held in memory, as `covseg triage` does.

    Args:
        name: Its name in the row.
        data: The file: a picture, a DICOM file, a NIfTI volume.
        segmenter: What scores.

    Returns:
        The row, without masks.

    Raises:
        ValueError: If it cannot be read, or holds more images than one.
    """
    modality = segmenter.bundle.modality
    sources = bytes_sources(name, data, correct=modality == "xray")
    if len(sources) != 1:
        raise ValueError(
            f"holds {len(sources) or 'no'} images; a row is for one. Give each image "
            "as a file of its own."
        )
    image = sources[0].read()
    row = describe(name, image, modality)
    if row.flags:
        return row
    if isinstance(image, Volume):
        found = score_volume(image, segmenter)
        percent = found.involved_percent
        return dataclasses.replace(row, involved_percent=percent, flags=found.flags)
    return with_numbers(row, predict_film(image, segmenter))


def _reason(error):
    if isinstance(error, OSError):
        text = f"cannot be read ({error.strerror or error})."
    elif isinstance(error, ValueError):
        text = str(error)
    else:
        text = f"cannot be read ({type(error).__name__}: {error})."
    return " ".join(text.split()) or type(error).__name__
