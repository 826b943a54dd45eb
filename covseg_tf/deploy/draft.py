"""A folder that is there whole or not at all."""

import contextlib
import pathlib
import shutil
import tempfile
from collections.abc import Iterator


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
