"""The output folder of a Beam run: finished parts, and one that is being written.

```
OUT/part-0001/rows-00000-of-00004.jsonl   the rows of the first run
OUT/part-0001/part.json                   written last: the part is whole
OUT/part-0002/...                         what a later --resume added
OUT/covseg-unfinished/...                 of a run that goes on or was killed
```
"""

import json
import re
from collections.abc import Iterator
from typing import BinaryIO

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from covseg_tf.batch.images import MARKER, SHARD, UNFINISHED, absolute, is_remote

_HEAD = {"format": "covseg_batch", "format_version": 1}


class BeamFiles:
    """Local files, and those of `gs://`, `s3://`, ... where Beam's extra is there."""

    def match(self, pattern: str, limit: int | None = None) -> Iterator[str]:
        """Yields the paths of the files that a pattern means."""
        limits = None if limit is None else [limit]
        (result,) = FileSystems.match([pattern], limits=limits)
        yield from (metadata.path for metadata in result.metadata_list)

    def open(self, path: str) -> BinaryIO:
        """Opens a file; packed ones stay packed."""
        return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)


_FILES = BeamFiles()


class OutputFolder:
    """Parts in a folder of any of Beam's file systems; one run at a time writes.

    Args:
        path: The folder; made if it is not there.
    """

    def __init__(self, path: str):
        self.path = absolute(path)
        self.unfinished = FileSystems.join(self.path, UNFINISHED)

    def earlier(self, resume: bool, marker: dict) -> list[str]:
        """Returns patterns of the rows that finished parts hold.

        Args:
            resume: Whether there may be any.
            marker: What the new part's will say: theirs must be of the same model
                and format.

        Raises:
            ValueError: If one may not be there, or is of another kind.
        """
        if (earlier := self._finished()) and not resume:
            raise ValueError(
                f"{self.path}: holds {len(earlier)} finished part(s); add --resume for "
                "the images that they lack, or give another folder."
            )
        for part, theirs in earlier.items():
            for key in ("model_sha256", "rows_format"):
                told = f"{part}: its `{key}` is {theirs.get(key)}, not {marker[key]}; "
                if theirs.get(key) != marker[key]:
                    raise ValueError(f"{told}give another output folder.")
        return [FileSystems.join(part, "rows-*") for part in earlier]

    def _finished(self):
        """The markers of the finished parts, by folder, oldest first."""
        paths = sorted(_FILES.match(FileSystems.join(self.path, "part-[0-9]*", MARKER)))
        return {FileSystems.split(path)[0]: _read_marker(path) for path in paths}

    def prepare(self) -> None:
        """Removes what a run that did not end has left, and makes room for one."""
        whole = set(self._finished())
        for path in _FILES.match(FileSystems.join(self.path, "part-*", "rows-*")):
            if FileSystems.split(path)[0] not in whole and re.search(SHARD, path):
                FileSystems.delete([path])
        self.clear()
        FileSystems.mkdirs(self.unfinished)

    def clear(self) -> None:
        """Removes the part that is being written."""
        if not is_remote(self.unfinished):
            if FileSystems.exists(self.unfinished):
                FileSystems.delete([self.unfinished])
        elif left := [*_FILES.match(FileSystems.join(self.unfinished, "**"))]:
            FileSystems.delete(left)  # there are no folders

    def shards(self) -> list[str]:
        """Returns the files with rows that the run has written so far."""
        return sorted(_FILES.match(FileSystems.join(self.unfinished, "rows-*")))

    def publish(self, marker: dict) -> str:
        """Moves what was written to a part of its own, and gives its folder.

        Args:
            marker: What `part.json` says, besides its format; it comes last.
        """
        names = (part.rpartition("part-")[2] for part in self._finished())
        numbers = [int(name) for name in names if name.isdecimal()]
        part = FileSystems.join(self.path, f"part-{max(numbers, default=0) + 1:04}")
        shards = self.shards()
        draft = FileSystems.join(self.unfinished, MARKER)
        with FileSystems.create(draft, mime_type="application/json") as stream:
            stream.write((json.dumps(_HEAD | marker, indent=2) + "\n").encode())
        if not FileSystems.exists(part):
            FileSystems.mkdirs(part)
        moved = [FileSystems.join(part, FileSystems.split(path)[1]) for path in shards]
        FileSystems.rename(shards, moved)
        FileSystems.rename([draft], [FileSystems.join(part, MARKER)])
        self.clear()
        return part


def read_json(path: str) -> dict:
    with _FILES.open(path) as stream:
        return json.loads(stream.read())


def count_rows(path: str) -> int:
    """Counts the rows of a shard: of Parquet by its footer, else line by line."""
    with _FILES.open(path) as stream:
        if path.endswith(".parquet"):
            import pyarrow.parquet

            return pyarrow.parquet.ParquetFile(stream).metadata.num_rows
        blocks = iter(lambda: stream.read(1 << 20), b"")
        return sum(block.count(b"\n") for block in blocks)


def _read_marker(path):
    try:
        marker = read_json(path)
        found = {key: marker[key] for key in _HEAD}
    except (ValueError, KeyError, TypeError):
        found = None
    if found != _HEAD:
        raise ValueError(
            f"{path}: is no marker of covseg_batch version 1; give another folder."
        )
    return marker
