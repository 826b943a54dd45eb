"""What the commands under `export/` share: targets, whole files, exit codes."""

import os
import pathlib
import sys
import tempfile
from collections.abc import Callable


def check_target(
    path: str | pathlib.Path, flag: str = "--out", suffix: str | None = None
) -> None:
    """Refuses a target before the work, not after it.

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


def write_whole(path: str | pathlib.Path, data: bytes) -> None:
    """Writes a file whole or not at all, and never over another.

    Args:
        path: The file; its folder is made.
        data: What goes into it.

    Raises:
        ValueError: If it exists.
    """
    path = pathlib.Path(path)
    if path.exists():
        raise ValueError(f"{path}: exists and is not overwritten; give another path.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(
        dir=path.parent, prefix=f".{path.name}-", delete=False
    ) as draft:
        try:
            draft.write(data)
            draft.flush()
            os.chmod(draft.name, 0o644)
            os.replace(draft.name, path)
        except BaseException:
            os.unlink(draft.name)
            raise


def run_command(name: str, run: Callable[..., int | None], options) -> int:
    """Runs a command's work; a refusal is one line on stderr.

    Args:
        name: What the line begins with.
        run: Takes the options; returns an exit code, or `None` for 0.
        options: Its parsed arguments.

    Returns:
        Exit code: that of `run`; 2 for a `ValueError`, 1 for an `OSError`.
    """
    try:
        return run(options) or 0
    except (ValueError, OSError) as error:
        line = " ".join(str(error).split())
        print(f"{name}: {line}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1
