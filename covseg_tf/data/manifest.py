"""Reader of a folder of images and two masks with a manifest."""

import csv
import pathlib

from covseg_tf.data.faults import first_fault
from covseg_tf.data.sample import Sample
from covseg_tf.imaging import read_spacing

_FILE = "manifest.csv"
_COLUMNS = ("split", "patient", "finding")
_SUFFIXES = (".png", "", ".dcm")
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".dcm")


def read_manifest(root: str | pathlib.Path, split: str | None = None) -> list[Sample]:
    """Lists the images that `manifest.csv` names.

    The folder holds `manifest.csv` and `images/NAME`, and may hold
    `lung_masks/NAME.png` and `infection_masks/NAME.png`. The manifest has a column
    `name`, and may have `split`, `patient`, `finding` and `source`, readers'
    extents of each lung, 0 to 4, `geo_right_1`, `geo_left_1`, `geo_right_2`,
    `geo_left_2` (their mean is taken), and `lung_mask_by`, which is empty where
    nobody drew the lungs; other columns are ignored. A name without
    a suffix means `NAME.png`, or `NAME.dcm` (an X-ray) where there is no such
    PNG; masks are PNG in either case. Without a folder of masks no image has one;
    with it, every image must.

    Args:
        root: The folder.
        split: Which split to list; `None` (default) lists all.

    Returns:
        Samples in the manifest's order; with their spacing if they are DICOM.

    Raises:
        ValueError: If the manifest is missing, cannot be read, lacks the
            column `name`, names an image twice, has no such split, or an image
            or mask is missing.
    """
    by_split, faults = find_manifest(root)
    if split is not None and split not in by_split:
        raise ValueError(
            f"{pathlib.Path(root) / _FILE}: no image of the split {split!r}. It has: "
            f"{', '.join(s for s in by_split if s) or 'no column split'}."
        )
    first_fault(faults)
    if split is not None:
        return by_split[split]
    # Rows of several splits may alternate in the file.
    order = {row["name"]: i for i, row in enumerate(_read_rows(root))}
    samples = [sample for group in by_split.values() for sample in group]
    return sorted(samples, key=lambda sample: order[sample.name])


def find_manifest(
    root: str | pathlib.Path,
) -> tuple[dict[str, list[Sample]], list[str]]:
    """Lists samples by split (`""` for none) and what is wrong with them.

    Raises:
        ValueError: If the manifest itself cannot be read.
    """
    root = pathlib.Path(root)
    by_split: dict[str, list[Sample]] = {}
    faults, seen = [], set()
    for row in _read_rows(root):
        name, members = row["name"], by_split.setdefault(row.get("split") or "", [])
        if name in seen:
            faults.append(f"{root / _FILE}: names {name!r} twice.")
            continue
        seen.add(name)
        if not _stays_below(name):
            faults.append(f"{root / _FILE}: {name!r} leads out of the folder.")
            continue
        paths = [
            _existing(root / "images", [name + suffix for suffix in _SUFFIXES]),
            _mask(root / "lung_masks", name, row.get("lung_mask_by")),
            _mask(root / "infection_masks", name),
        ]
        missing = [path for path in paths if path and not path.is_file()]
        faults += [f"{path}: missing; the manifest names {name!r}." for path in missing]
        if not missing:
            members.append(_sample(row, root, *paths))
    return by_split, faults


def _stays_below(name):
    path = pathlib.PurePath(name)
    return not path.is_absolute() and ".." not in path.parts and "\0" not in name


def _mask(folder, name, drawn_by=None):
    if drawn_by == "" or not folder.is_dir():
        return None
    return _existing(folder, [f"{name}.png", f"{_without_suffix(name)}.png"])


def _extents(row, path):
    """Mean of the readers, right and left; `None` without a score."""
    sides = []
    for side in ("right", "left"):
        texts = [row.get(f"geo_{side}_{reader}") or "" for reader in (1, 2)]
        try:
            scores = [float(text) for text in texts if text]
        except ValueError:
            scores = [-1.0]
        if not all(0 <= score <= 4 for score in scores):
            raise ValueError(
                f"{path}: an extent of one lung is a number from 0 to 4. Received "
                f"for {row['name']!r}: {', '.join(texts)}"
            )
        sides.append(sum(scores) / len(scores) if scores else None)
    return None if sides == [None, None] else tuple(sides)


def _without_suffix(name):
    # `P1.2` is a name, `P1.dcm` a file.
    path = pathlib.Path(name)
    return path.stem if path.suffix.lower() in _IMAGE_SUFFIXES else name


def _sample(row, root, image, lung_mask, infection_mask):
    return Sample(
        row["name"],
        image,
        lung_mask,
        infection_mask,
        row.get("finding") or "unknown",
        row.get("patient") or None,
        spacing=_spacing_of(image),
        source=row.get("source") or root.resolve().name,
        extents=_extents(row, root / _FILE),
    )


def _read_rows(root):
    path = pathlib.Path(root) / _FILE
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
    except OSError as error:
        raise ValueError(
            f"{path}: {error.strerror}. Expected a CSV file with a column name, and "
            "images/, lung_masks/ and infection_masks/ beside it."
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: cannot be read as CSV ({error}).") from None
    if "name" not in (reader.fieldnames or ()):
        raise ValueError(
            f"{path}: has no column 'name'. It has: {reader.fieldnames}. Known "
            f"columns: name, {', '.join(_COLUMNS)}."
        )
    if not rows:
        raise ValueError(f"{path}: names no image.")
    for number, row in enumerate(rows, start=1):
        if not row["name"]:
            raise ValueError(f"{path}: row {number} has no name.")
    return rows


def _existing(folder, names):
    """The first of the files that is there, else the first."""
    paths = [folder / name for name in names]
    return next((path for path in paths if path.is_file()), paths[0])


def _spacing_of(path):
    if path.suffix.lower() not in (".dcm", ".dicom"):
        return None
    try:
        return read_spacing(path)
    except ValueError:
        return None  # told when the pixels are read
