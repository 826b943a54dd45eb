"""From a pattern or a manifest to images with stable ids."""

import csv
import dataclasses
import hashlib
import io
import os
import re

import apache_beam as beam
from apache_beam.io.filesystem import BeamIOError, CompressionTypes
from apache_beam.io.filesystems import FileSystems

# `(id, (name, path))`: what stands in the row, and the path's bytes, which need not
# be UTF-8 on a local disk.
Image = tuple[str, tuple[str, bytes]]
# What a run writes, within its output folder.
UNFINISHED, MARKER = "covseg-unfinished", "part.json"
SHARD = r"part-\d{4,}[/\\]rows-\d{5}-of-\d{5}\.\w+$"
_OWN = re.compile(rf"{UNFINISHED}[/\\]|{SHARD}|part-\d{{4,}}[/\\]{MARKER}$")


@dataclasses.dataclass(frozen=True)
class ImageSource:
    """Where images are listed; checked before a pipeline starts.

    Attributes:
        path: The pattern or the manifest, absolute or with its scheme.
        base: Folder that relative names are relative to; may be empty.
        is_manifest: Which of the two it is.
        out: The output folder: a pattern does not mean the rows in it.
    """

    path: str
    base: str
    is_manifest: bool
    out: str = ""

    @classmethod
    def of_pattern(cls, pattern: str) -> "ImageSource":
        """Takes a pattern of Beam's file systems.

        Args:
            pattern: `*` and `?` within a folder, `**` over folders too; a local
                path, or `gs://`, `s3://`, ... where Beam's extra is installed.

        Raises:
            ValueError: If nothing matches, or there is no such file system.
        """
        base = "" if is_remote(pattern) else os.getcwd()
        try:
            (match,) = FileSystems.match([absolute(pattern)], limits=[1])
        except BeamIOError as error:
            raise ValueError(f"{pattern}: {_reason(error)}") from None
        if not match.metadata_list:
            raise ValueError(f"{pattern}: no such file; a folder's are DIR/**.")
        return cls(absolute(pattern), base, False)

    @classmethod
    def of_manifest(cls, path: str) -> "ImageSource":
        """Takes a manifest.

        Args:
            path: A text file with one path per line, or a CSV (`.csv`) with a
                column `file`; relative paths are relative to its folder.

        Raises:
            ValueError: If it cannot be opened, is empty or lacks the column.
        """
        path = absolute(path)
        try:
            first = next(_names(path), None)
        except (OSError, BeamIOError) as error:
            raise ValueError(f"{path}: cannot be read ({_reason(error)}).") from None
        if first is None:
            raise ValueError(f"{path}: the manifest names no file.")
        return cls(path, FileSystems.split(path)[0], True)


class FindImages(beam.PTransform):
    """Lists images as `(id, (name, path))`, in any worker and without reading them.

    The id is the first 32 hex digits of the SHA-256 of the name, as the manifest
    or the pattern gives it: the same in every run. A name that comes twice is
    listed twice; `TriageImages` makes one row of it.

    Args:
        source: What to list.

    Call arguments:
        pipeline: The `beam.Pipeline`, or a `PBegin`.
    """

    def __init__(self, source: ImageSource):
        super().__init__()
        self.source = source

    def expand(self, pbegin):
        """Returns a `PCollection` of `(id, (name, path))`.

        Args:
            pbegin: Where the pipeline begins.
        """
        return (
            pbegin
            | "Source" >> beam.Create([self.source])
            | "List" >> beam.FlatMap(list_images).with_output_types(Image)
        )


def list_images(source: ImageSource):
    """Yields `(id, (name, path))` of a source, each time it is named.

    Args:
        source: What to list.
    """
    if source.is_manifest:
        yield from (image_of(os.fsencode(n), source.base) for n in _names(source.path))
        return
    base = os.path.join(source.base, "") if source.base else ""
    for path in _matching(source.path):
        inside = path.startswith(source.out) and path[len(source.out) :].lstrip("/\\")
        if not (source.out and inside and _OWN.match(inside)):
            name = os.fsencode(path).removeprefix(os.fsencode(base))
            yield image_of(name, source.base)


def image_of(name: bytes, base: str = "") -> Image:
    """Returns the id, the name to show and the path of an image.

    Args:
        name: As it was given.
        base: Folder that a relative name is relative to.
    """
    key = hashlib.sha256(name).hexdigest()[:32]
    given = os.fsdecode(name)
    path = given if is_remote(given) or not base else FileSystems.join(base, given)
    return key, (name.decode("utf-8", "backslashreplace"), os.fsencode(path))


def is_remote(path: str) -> bool:
    """Whether a path has a scheme, such as `gs://`.

    Args:
        path: Any path or pattern.
    """
    return "://" in path


def absolute(path: str) -> str:
    """Returns a local path as absolute: a worker has a working folder of its own.

    Args:
        path: A local path, or one with a scheme, which is left alone.
    """
    return path if is_remote(path) else os.path.abspath(path)


def _matching(pattern):
    for result in FileSystems.match([pattern]):
        for metadata in result.metadata_list:
            yield metadata.path


def _names(path):
    stream = FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    with io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="") as text:
        if path.lower().endswith(".csv"):
            yield from _csv_names(path, text)
        else:
            lines = (line.rstrip("\r\n") for line in text)
            yield from (line for line in lines if line)


def _csv_names(path, text):
    rows = csv.reader(text)
    header = next(rows, [])
    if "file" not in header:
        raise ValueError(
            f"{path}: needs a column 'file'. It has: {', '.join(header) or 'none'}."
        )
    column = header.index("file")
    for row in rows:
        if row:
            yield row[column] if column < len(row) else ""


def _reason(error):
    return getattr(error, "strerror", None) or " ".join(str(error).split())
