"""The journal of a run: what is done, so that a killed run can go on."""

import errno
import hashlib
import json
import os
import pathlib
import time
from typing import Any

from covseg_tf.triage.record.names import is_plain_name, output_names, slices_name
from covseg_tf.triage.record.row import TriageRow

# While a run is under way, and after it.
JOURNAL, FINISHED = "journal.jsonl", "finished.jsonl"
_FORMAT, _VERSION = "covseg_triage_journal", 1
_START = b'{"format": "%s"' % _FORMAT.encode()
_SECONDS_BETWEEN_SYNCS = 1.0
_FILES = tuple(output_names(""))
# What must be the same for a run to go on, and how a refusal calls it.
_SAME = {
    "model_sha256": "another model",
    "threshold": "another threshold",
    "covseg_version": "another version of covseg",
    "paths": "other paths",
    "dicom": "another --dicom setting",
    "identify": "another --identify setting",
}


class Journal:
    """Keeps each finished row on disk, one JSON line each, a header first.

    A line is handed to the system as soon as its row is done, so a killed
    process loses none; it is synced to the disk about once a second, so a
    power failure loses a second's worth.

    Args:
        folder: Where `journal.jsonl` lies. One that exists is gone on with: a
            half-written last line is cut off. So is `finished.jsonl`, the
            journal of a finished run, which is called so again by `close`.
        header: What the run depends on and `started`; plain JSON values.

    Attributes:
        header: The header on disk, of the first run if it is gone on with.
        done: Dict from a source's name to its `(identity, stem, row)`.

    Raises:
        ValueError: If an existing journal is of a run that depends on
            something else, is no journal, or names files other than its own.
    """

    def __init__(self, folder: pathlib.Path, header: dict[str, Any]):
        self.header = {"format": _FORMAT, "format_version": _VERSION} | header
        self.done: dict[str, tuple[str, str, TriageRow]] = {}
        self._hash = hashlib.sha256()
        self._path = path = folder / JOURNAL
        end = 0
        if path.exists():
            end = self._read(path)
        elif (folder / FINISHED).exists():
            end = self._read(folder / FINISHED)
            os.replace(folder / FINISHED, path)
        self._stream = path.open("r+b" if end else "wb", buffering=0)
        try:
            self._stream.truncate(end)
            self._stream.seek(end)
            self._synced = time.monotonic()
            if not end:
                self._write(self.header)
                self._sync()
        except OSError:
            self._stream.close()
            raise

    @property
    def digest(self) -> str:
        """SHA-256 of what it holds; a report written from it bears the same."""
        return self._hash.hexdigest()

    def add(self, identity: str, stem: str, row: TriageRow) -> None:
        """Appends a finished row.

        Args:
            identity: The source's; empty if the row is to be done again by
                a run that goes on.
            stem: Name of its output files, without suffix.
            row: The row.

        Raises:
            OSError: If it cannot be written.
        """
        fields = row.to_dict(decimals=None)
        self.done[row.file] = (identity, stem, row)
        self._write({"identity": identity, "stem": stem, "row": fields})
        if time.monotonic() - self._synced > _SECONDS_BETWEEN_SYNCS:
            self._sync()

    def close(self, finished: bool) -> None:
        """Closes the journal; that of a finished run becomes `finished.jsonl`.

        Args:
            finished: Whether the reports are written.
        """
        self._stream.close()
        if finished:
            os.replace(self._path, self._path.with_name(FINISHED))

    def _read(self, path):
        end = 0
        with path.open("rb") as stream:
            for number, line in enumerate(stream):
                try:
                    entry = _parse(line)
                    if number == 0:
                        self._check_header(entry)
                    else:
                        row = TriageRow.from_dict(entry["row"])
                        self._check_names(number, entry["stem"], row)
                        self.done[row.file] = (entry["identity"], entry["stem"], row)
                except (KeyError, TypeError, _Broken):
                    break
                end += len(line)
                self._hash.update(line)
        return end

    def _check_names(self, number, stem, row):
        """Refuses a row whose files are not those of this folder; they get removed."""
        names = output_names(stem) if is_plain_name(stem) else {}
        for key in _FILES:
            may = {"", names.get(key)}
            if key in ("lung_mask", "infection_mask"):
                may.add(slices_name(stem))
            if not names or getattr(row, key) not in may:
                raise ValueError(
                    f"{self._path.parent}: line {number + 1} of its journal names "
                    "files that covseg does not write there; --force starts anew."
                )

    def _check_header(self, header):
        if (header.get("format"), header.get("format_version")) != (_FORMAT, _VERSION):
            raise ValueError(
                f"{self._path}: is not a journal that this version of covseg reads; "
                "--force starts anew."
            )
        for key, what in _SAME.items():
            if header.get(key) != self.header.get(key):
                raise ValueError(
                    f"{self._path.parent}: the run in it is of {what} "
                    f"({header.get(key)}, now {self.header.get(key)}); go on with "
                    "that, or --force to start anew."
                )
        self.header = header

    def _write(self, entry):
        line = json.dumps(entry, ensure_ascii=True).encode() + b"\n"
        # An unbuffered write may take a part of the bytes when the disk is full.
        if self._stream.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self._hash.update(line)

    def _sync(self):
        os.fsync(self._stream.fileno())
        self._synced = time.monotonic()


class _Broken(Exception):
    """A line that was not written to its end."""


def is_journal(path: pathlib.Path) -> bool:
    """Whether a file is a journal of ours, or the beginning of one.

    Args:
        path: The file.
    """
    with path.open("rb") as stream:
        start = stream.read(len(_START))
    return _START.startswith(start)


def count_done(path: pathlib.Path) -> int:
    """Returns how many rows a journal holds.

    Args:
        path: The file.
    """
    with path.open("rb") as stream:
        return max(0, sum(line.endswith(b"\n") for line in stream) - 1)


def _parse(line):
    if not line.endswith(b"\n"):
        raise _Broken
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        raise _Broken from None
