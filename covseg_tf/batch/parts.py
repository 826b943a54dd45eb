"""The output folder: finished parts, and one that is being written.

```
OUT/part-0001/rows-00000-of-00004.jsonl   the rows of the first run
OUT/part-0001/part.json                   written last: the part is whole
OUT/part-0002/...                         what a later --resume added
OUT/covseg-unfinished/...                 of a run that goes on or was killed
```
"""

import json
import re

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from covseg_tf.batch.find_images import (
    MARKER,
    SHARD,
    UNFINISHED,
    absolute,
    is_remote,
)

FORMAT = "covseg_batch"
FORMAT_VERSION = 1


class OutputFolder:
    """Parts in a folder of any of Beam's file systems.

    One run at a time may write into it.

    Args:
        path: The folder; made if it is not there.
    """

    def __init__(self, path: str):
        self.path = absolute(path)
        self.unfinished = FileSystems.join(self.path, UNFINISHED)

    def finished(self) -> dict[str, dict]:
        """Returns the markers of the finished parts, by folder, oldest first.

        Raises:
            ValueError: If a marker is not what this version writes.
        """
        pattern = FileSystems.join(self.path, "part-[0-9]*", MARKER)
        paths = sorted(_matching(pattern))
        return {FileSystems.split(path)[0]: _read_marker(path) for path in paths}

    def clear_unfinished(self) -> None:
        """Removes what a run that did not end has left, and nothing else."""
        whole = set(self.finished())
        for path in _matching(FileSystems.join(self.path, "part-*", "rows-*")):
            folder = FileSystems.split(path)[0]
            if folder not in whole and re.search(SHARD, path):
                FileSystems.delete([path])
        _remove(self.unfinished)

    def prepare(self) -> None:
        """Makes the folder of the part to be."""
        if not FileSystems.exists(self.unfinished):
            FileSystems.mkdirs(self.unfinished)

    def shards(self) -> list[str]:
        """Returns the files with rows that the run has written so far."""
        return sorted(_matching(FileSystems.join(self.unfinished, "rows-*")))

    def publish(self, marker: dict) -> str:
        """Moves what was written to a part of its own, its marker last.

        Args:
            marker: What `part.json` says, besides its format.

        Returns:
            The part's folder.
        """
        names = (part.rpartition("part-")[2] for part in self.finished())
        numbers = [int(name) for name in names if name.isdecimal()]
        part = FileSystems.join(self.path, f"part-{max(numbers, default=0) + 1:04}")
        shards = self.shards()
        draft = FileSystems.join(self.unfinished, MARKER)
        head = {"format": FORMAT, "format_version": FORMAT_VERSION}
        text = json.dumps(head | marker, indent=2) + "\n"
        with FileSystems.create(draft, mime_type="application/json") as stream:
            stream.write(text.encode())
        if not FileSystems.exists(part):
            FileSystems.mkdirs(part)
        moved = [FileSystems.join(part, FileSystems.split(path)[1]) for path in shards]
        FileSystems.rename(shards, moved)
        FileSystems.rename([draft], [FileSystems.join(part, MARKER)])
        _remove(self.unfinished)
        return part


def read_json(path: str) -> dict:
    """Reads a JSON file through Beam's file systems.

    Args:
        path: The file.
    """
    plain = CompressionTypes.UNCOMPRESSED
    with FileSystems.open(path, compression_type=plain) as stream:
        return json.loads(stream.read())


def _matching(pattern):
    (result,) = FileSystems.match([pattern])
    return [metadata.path for metadata in result.metadata_list]


def _remove(folder):
    if not is_remote(folder):
        if FileSystems.exists(folder):
            FileSystems.delete([folder])
    elif left := _matching(FileSystems.join(folder, "**")):  # there are no folders
        FileSystems.delete(left)


def _read_marker(path):
    try:
        marker = read_json(path)
        found = (marker["format"], marker["format_version"])
    except (ValueError, KeyError, TypeError):
        found = None
    if found != (FORMAT, FORMAT_VERSION):
        raise ValueError(
            f"{path}: is no marker of {FORMAT} version {FORMAT_VERSION}; give another "
            "output folder."
        )
    return marker
