"""The films of a node and how far each is: files on disk, nothing else."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import time
import uuid

from covseg_tf.triage.record.names import DICOM, output_names
from covseg_tf.triage.record.output import (
    mark_folder,
    prepare_output,
    remove_outputs,
    write_atomic,
)
from covseg_tf.triage.record.row import TriageRow

_UID = re.compile(r"\d+(?:\.\d+)+")
_KEY = re.compile(r"(?:ct-)?" + _UID.pattern)
_RESULT = "result.json"


def is_uid(text: str) -> bool:
    """Whether something is a DICOM UID, and so leads nowhere as a file's name.

    Args:
        text: Anything that came over the network or lies in the store.
    """
    return len(text) <= 64 and bool(_UID.fullmatch(text))


class Store:
    """Keeps each film in a folder of its own; what is done lies beside it.

    `cases/KEY/UID.dcm` is what came, `cases/KEY/result.json` its row once all that
    belongs to it is written, `cases/KEY/sent-NAME` says that a destination has it.
    The key is the SOP Instance UID, or `ct-` and the Series Instance UID. `results`
    is what `covseg triage` writes, each case under its key.

    Args:
        root: The folder; made if it is not there.

    Raises:
        ValueError: If it cannot be used.
        OSError: If it cannot be written.
    """

    def __init__(self, root: str | pathlib.Path):
        root = pathlib.Path(root)
        self.cases, self.results = root / "cases", root / "results"
        self._incoming = root / "incoming"
        for folder in (self.cases, self._incoming):
            folder.mkdir(parents=True, exist_ok=True)
        if not (self.results / "masks").is_dir():
            prepare_output(self.results)
        mark_folder(self.results / DICOM)

    def clear_incoming(self) -> None:
        """Removes what was cut short; the senders of that were told nothing."""
        for path in self._incoming.iterdir():
            path.unlink()

    def put(self, key: str, uid: str, data: bytes) -> bool:
        """Takes an object; when it returns, the object lies on the disk.

        Args:
            key: The case.
            uid: The object.
            data: The file.

        Returns:
            Whether it is new.

        Raises:
            OSError: If it cannot be written; nothing is left of it then.
        """
        folder = self.cases / key
        part = self._incoming / uuid.uuid4().hex
        try:
            with part.open("xb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            if not folder.is_dir():
                folder.mkdir(exist_ok=True)
                _sync_folder(self.cases)
            try:
                os.link(part, folder / f"{uid}.dcm")  # unlike a rename: only if new
                return True
            except FileExistsError:
                return False
            finally:
                _sync_folder(folder)
        finally:
            part.unlink(missing_ok=True)

    def has(self, key: str, uid: str) -> bool:
        """Whether an object lies here."""
        return (self.cases / key / f"{uid}.dcm").exists()

    def all_keys(self) -> list[str]:
        """Returns all cases."""
        names = (entry.name for entry in os.scandir(self.cases) if entry.is_dir())
        return sorted(name for name in names if _KEY.fullmatch(name))

    def objects(self, key: str) -> list[pathlib.Path]:
        """Returns the files of a case."""
        return sorted(
            path
            for path in (self.cases / key).glob("*.dcm")
            if is_uid(path.stem) and path.is_file() and not path.is_symlink()
        )

    def row(self, key: str) -> TriageRow | None:
        """Returns the row of a case, or `None` if it is to be scored, or anew.

        Args:
            key: The case.
        """
        try:
            result = json.loads((self.cases / key / _RESULT).read_bytes())
            row = TriageRow.from_dict(result["row"])
            count = int(result["objects"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        whole = count == len(self.objects(key)) and self._has_own_names(key, row)
        return row if whole else None

    def _has_own_names(self, key, row):
        """Whether a row names files of its case only, and those to be sent are there.

        They are opened and sent: whoever wrote it must not choose them.
        """
        names = output_names(key)
        mask = ("", names["lung_mask"], f"masks/{key}")
        return (
            all(
                getattr(row, kind) in ("", names[kind])
                for kind in ("overlay", "dicom_seg", "dicom_overlay")
            )
            and row.lung_mask in mask
            and all((self.results / n).is_file() for n in self._sent_names(key, row))
        )

    def _sent_names(self, key, row):
        return [name for name in (row.dicom_seg, row.dicom_overlay) if name]

    def report_path(self, key: str) -> pathlib.Path:
        """Returns where the structured report of a case lies, if it has one."""
        return self.results / DICOM / f"{key}_report.dcm"

    def made(self, key: str, row: TriageRow) -> list[pathlib.Path]:
        """Returns the objects that were made of a case, the report last."""
        paths = [self.results / name for name in self._sent_names(key, row)]
        paths.append(self.report_path(key))
        return [path for path in paths if path.is_file() and not path.is_symlink()]

    def start(self, key: str) -> int:
        """Forgets an earlier result of a case.

        Returns:
            The number of its objects.
        """
        for path in [*(self.cases / key).glob("sent-*"), self.cases / key / _RESULT]:
            path.unlink(missing_ok=True)
        self._remove_made(key)
        return len(self.objects(key))

    def finish(self, key: str, row: TriageRow, objects: int) -> None:
        """Says that all of a case is written; the last thing that is done to it.

        Nothing of it is synced: after a power failure `is_whole` tells what is not
        there, and it is made again of the film, which was.

        Args:
            key: The case.
            row: Its row.
            objects: How many objects it is about.

        Raises:
            OSError: If it cannot be written.
        """
        result = {
            "objects": objects,
            "row": row.to_dict(decimals=None),
            "sha256": self._digests(key, row),
        }
        write_atomic(self.cases / key / _RESULT, json.dumps(result).encode())

    def is_whole(self, key: str, row: TriageRow) -> bool:
        """Whether what was made of a case is as it was written.

        Args:
            key: The case.
            row: Its row.
        """
        try:
            result = json.loads((self.cases / key / _RESULT).read_bytes())
            return result["sha256"] == self._digests(key, row)
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def _digests(self, key, row):
        return {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in self.made(key, row)
        }

    def version(self, key: str) -> str:
        """Returns what tells the result of a case from a later one, or `""`."""
        with contextlib.suppress(FileNotFoundError):
            return str((self.cases / key / _RESULT).stat().st_mtime_ns)
        return ""

    def is_sent(self, key: str, name: str) -> bool:
        """Whether a destination has what was made of a case."""
        try:
            mark = (self.cases / key / f"sent-{name}").read_text("ascii", "replace")
        except FileNotFoundError:
            return False
        return mark == self.version(key)

    def mark_sent(self, key: str, name: str, version: str) -> None:
        """Says that a destination has it. A mark that is lost is sent again.

        Args:
            key: The case.
            name: The destination.
            version: Of the result that it has: a late slice may have made it old.
        """
        with contextlib.suppress(FileNotFoundError):  # removed meanwhile
            write_atomic(self.cases / key / f"sent-{name}", version.encode())

    def age_hours(self, key: str) -> float:
        """Returns how long ago a case was finished."""
        then = (self.cases / key / _RESULT).stat().st_mtime
        return (time.time() - then) / 3600

    def remove(self, key: str) -> None:
        """Removes a case and all that was made of it, its films last."""
        self._remove_made(key)
        folder = self.cases / key
        for path in sorted(folder.iterdir(), key=lambda path: path.suffix == ".dcm"):
            path.unlink()
        folder.rmdir()

    def _remove_made(self, key):
        remove_outputs(self.results, key)
        self.report_path(key).unlink(missing_ok=True)


def _sync_folder(folder):
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
