"""A file that is whole or not there."""

import os
import pathlib
import tempfile


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
