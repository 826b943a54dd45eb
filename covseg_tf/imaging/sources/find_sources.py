"""Finds what there is to score, without decoding it."""

import dataclasses
import functools
import pathlib
from collections.abc import Iterable, Iterator

from covseg_tf.imaging.correct.correct_film import correct_film
from covseg_tf.imaging.dicom.film import read_dicom_film
from covseg_tf.imaging.dicom.header import (
    dicom_errors,
    is_dicom_data,
    parse_dicom,
    text_of,
)
from covseg_tf.imaging.dicom.pixels import frame_count
from covseg_tf.imaging.dicom.series import is_scout, read_series, series_identity
from covseg_tf.imaging.nifti import is_nifti, read_nifti_volume
from covseg_tf.imaging.picture import read_picture
from covseg_tf.imaging.sources.archive import archive_entries
from covseg_tf.imaging.sources.entry import Entry, bytes_entry, file_entry, stdin_entry
from covseg_tf.imaging.sources.folder import SUFFIXES, folder_entries
from covseg_tf.imaging.sources.source import Source, guarded
from covseg_tf.imaging.sources.unique_names import UniqueNames
from covseg_tf.imaging.tiff import is_tiff, tiff_pages

# Holds the header of most DICOM files; the rest are read whole.
_HEAD = 1 << 16


def find_sources(
    paths: Iterable[str | pathlib.Path], correct: bool = True
) -> list[Source]:
    """Lists what is to be scored.

    Images (PNG, JPEG, TIFF, BMP, WebP), DICOM radiographs and CT series, and
    NIfTI volumes, told by what they hold; each page or frame is a source, and a
    CT series, the slices of one series in one folder, is one, named by the first
    of its files, whatever else lies there. Nothing here is decoded; what cannot be
    read says so when its `read` is called.

    Args:
        paths: Files as given; folders, searched to any depth without following
            links; zip archives; `"-"` for standard input.
        correct: Whether films lose black or white frames and get inverted greys
            undone. Defaults to `True`; turn it off for what is no radiograph.

    Returns:
        Sources in the order of `paths`, and of names within folders.

    Raises:
        ValueError: If a path does not exist, or there is no image at all.
    """
    entries: dict[str, Entry] = {}
    for path in paths:
        if str(path) == "-":
            found: Iterable[Entry] = [stdin_entry()]
        elif (path := pathlib.Path(path)).is_dir():
            found = folder_entries(path)
        elif path.exists():
            found = [file_entry(path)]
        else:
            raise ValueError(f"{path}: no such file or folder.")
        for entry in found:
            entries.setdefault(entry.name, entry)
    sources = _unique(_sources(entries.values(), correct))
    if not sources:
        raise ValueError(
            "no image found; give files, or folders that hold "
            f"{', '.join(s[1:] for s in SUFFIXES)} files."
        )
    return sources


def bytes_sources(name: str, data: bytes, correct: bool = True) -> list[Source]:
    """Lists what a file that is held in memory has to be scored.

    Args:
        name: Name for the worklist.
        data: The file.
        correct: As in `find_sources`.
    """
    return _unique(_sources([bytes_entry(name, data)], correct))


def file_sources(path: str | pathlib.Path) -> list[Source]:
    """Lists what one file has to be scored, nothing of it corrected.

    Args:
        path: The file; one that cannot be read is a source that says so.
    """
    return _unique(_sources([file_entry(pathlib.Path(path))], False))


def _sources(entries, correct) -> Iterator[Source]:
    series: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        try:
            yield from _look_into(entry, correct, series)
        except (ValueError, OSError, MemoryError) as error:
            yield _failing(entry, error)
    for members in series.values():
        first = min(members, key=lambda entry: entry.name)
        read = guarded(functools.partial(read_series, members))
        yield Source(first.name, series_identity(members), read, first.path)


def _look_into(entry, correct, series):
    head = entry.head(4096)
    if head[:4] in (b"PK\3\4", b"PK\5\6"):
        if entry.is_member:
            raise ValueError("an archive within an archive is not read; unpack it.")
        yield from _sources(archive_entries(entry), correct)
    elif is_dicom_data(head):
        yield from _dicom_sources(entry, correct, series)
    elif is_nifti(head):
        yield _source(entry, lambda: read_nifti_volume(entry.load()))
    else:
        pages = [None]
        if is_tiff(head):
            pages = [p.index for p in tiff_pages(entry.load()) if not p.reduced]
            pages = pages if len(pages) > 1 else [None]
        for page in pages:
            read = _film_reader(entry, read_picture, page, correct)
            yield _source(entry, read, page)


def _dicom_sources(entry, correct, series):
    with dicom_errors():
        header = _header(entry)
        is_ct = text_of(header, "Modality").upper() == "CT"
        count = frame_count(header)
        uid = text_of(header, "SeriesInstanceUID")
        scout = is_ct and is_scout(header)
    if scout:
        return
    if is_ct and uid:
        series.setdefault((entry.folder, uid), []).append(entry)
    elif is_ct:
        yield _source(entry, lambda: read_series([entry]))
    else:
        for frame in range(count) if count > 1 else [None]:
            read = _film_reader(entry, read_dicom_film, frame, correct)
            yield _source(entry, read, frame)


def _header(entry):
    try:
        header = parse_dicom(entry.head(_HEAD))
        if "Columns" in header:  # pixels follow; before them the header goes on
            return header
    except MemoryError:
        raise
    except Exception:  # cut within a sequence, or a deflated file
        pass
    return parse_dicom(entry.load())


def _film_reader(entry, reader, part, correct):
    def read():
        film = reader(entry.load(), part)
        return correct_film(film) if correct else film

    return read


def _source(entry, read, part=None):
    name = entry.name if part is None else f"{entry.name}#{part + 1}"
    return Source(name, entry.identity, guarded(read), entry.path)


def _failing(entry, error):
    def read():
        raise error

    return Source(entry.name, entry.identity, guarded(read), entry.path)


def _unique(sources):
    """Sources with names of their own: two members of an archive may bear one."""
    unique = UniqueNames()
    return [dataclasses.replace(s, name=unique(s.name)) for s in sources]
