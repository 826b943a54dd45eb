"""From a pattern or a manifest to images with stable ids, whatever holds the files."""

import csv
import dataclasses
import hashlib
import io
import os
import re
from collections.abc import Iterator
from typing import BinaryIO, Protocol

# `(id, (name, path))`: what stands in the row, and the path's bytes, which need not
# be UTF-8 on a local disk.
Image = tuple[str, tuple[str, bytes]]
# What Beam's runs write, within their output folder.
UNFINISHED, MARKER = "covseg-unfinished", "part.json"
SHARD = r"part-\d{4,}[/\\]rows-\d{5}-of-\d{5}\.\w+$"
_OWN = re.compile(rf"{UNFINISHED}[/\\]|{SHARD}|part-\d{{4,}}[/\\]{MARKER}$")


class Files(Protocol):
    """An engine's way to files, on local disks and elsewhere."""

    def match(self, pattern: str, limit: int | None = None) -> Iterator[str]:
        """Yields paths of files, no folders; more than a limit need not be found."""

    def open(self, path: str) -> BinaryIO:
        """Opens a file as it is, unpacking nothing."""


@dataclasses.dataclass(frozen=True)
class ImageSource:
    """Where images are listed; checked before anything starts.

    Attributes:
        path: The pattern or the manifest, absolute or with its scheme.
        base: Folder that relative names are relative to; may be empty.
        is_manifest: Which of the two it is.
        files: What opens and lists.
        out: The output folder: a pattern does not mean the rows in it.
    """

    path: str
    base: str
    is_manifest: bool
    files: Files
    out: str = ""

    @classmethod
    def of_pattern(cls, pattern: str, files: Files) -> "ImageSource":
        """Takes a pattern: `*` within a folder, `**` over folders too.

        Args:
            pattern: A local path, or one with a scheme that `files` knows.
            files: What lists.

        Raises:
            ValueError: If nothing matches, or there is no such file system.
        """
        base = "" if is_remote(pattern) else os.getcwd()
        try:
            found = next(files.match(absolute(pattern), 1), None)
        except OSError as error:
            raise ValueError(f"{pattern}: {_reason(error)}") from None
        if found is None:
            raise ValueError(f"{pattern}: no such file; a folder's are DIR/**.")
        return cls(absolute(pattern), base, False, files)

    @classmethod
    def of_manifest(cls, path: str, files: Files) -> "ImageSource":
        """Takes a manifest: one path a line, or a `.csv` with a column `file`.

        Args:
            path: The file; relative paths in it are relative to its folder.
            files: What opens it.

        Raises:
            ValueError: If it cannot be opened, is empty or lacks the column.
        """
        path = absolute(path)
        folder = path.rpartition("/")[0] if is_remote(path) else os.path.dirname(path)
        source = cls(path, folder, True, files)
        try:
            first = next(source.images(), None)
        except OSError as error:
            raise ValueError(f"{path}: cannot be read ({_reason(error)}).") from None
        if first is None:
            raise ValueError(f"{path}: the manifest names no file.")
        return source

    def images(self) -> Iterator[Image]:
        """Yields `(id, (name, path))`, each time that it is named; reads none."""
        if self.is_manifest:
            yield from (image_of(os.fsencode(n), self.base) for n in self._names())
            return
        base = os.fsencode(os.path.join(self.base, "")) if self.base else b""
        for path in self.files.match(self.path):
            inside = path.startswith(self.out) and path[len(self.out) :].lstrip("/\\")
            if not (self.out and inside and _OWN.match(inside)):
                yield image_of(os.fsencode(path).removeprefix(base), self.base)

    def _names(self):
        with io.TextIOWrapper(
            self.files.open(self.path), "utf-8-sig", "surrogateescape", newline=""
        ) as text:
            if not self.path.lower().endswith(".csv"):
                yield from filter(None, (line.rstrip("\r\n") for line in text))
                return
            rows = csv.reader(text)
            header = next(rows, [])
            if "file" not in header:
                raise ValueError(
                    f"{self.path}: needs a column 'file'. It has: "
                    f"{', '.join(header) or 'none'}."
                )
            at = header.index("file")
            yield from (row[at] if at < len(row) else "" for row in rows if row)


def image_of(name: bytes, base: str = "") -> Image:
    """Returns the id, the name to show and the path of an image.

    Args:
        name: As it was given; the id is the first 32 hex digits of its SHA-256.
        base: Folder that a relative name is relative to.
    """
    given = path = os.fsdecode(name)
    if base and not is_remote(given):
        path = f"{base}/{given}" if is_remote(base) else os.path.join(base, given)
    shown = name.decode("utf-8", "backslashreplace")
    return hashlib.sha256(name).hexdigest()[:32], (shown, os.fsencode(path))


def is_remote(path: str) -> bool:
    """Whether a path has a scheme, such as `gs://`."""
    return "://" in path


def absolute(path: str) -> str:
    """Returns a local path as absolute: a worker has a working folder of its own."""
    return path if is_remote(path) else os.path.abspath(path)


def _reason(error):
    return getattr(error, "strerror", None) or " ".join(str(error).split())
