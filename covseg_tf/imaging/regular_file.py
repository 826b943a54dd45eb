"""Reads regular files, and nothing that could wait or grow without end."""

import os
import pathlib
import stat
from typing import BinaryIO

from covseg_tf.imaging.limits import MAX_FILE

_FLAGS = os.O_RDONLY
for _name in ("O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOCTTY"):
    _FLAGS |= getattr(os, _name, 0)


def read_file(path: pathlib.Path, size: int | None = None) -> bytes:
    """Reads a regular file, and nothing else, without ever waiting for it.

    Args:
        path: The file.
        size: How many bytes; `None` (default) for all.

    Raises:
        ValueError: If it is no regular file, is empty or too large.
        OSError: If it cannot be read.
    """
    with open_file(path) as stream:
        if size is not None:
            return stream.read(size)
        held = os.fstat(stream.fileno()).st_size
        if held > MAX_FILE:
            raise ValueError(f"holds {held} bytes; at most {MAX_FILE} are read.")
        data = stream.read(MAX_FILE + 1)
    if not data:
        raise ValueError("the file is empty.")
    return data


def open_file(path: pathlib.Path) -> BinaryIO:
    """Opens a regular file, and nothing else, for reading.

    Raises:
        ValueError: If it is no regular file.
        OSError: If it cannot be opened.
    """
    # A FIFO is opened without blocking, and told by its handle: between a look
    # at a path and its opening the file may have been swapped.
    stream = os.fdopen(os.open(path, _FLAGS), "rb")
    if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
        return stream
    stream.close()
    raise ValueError("is no regular file and was not read.")
