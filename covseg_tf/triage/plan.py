"""What a run has left to do, and what the files of each source are called."""

import os
import pathlib
from collections.abc import Iterable

from covseg_tf.imaging.sources.find_sources import Source
from covseg_tf.imaging.sources.unique_names import UniqueNames
from covseg_tf.triage.record.journal import Journal
from covseg_tf.triage.record.names import LAYERS
from covseg_tf.triage.record.output import remove_outputs

Work = tuple[Source, str]


def plan(sources: Iterable[Source], journal: Journal, out: pathlib.Path) -> list[Work]:
    """Returns what is left to do; what must be done again is taken from `done`.

    Its files are removed: a film that is none any more leaves no mask behind.
    """
    todo, again = [], {}
    for source in sources:
        identity, stem, row = journal.done.get(source.name, ("", "", None))
        if row is None or identity != source.identity or not _is_whole(row, out):
            todo.append(source)
            if row is not None:
                again[source.name] = stem
                remove_outputs(out, stem)
                del journal.done[source.name]
    taken = [*(stem for _, stem, _ in journal.done.values()), *again.values()]
    unique = UniqueNames(taken, key=str.lower)
    return [(s, again.get(s.name) or unique(_stem(s.name))) for s in todo]


def _is_whole(row, out):
    """Whether the files of a row are there: a power failure may take some."""
    names = filter(None, (row.overlay, row.lung_mask, row.dicom_seg, row.dicom_overlay))
    paths = [out / name for name in names]
    if row.overlay:
        layer = out / LAYERS / pathlib.PurePath(row.overlay).name
        paths += [layer, layer.with_suffix(".png")]
    return all(
        path.exists() and not path.is_symlink() and path.stat().st_size > 0
        for path in paths
    )


def _stem(name):
    # FILE.zip!FOLDER/MEMBER.png -> MEMBER, FILE.dcm#2 -> FILE-2, - -> stdin
    last = name.replace("!", "/").replace("\\", "/").rstrip("/").rpartition("/")[2]
    file, mark, frame = last.rpartition("#")
    if mark and frame.isdigit():
        last = f"{pathlib.PurePosixPath(file).stem}-{frame}"
    elif last.lower().endswith(".nii.gz"):
        last = last[: -len(".nii.gz")]
    else:
        last = pathlib.PurePosixPath(last).stem
    safe = "".join(c if c.isprintable() and c not in '<>:"|?*' else "_" for c in last)
    safe = os.fsencode(safe.strip(". "))[:120].decode("utf-8", "ignore")
    return "stdin" if name == "-" else safe or "image"
