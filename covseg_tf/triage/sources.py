"""Finds what there is to score, without reading it."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable

from covseg_tf.edge.preprocessing import read_image, to_grey
from covseg_tf.triage.film import Film, Volume

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


@dataclasses.dataclass(frozen=True)
class Source:
    """One line of the worklist to be: a file, a member of an archive, a frame.

    Attributes:
        name: What the worklist calls it: the path as given; `FILE.zip!MEMBER`,
            `FILE.dcm#2`, `-` for standard input. Unique within a run.
        identity: Tells whether it is still the same: size and time of the file,
            or a checksum. Never empty.
        read: Call it for a `Film` or a `Volume`; raises `ValueError` with the
            reason for anything that cannot be read.
    """

    name: str
    identity: str
    read: Callable[[], Film | Volume] = dataclasses.field(repr=False)


def find_sources(paths: Iterable[str | pathlib.Path]) -> list[Source]:
    """Lists what is to be scored: files as given, folders searched to any depth.

    Raises:
        ValueError: If a path does not exist, or there is no image at all.
    """
    found: dict[pathlib.Path, None] = {}
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            found.update(dict.fromkeys(p for p in inside if p.is_file()))
        elif path.exists():
            found[path] = None
        else:
            raise ValueError(f"{path}: no such file or folder.")
    if not found:
        raise ValueError(
            "no image found; give files, or folders that hold "
            f"{', '.join(s[1:] for s in SUFFIXES)} files."
        )
    return [_file_source(path) for path in found]


def _file_source(path):
    status = path.stat()
    identity = f"{status.st_size}-{status.st_mtime_ns}"
    return Source(str(path), identity, lambda: _read(path))


def _read(path):
    grey = to_grey(read_image(path))
    return Film(grey, grey.shape)
