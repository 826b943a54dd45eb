"""The output folder: what in it is ours, and how it is written."""

import contextlib
import errno
import os
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from covseg_tf.triage.record.journal import FINISHED, JOURNAL, count_done, is_journal
from covseg_tf.triage.record.names import (
    DICOM,
    LAYERS,
    MASKS,
    OVERLAYS,
    output_names,
    slices_name,
)

REPORTS = ("report.csv", "report.json", "report.html")
# Marks a folder as ours: only then may --force empty it.
_MARK = "ABOUT.txt"
_TEXTS = {
    MASKS: "Masks: 0 background, 255 lung or infection, one pair per image at its own\n"
    "size; of a CT volume, a folder with one pair per slice.\n",
    OVERLAYS: "Images with what was found: lungs outlined, infection shaded.\n"
    "In `layers`, what a later run with --resume needs.\n",
    DICOM: "DICOM Segmentations and Secondary Captures. RESEARCH USE ONLY.\n",
}
# All that a run writes into a folder, half-written files too: nothing else is removed.
_FILES = {
    LAYERS: r".+\.(jpg|png)",
    OVERLAYS: r".+\.jpg",
    MASKS: r".+_(lung|infection)\.png",
    DICOM: r".+_(seg|overlay)\.dcm",
}
_SLICES = r"(lung|infection)_\d{4,}\.png"
_OURS = "Written by covseg triage. A new run with --force replaces this folder.\n"


def prepare_output(
    out: str | pathlib.Path, force: bool = False, resume: bool = False
) -> pathlib.Path:
    """Makes the output folder; never overwrites unless told to.

    Args:
        out: Folder that is new or empty, unless `force` or `resume`.
        force: Remove what an earlier run wrote; other files stay.
        resume: Keep what an unfinished run wrote.

    Returns:
        The folder.

    Raises:
        ValueError: If the folder may not be used, or cannot be made.
    """
    out = pathlib.Path(out)
    check_output(out, force, resume)
    try:
        if not (resume and _journals(out)):
            _clear(out)
        for name, text in _TEXTS.items():
            if name != DICOM or (out / name).exists():
                mark_folder(out / name, text)
        (out / LAYERS).mkdir(exist_ok=True)
    except OSError as error:
        raise ValueError(f"{out}: cannot be written ({error.strerror}).") from None
    return out


def check_output(out: pathlib.Path, force: bool = False, resume: bool = False) -> None:
    """Says whether a run may write into a folder, without touching it.

    Args:
        out: The folder, which need not exist.
        force: The run may replace an earlier one.
        resume: The run goes on with an unfinished one.

    Raises:
        ValueError: If it may not, with what to do.
    """
    if force and resume:
        raise ValueError("give either --force or --resume, not both.")
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: is a file; give a folder for the report.")
    if not force and out.is_dir() and any(out.iterdir()):
        _check_filled(out, resume)
    for path in (out / name for name in (*_TEXTS, JOURNAL, FINISHED)):
        if os.path.lexists(path) and not _is_ours(path):
            raise _foreign(path)
    if (out / LAYERS).is_symlink():
        raise _foreign(out / LAYERS)
    for path in (out / name for name in REPORTS):
        if path.exists() and not holds_run(out):
            raise _foreign(path)


def check_folder(folder: pathlib.Path) -> None:
    """Refuses a folder that `mark_folder` did not make.

    Args:
        folder: The folder, which need not exist.

    Raises:
        ValueError: If it exists and is not marked as ours.
    """
    if folder.exists() and not _is_ours(folder):
        raise _foreign(folder)


def holds_run(out: pathlib.Path) -> bool:
    """Whether a folder holds a run of ours, cut short or finished.

    Args:
        out: The output folder, which need not exist.
    """
    return bool(_journals(out))


@contextlib.contextmanager
def lock_output(out: pathlib.Path) -> Iterator[None]:
    """Makes the output folder and keeps other runs on this machine out of it.

    It is the folder that is locked, so nothing is left behind by a killed run.
    Where there are no such locks, as on Windows, it does nothing.

    Args:
        out: The output folder.

    Raises:
        ValueError: If another run is writing there, or it cannot be made.
    """
    with contextlib.ExitStack() as stack:
        try:
            out.mkdir(parents=True, exist_ok=True)
            _lock(out, stack)
        except BlockingIOError:
            raise ValueError(
                f"{out}: another run is writing here; wait for it or give another "
                "folder."
            ) from None
        except OSError as error:
            raise ValueError(f"{out}: cannot be written ({error.strerror}).") from None
        yield


