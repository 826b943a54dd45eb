"""Files of a folder that may be films, at any depth."""

import os
import pathlib
from collections.abc import Iterator

from covseg_tf.imaging.regular_file import read_file
from covseg_tf.imaging.sources.entry import Entry, failed_entry, file_entry

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"),
    *(".dcm", ".dicom", ".ima", ".nii", ".nii.gz", ".zip"),
)
# Texts and codes need not be opened to know that they are no DICOM.
_NEVER = (".txt", ".csv", ".json", ".html", ".xml", ".md", ".pdf", ".py", ".log")


def has_suffix(name: str) -> bool:
    """Tells a name that promises an image, a volume or an archive."""
    return name.lower().endswith(SUFFIXES)


def is_litter(name: str) -> bool:
    """Tells what macOS and DICOM media put beside images."""
    parts = pathlib.PurePosixPath(name).parts
    return bool(parts) and (
        parts[-1].startswith("._") or "__MACOSX" in parts or parts[-1] == "DICOMDIR"
    )


def promises_film(name: str, head) -> bool:
    """Tells whether a file is to be listed: by its suffix or the DICOM mark.

    Args:
        name: Name of the file.
        head: Call it with a number for the first so many bytes.
    """
    if has_suffix(name):
        return True
    if name.lower().endswith(_NEVER):
        return False
    try:
        return head(132)[128:] == b"DICM"
    except (OSError, ValueError):
        return False


def folder_entries(folder: pathlib.Path) -> Iterator[Entry]:
    """Yields what a folder holds, in the order of the names.

    Links are not followed: a link within the folder would count twice or run in
    circles, and one that leaves it may lead anywhere. The latter are told.

    Args:
        folder: The folder; may be a link itself, since it was given by name.
    """
    root = os.path.realpath(folder)
    for here, folders, files in os.walk(folder):
        folders.sort()
        linked = [n for n in folders if os.path.islink(os.path.join(here, n))]
        for name in sorted(files + linked):
            path = pathlib.Path(here, name)
            if is_litter(name):
                continue
            if path.is_symlink():
                if (name in linked or has_suffix(name)) and _leaves(path, root):
                    reason = "a link out of the folder; give what it points to by name."
                    yield failed_entry(str(path), reason, path)
            elif promises_film(name, lambda size, path=path: read_file(path, size)):
                yield file_entry(path)


def _leaves(path, root):
    target = os.path.realpath(path)
    return os.path.commonpath([root, target]) != root
