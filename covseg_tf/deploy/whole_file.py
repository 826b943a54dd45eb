"""Files and folders that are whole or not there."""

import contextlib
import os
import pathlib
import shutil
import tempfile
from collections.abc import Iterator


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


@contextlib.contextmanager
def whole_folder(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a draft beside the target, which takes its place at the end.

    Args:
        target: The folder to write. Its parents are made.

    Raises:
        OSError: If it cannot be made there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    # A model server that watches the parent takes no name that begins with a dot.
    draft = pathlib.Path(tempfile.mkdtemp(prefix=".draft-", dir=target.parent))
    try:
        yield draft
        draft.chmod(0o755)
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
