"""Finds what there is to score, without decoding it."""

import dataclasses
import functools
import pathlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

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
from covseg_tf.imaging.sources.entry import (
    Entry,
    bytes_entry,
    file_entry,
    shown,
    stdin_entry,
)
from covseg_tf.imaging.sources.folder import folder_entries
from covseg_tf.imaging.sources.source import Source, guarded
from covseg_tf.imaging.sources.unique_names import UniqueNames
from covseg_tf.imaging.tiff import is_tiff, tiff_pages

# Holds the header of most DICOM files; the rest are read whole.
_HEAD = 1 << 16
# Presentation states, reports, notes, plans: what lies beside films in a study.
_NO_IMAGES = ("PR", "SR", "KO", "AU", "REG", "FID", "PLAN", "DOC", "RTPLAN", "RTSTRUCT")


def find_sources(
    paths: Iterable[str | pathlib.Path],
    correct: bool = True,
    left_out: Counter[str] | None = None,
) -> list[Source]:
    """Lists what is to be scored.

    Images (PNG, JPEG, TIFF, BMP, WebP), DICOM radiographs and CT series, and
    NIfTI volumes, told by what they hold and not by their names; each page or frame
    is a source, and a CT series is one, named by the first of its files, wherever
    its slices lie. Nothing here is decoded; what cannot be read says so when its
    `read` is called.

    Args:
        paths: Files as given; folders, searched to any depth without following
            links to folders; zip archives; `"-"` for standard input.
        correct: Whether films lose black or white frames and get inverted greys
            undone. Defaults to `True`; turn it off for what is no radiograph.
        left_out: Counts by reason what was found and is not listed; added to.

    Returns:
        Sources in the order of `paths`, and of names within folders.

    Raises:
        ValueError: If a path does not exist, or there is no image at all.
    """
    entries: dict[str, Entry] = {}
    left_out = Counter() if left_out is None else left_out
    for path in paths:
        if str(path) == "-":
            found: Iterable[Entry] = [stdin_entry()]
        elif (path := pathlib.Path(path)).is_dir():
            found = folder_entries(path, left_out)
        elif path.exists():
            found = [file_entry(path)]
        else:
            raise ValueError(f"{shown(path)}: no such file or folder.")
        for entry in found:
            entries.setdefault(entry.name, entry)
    sources = _unique(_sources(entries.values(), correct, left_out))
    if not sources:
        told = f" {left_out_text(left_out)}." if left_out else ""
        raise ValueError(
            "no image found; give files (PNG, JPEG, TIFF, BMP, WebP, DICOM, NIfTI), "
            f"folders or zip archives of them.{told}"
        )
    return sources


def left_out_text(left_out: Mapping[str, int]) -> str:
    """Returns what was left out in words, `"left out: 2 (2 no images)"`.

    Args:
        left_out: From `find_sources`, not empty.
    """
    reasons = ", ".join(f"{n} {why}" for why, n in sorted(left_out.items()))
    return f"left out: {sum(left_out.values())} ({reasons})"


def bytes_sources(name: str, data: bytes, correct: bool = True) -> list[Source]:
    """Lists what a file that is held in memory has to be scored.

    Args:
        name: Name for the worklist.
        data: The file.
        correct: As in `find_sources`.
    """
    return _unique(_sources([bytes_entry(name, data)], correct, Counter()))


def file_sources(path: str | pathlib.Path) -> list[Source]:
    """Lists what one file has to be scored, nothing of it corrected.

    Args:
        path: The file; one that cannot be read is a source that says so.
    """
    return _unique(_sources([file_entry(pathlib.Path(path))], False, Counter()))


def _sources(entries, correct, left_out) -> Iterator[Source]:
    # Slices of one series may lie in several folders and archives.
    series: dict[tuple[str, ...], list[Entry]] = {}
    for entry in _unpacked(entries, left_out):
        if isinstance(entry, Source):
            yield entry
            continue
        try:
            yield from _look_into(entry, correct, series, left_out)
        except (ValueError, OSError, MemoryError) as error:
            yield _failing(entry, error)
    for members in series.values():
        first = min(members, key=lambda entry: entry.name)
        read = guarded(functools.partial(read_series, members))
        yield Source(first.name, series_identity(members), read, first.path)


def _unpacked(entries, left_out):
    """Entries, and the members of those that are archives."""
    for entry in entries:
        try:
            if _is_archive(entry.head(4)):
                yield from archive_entries(entry, left_out)
            else:
                yield entry
        except (ValueError, OSError, MemoryError) as error:
            yield _failing(entry, error)


def _is_archive(head):
    return head[:4] in (b"PK\3\4", b"PK\5\6")


def _look_into(entry, correct, series, left_out):
    head = entry.head(4096)
    if _is_archive(head):
        raise ValueError("an archive within an archive is not read; unpack it.")
    if is_dicom_data(head):
        yield from _dicom_sources(entry, correct, series, left_out)
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


def _dicom_sources(entry, correct, series, left_out):
    with dicom_errors():
        header = _header(entry)
        modality = text_of(header, "Modality").upper()
        is_ct = modality == "CT"
        count = frame_count(header)
        names = ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
        key = tuple(text_of(header, name) for name in names)
        scout = is_ct and is_scout(header)
    if scout:
        left_out["scouts of CT, not scored"] += 1
    elif modality in _NO_IMAGES:
        left_out[f"DICOM objects without an image ({modality})"] += 1
    elif is_ct and key[-1]:
        series.setdefault(key, []).append(entry)
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
