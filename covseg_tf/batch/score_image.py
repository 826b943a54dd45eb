"""From a path to its row: what every engine calls, and nothing of any engine."""

import hashlib
import os
import pathlib
from typing import Any

from covseg_tf.batch.images import Files, Image, is_remote
from covseg_tf.edge.segmenter import Segmenter
from covseg_tf.imaging.film import Film, Volume
from covseg_tf.imaging.limits import MAX_FILE
from covseg_tf.imaging.regular_file import read_file
from covseg_tf.imaging.sources.find_sources import bytes_sources
from covseg_tf.imaging.sources.source import guarded
from covseg_tf.triage.score import score_source

# Columns of the worklist, and what says where they are from.
_WORKLIST = (
    *("file", "kind", "involved_percent", "involved_percent_right"),
    *("involved_percent_left", "extent", "zones", "flags", "notes", "error"),
)
COLUMNS = ("id", *_WORKLIST, "model", "model_sha256")


def score_image(
    image: Image, segmenter: Segmenter, origin: dict[str, str], files: Files
) -> dict[str, Any]:
    """Reads an image and scores it; whatever is wrong with it is in the row.

    Args:
        image: `(id, (name, path))`.
        segmenter: What scores.
        origin: `model` and `model_sha256`, from `load_model`.
        files: Opens paths that have a scheme.

    Returns:
        Dict with the keys `COLUMNS`; the values are those of `covseg triage`.
    """
    key, (name, path) = image
    correct = segmenter.bundle.modality == "xray"

    def read() -> Film | Volume:
        sources = bytes_sources(name, _read_path(path, files), correct)
        if len(sources) != 1:
            raise ValueError(
                f"holds {len(sources) or 'no'} images; a row is for one. Give each "
                "image as a file of its own."
            )
        return sources[0].read()

    row = score_source(name, guarded(read), segmenter).row.to_dict()
    return {"id": key} | {column: row[column] for column in _WORKLIST} | origin


def load_model(model: str, sha256: str = "") -> tuple[Segmenter, dict[str, str]]:
    """Loads what `score_image` scores with: for one thread, and one core.

    Args:
        model: Name of a bundled model, or path of a bundle's folder.
        sha256: Of its model file, 64 hex digits; empty (default) takes any.

    Returns:
        The segmenter, and the columns that say so.

    Raises:
        ValueError: If it cannot be used, or is another than was asked for.
    """
    segmenter = Segmenter(model)
    found = hashlib.sha256(segmenter.bundle.model).hexdigest()
    if sha256 not in ("", found):
        raise ValueError(
            f"{model}: this worker has another model of that name (SHA-256 "
            f"{found[:12]}..., expected {sha256[:12]}...). Install the same version "
            "of covseg_tf, or copy the bundle, to every worker."
        )
    return segmenter, {"model": segmenter.bundle.name, "model_sha256": found}


def parquet_schema():
    """Returns the `pyarrow.Schema` of the rows, in the order of `COLUMNS`."""
    import pyarrow as pa

    numbers = dict.fromkeys(
        (name for name in COLUMNS if name.startswith("involved")), pa.float64()
    )
    texts = pa.list_(pa.string())
    types = numbers | {"extent": pa.float64(), "zones": pa.int32()}
    types |= {"flags": texts, "notes": texts}
    return pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])


def _read_path(path, files):
    given = os.fsdecode(path)
    if not is_remote(given):
        return read_file(pathlib.Path(given))
    with files.open(given) as stream:
        data = stream.read(MAX_FILE + 1)
    if not 0 < len(data) <= MAX_FILE:
        raise ValueError(
            f"holds more than {MAX_FILE} bytes." if data else "the file is empty."
        )
    return data
