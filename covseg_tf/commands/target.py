"""What a command is about to write: refused before the work, not after it."""

import os
import pathlib


def check_target(
    path: str | pathlib.Path, flag: str = "--out", suffix: str | None = None
) -> None:
    """Refuses a file or folder that is there, or cannot be.

    Args:
        path: What is to be written.
        flag: The option that names it, for the message.
        suffix: How it must end, for example `".onnx"`.

    Raises:
        ValueError: If it exists, ends otherwise, or cannot be made there.
    """
    path = pathlib.Path(path)
    if path.exists():
        raise ValueError(f"{path}: already there; give another {flag}.")
    if suffix and path.suffix != suffix:
        raise ValueError(f"{path}: give a name that ends in {suffix} for {flag}.")
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ValueError(f"{path}: {parent} is no folder that can be written to.")


def check_folder(path: str | pathlib.Path, force: bool = False) -> None:
    """Refuses a folder that holds something, unless it may be replaced.

    Args:
        path: The folder; it need not exist.
        force: It may.

    Raises:
        ValueError: If it is a file, or not empty.
    """
    path = pathlib.Path(path)
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path}: is a file; give a folder for --out.")
    if path.is_dir() and any(path.iterdir()) and not force:
        raise ValueError(
            f"{path}: exists and is not empty; give another --out, or add --force to "
            "replace what an earlier run wrote."
        )
