"""Bytes that may be a film: a file, a member of an archive, standard input."""

import dataclasses
import hashlib
import os
import pathlib
import sys
from collections.abc import Callable

from covseg_tf.imaging.limits import MAX_STDIN
from covseg_tf.imaging.regular_file import read_file


@dataclasses.dataclass(frozen=True)
class Entry:
    """Something to look into, with its bytes on demand.

    Attributes:
        name: As `Source.name`.
        identity: As `Source.identity`.
        head: Call it with a number for the first so many bytes.
        load: Call it for all bytes. Both raise `ValueError` or `OSError`.
        path: The file on disk that the bytes lie in, or `None`.
        is_member: Whether it came out of an archive.
    """

    name: str
    identity: str
    head: Callable[[int], bytes] = dataclasses.field(repr=False)
    load: Callable[[], bytes] = dataclasses.field(repr=False)
    path: pathlib.Path | None = None
    is_member: bool = False


def shown(path: pathlib.Path) -> str:
    """Returns a path as it is shown; bytes of it that are not UTF-8 are escaped."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def file_entry(path: pathlib.Path) -> Entry:
    """Returns a file as an entry; looks at its size and time alone.

    Args:
        path: Any path; what is no regular file fails on reading.
    """
    try:
        status = path.stat()
        identity = f"{status.st_size}-{status.st_mtime_ns}"
    except OSError as error:
        return failed_entry(shown(path), error.strerror or "cannot be looked at", path)
    return Entry(
        shown(path),
        identity,
        lambda size: read_file(path, size),
        lambda: read_file(path),
        path,
    )


def bytes_entry(name: str, data: bytes) -> Entry:
    """Returns bytes as an entry."""
    digest = hashlib.sha256(data).hexdigest()
    return Entry(name, digest, lambda size: data[:size], lambda: data)


def failed_entry(name: str, reason: str, path: pathlib.Path | None = None) -> Entry:
    """Returns an entry that raises `ValueError` with a reason."""

    def fail(size=0):
        raise ValueError(reason)

    return Entry(name, f"failed: {reason}", fail, fail, path=path)


def stdin_entry() -> Entry:
    """Reads standard input, which comes but once, to the limit.

    Returns:
        An entry named `-`.
    """
    data = sys.stdin.buffer.read(MAX_STDIN + 1)
    if not data:
        return failed_entry("-", "standard input is empty; pipe an image into it.")
    if len(data) > MAX_STDIN:
        return failed_entry(
            "-", f"more than {MAX_STDIN} bytes on standard input; give a file."
        )
    return bytes_entry("-", data)
