"""Files of a folder that may be films, at any depth."""

import functools
import os
import pathlib
from collections import Counter
from collections.abc import Callable, Iterator

from covseg_tf.imaging.dicom.header import is_dicom_data
from covseg_tf.imaging.nifti import is_nifti
from covseg_tf.imaging.png_jpeg import JPEG, PNG
from covseg_tf.imaging.regular_file import read_file
from covseg_tf.imaging.sources.entry import Entry, failed_entry, file_entry, shown
from covseg_tf.imaging.tiff import is_tiff

SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"),
    *(".dcm", ".dicom", ".ima", ".nii", ".nii.gz", ".zip"),
)
# Texts, codes and what is packed as zip archives are: not to be looked into.
_NEVER = (
    *(".txt", ".csv", ".json", ".html", ".xml", ".md", ".pdf", ".py", ".log"),
    *(".docx", ".xlsx", ".pptx", ".odt", ".ods", ".jar", ".whl", ".apk", ".epub"),
)
# Where NAS systems and desktops keep small copies of films.
_THUMBNAILS = ("@eadir", ".@__thumb", ".thumbnails", ".thumbs", "#recycle")
_LOOK = 4096


def has_suffix(name: str) -> bool:
    """Tells a name that promises an image, a volume or an archive."""
    return name.lower().endswith(SUFFIXES)


def reason_to_skip(name: str, head: Callable[[int], bytes]) -> str:
    """Returns why a file is not to be listed, or an empty string if it may be a film.

    What promises an image by its suffix is listed whatever it holds, so that a damaged
    one is told; of all else the first bytes decide.

    Args:
        name: Its path within what is searched, with `/`.
        head: Call it with a number for the first so many bytes.
    """
    parts = pathlib.PurePosixPath(name).parts
    if not parts or parts[-1].startswith("._") or "__MACOSX" in parts:
        return "files of macOS"
    if any(part.lower() in _THUMBNAILS for part in parts[:-1]):
        return "thumbnails"
    if parts[-1] == "DICOMDIR":
        return "lists of DICOM media"
    if has_suffix(name):
        return ""
    if name.lower().endswith(_NEVER):
        return "no images"
    try:
        return "" if _is_image(head(_LOOK)) else "no images"
    except OSError as error:
        return f"cannot be opened: {error.strerror}"
    except ValueError:
        return "no regular files"


def _is_image(head):
    return (
        head.startswith((PNG, JPEG, b"PK\3\4", b"BM"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or is_tiff(head)
        or is_dicom_data(head)
        or is_nifti(head)
    )


def folder_entries(folder: pathlib.Path, left_out: Counter[str]) -> Iterator[Entry]:
    """Yields what a folder holds, in the order of the names.

    A link to a file out of the folder is followed: data sets are kept so. One to a file
    within it would count twice. Linked folders, which may run in circles or lead
    anywhere, are told.

    Args:
        folder: The folder; may be a link itself, since it was given by name.
        left_out: Counts by reason what is no film; added to.
    """
    root = os.path.realpath(folder)
    linked: set[str] = set()
    for here, folders, files in os.walk(folder):
        folders.sort()
        links = [n for n in folders if os.path.islink(os.path.join(here, n))]
        for name in sorted(files + links):
            path = pathlib.Path(here, name)
            target = os.path.realpath(path) if path.is_symlink() else ""
            if target and os.path.commonpath([root, target]) == root:
                continue
            if name in links:
                reason = "a link to a folder; give what it points to by name."
                yield failed_entry(shown(path), reason, path)
                continue
            within = path.relative_to(folder).as_posix()
            why = reason_to_skip(within, functools.partial(read_file, path))
            if why or target in linked:
                left_out[why or "links to a file that is listed"] += 1
                continue
            linked |= {target} - {""}
            yield file_entry(path)