def _lock(out, stack):
    try:
        import fcntl
    except ImportError:
        return
    handle = os.open(out, os.O_RDONLY)
    stack.callback(os.close, handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:  # a file system without locks
        return


def _foreign(path):
    return ValueError(
        f"{path}: was not written by an earlier report and is left alone; "
        "give another folder."
    )


def _check_filled(out, resume):
    journals = _journals(out)
    if resume and not journals:
        raise ValueError(
            f"{out}: holds no run to go on with; give another folder, or --force "
            "instead of --resume to replace an earlier report."
        )
    if resume:
        return
    if not journals:
        raise ValueError(
            f"{out}: exists and is not empty; give another folder or add --force."
        )
    if journals[0].name == JOURNAL:
        raise ValueError(
            f"{out}: holds an unfinished run, {count_done(journals[0])} done; "
            "add --resume to go on, --force to start anew."
        )
    raise ValueError(
        f"{out}: holds a report; add --resume to score only what is new or changed, "
        "--force to start anew, or give another folder."
    )


def _journals(out):
    paths = [out / JOURNAL, out / FINISHED]
    return [path for path in paths if path.is_file() and _is_ours(path)]


def mark_folder(folder: pathlib.Path, text: str | None = None) -> None:
    """Makes a folder of the output and marks it as ours.

    Args:
        folder: `masks`, `overlays` or `dicom` in the output folder.
        text: What its `ABOUT.txt` says; the usual one by default.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = (text or _TEXTS[folder.name]) + _OURS
    write_atomic(folder / _MARK, text.encode())


def remove_outputs(out: pathlib.Path, stem: str) -> None:
    """Removes what was written of one source.

    Args:
        out: The output folder.
        stem: Name of the source's output files, without suffix.

    Raises:
        OSError: If something cannot be removed.
    """
    layers = (f"{LAYERS}/{stem}.jpg", f"{LAYERS}/{stem}.png")
    for path in (out / name for name in (*output_names(stem).values(), *layers)):
        if path.is_file() or path.is_symlink():
            path.unlink()
    _remove_files(out / slices_name(stem), _SLICES)


def make_slices(out: pathlib.Path, stem: str) -> pathlib.Path:
    """Returns the folder of a volume's masks, made if it is not there.

    Args:
        out: The output folder.
        stem: Name of the volume's output files, without suffix.

    Raises:
        OSError: If it cannot be made, or is a link: it may lead anywhere.
    """
    folder = out / slices_name(stem)
    folder.mkdir(exist_ok=True)
    if folder.is_symlink():
        raise NotADirectoryError(errno.ENOTDIR, "is a link", str(folder))
    return folder


def without_own(
    paths: Iterable[str | pathlib.Path], out: pathlib.Path
) -> Iterator[bool]:
    """Tells of each path whether it lies outside of what triage writes into `out`.

    Args:
        paths: Any paths, absolute or not.
        out: The output folder, which need not exist.
    """
    own = {out.resolve() / name for name in _TEXTS}
    known: dict[str, bool] = {}
    for path in paths:
        folder = os.path.dirname(path)
        if folder not in known:
            real = pathlib.Path(folder).resolve()
            known[folder] = own.isdisjoint((real, *real.parents))
        yield known[folder]


@contextlib.contextmanager
def whole_file(path: pathlib.Path, sync: bool = False) -> Iterator[BinaryIO]:
    """Gives a stream whose bytes become a file at its end, or not at all.

    Args:
        path: The file; one of that name is replaced.
        sync: Whether the bytes must be on the disk then. Defaults to `False`.

    Raises:
        OSError: If it cannot be written; nothing is left of it then.
    """
    part = path.with_name(path.name + ".part")
    try:
        part.unlink(missing_ok=True)
        with part.open("xb") as stream:  # "x": not through a link laid there
            yield stream
            if sync:
                stream.flush()
                os.fsync(stream.fileno())
        os.replace(part, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise


def write_atomic(path: pathlib.Path, data: bytes, sync: bool = False) -> None:
    """Writes a file at once or not at all.

    Args:
        path: The file; one of that name is replaced.
        data: Its bytes.
        sync: As in `whole_file`.

    Raises:
        OSError: If it cannot be written; nothing is left of it then.
    """
    with whole_file(path, sync) as stream:
        stream.write(data)


def _is_ours(path):
    if path.is_symlink():  # it may lead to anything
        return False
    if path.is_file():
        return is_journal(path)
    return (path / _MARK).is_file() or not any(path.iterdir())


def _clear(out):
    for name, files in _FILES.items():
        if (out / name.partition("/")[0] / _MARK).is_file():
            if name == MASKS:
                for path in (out / name).iterdir():
                    _remove_files(path, _SLICES)
            _remove_files(out / name, files)
    # The journals last: they tell that the reports are ours.
    for name in (*REPORTS, JOURNAL, FINISHED) if holds_run(out) else ():
        (out / f"{name}.part").unlink(missing_ok=True)
        (out / name).unlink(missing_ok=True)


def _remove_files(folder, names):
    """Removes files of ours, then the folder and its mark if nothing else is left."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for path in folder.iterdir():
        is_file = path.is_symlink() or path.is_file()
        if is_file and re.fullmatch(f"(?:{names})(?:\\.part)?", path.name):
            path.unlink()
    mark = folder / _MARK
    if all(path == mark for path in folder.iterdir()):
        mark.unlink(missing_ok=True)
        folder.rmdir()
