"""From many image files to a worklist and a report."""

import csv
import dataclasses
import json
import pathlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import cv2
import numpy as np

from covseg_tf.edge.prediction import Prediction
from covseg_tf.edge.preprocessing import read_image, to_grey
from covseg_tf.edge.segmenter import Segmenter
from covseg_tf.triage.report import render_report

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
_OWN = ("report.csv", "report.json", "report.html")
# Marks `masks/` as ours: only then may --force empty it.
_MASK_NOTE = "ABOUT.txt"
_MASK_TEXT = (
    "Masks written by covseg triage: 0 background, 255 lung or infection, one pair\n"
    "per image at its own size. A new run with --force replaces this folder.\n"
)
_FIELDS = (
    "file",
    "involved_percent",
    "involved_percent_right",
    "involved_percent_left",
    "flags",
    "error",
    "lung_mask",
    "infection_mask",
)


@dataclasses.dataclass(frozen=True)
class TriageRow:
    """One line of the worklist.

    Attributes:
        file: Path as given.
        involved_percent: Percent of lung involved, `None` if not scored.
        involved_percent_right: Of the patient's right lung.
        involved_percent_left: Of the patient's left lung.
        flags: Reasons for missing numbers, see `Prediction.flags`.
        error: Why the file could not be read, or an empty string.
        lung_mask: Path of the mask within the output folder, or empty.
        infection_mask: Likewise.
        overlay: JPEG bytes `(plain, overlay)` for the report, or `None`.
    """

    file: str
    involved_percent: float | None = None
    involved_percent_right: float | None = None
    involved_percent_left: float | None = None
    flags: tuple[str, ...] = ()
    error: str = ""
    lung_mask: str = ""
    infection_mask: str = ""
    overlay: tuple[bytes, bytes] | None = dataclasses.field(default=None, repr=False)

    def to_dict(self) -> dict:
        """Returns the row as the JSON report holds it."""
        row = {name: getattr(self, name) for name in _FIELDS}
        row["flags"] = list(self.flags)
        for name in _FIELDS[1:4]:
            row[name] = None if row[name] is None else round(row[name], 2)
        return row


def find_images(paths: Iterable[str | pathlib.Path]) -> list[pathlib.Path]:
    """Lists image files: files as given, folders searched to any depth.

    Raises:
        ValueError: If a path does not exist, or there is no image at all.
    """
    found: dict[pathlib.Path, None] = {}
    for path in map(pathlib.Path, paths):
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
            found.update(dict.fromkeys(p for p in inside if p.is_file()))
        elif path.exists():
            found[path] = None
        else:
            raise ValueError(f"{path}: no such file or folder.")
    if not found:
        raise ValueError(
            "no image found; give files, or folders that hold "
            f"{', '.join(s[1:] for s in SUFFIXES)} files."
        )
    return list(found)


def prepare_output(out: str | pathlib.Path, force: bool = False) -> pathlib.Path:
    """Makes the output folder; never overwrites unless told to.

    Raises:
        ValueError: If the folder is not empty and `force` is not set, its
            `masks` holds files that no earlier report wrote, or it cannot be
            made.
    """
    out = pathlib.Path(out)
    masks = out / "masks"
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: is a file; give a folder for the report.")
    if out.is_dir() and any(out.iterdir()) and not force:
        raise ValueError(
            f"{out}: exists and is not empty; give another folder or add --force."
        )
    if masks.exists() and not (masks / _MASK_NOTE).is_file():
        raise ValueError(
            f"{masks}: was not written by an earlier report and is left alone; "
            "give another folder."
        )
    try:
        masks.mkdir(parents=True, exist_ok=True)
        (masks / _MASK_NOTE).write_text(_MASK_TEXT, "utf-8")
    except OSError as error:
        raise ValueError(f"{out}: cannot be written ({error.strerror}).") from None
    for path in masks.glob("*.png"):
        path.unlink()
    for name in _OWN:
        (out / name).unlink(missing_ok=True)
    return out


def triage(
    paths: Sequence[str | pathlib.Path],
    out: str | pathlib.Path,
    segmenter: Segmenter,
    force: bool = False,
    on_row: Callable[[TriageRow], None] | None = None,
) -> list[TriageRow]:
    """Scores images and leaves a worklist, masks and a report.

    Writes `report.csv`, `report.json`, `report.html` (self-contained) and
    `masks/*.png` (0 and 255, at each image's own size) into `out`.

    Args:
        paths: Image files, and folders to search.
        out: Output folder; must be new or empty unless `force`.
        segmenter: What scores them.
        force: Replace an earlier report in `out`; other files stay.
        on_row: Called with each row as it is done.

    Returns:
        Rows, most involved first, then those without a number. A file that
        cannot be read is a row with its `error`.

    Raises:
        ValueError: If a path does not exist, there is no image, or `out` may
            not be used.
    """
    # Masks of an earlier report inside a searched folder are no images.
    masks = pathlib.Path(out).resolve() / "masks"
    files = [p for p in find_images(paths) if masks not in p.resolve().parents]
    if not files:
        raise ValueError(f"no image found besides the masks of {out}.")
    out = prepare_output(out, force)
    rows = []
    for row in _score(files, out, segmenter):
        rows.append(row)
        if on_row is not None:
            on_row(row)
    rows.sort(key=_urgency)
    _write_csv(out / "report.csv", rows)
    model = {"name": segmenter.bundle.name, "metrics": segmenter.bundle.metrics}
    document = {
        "format": "covseg_triage",
        "format_version": 1,
        "model": segmenter.bundle.name,
        "threshold": segmenter.bundle.threshold,
        "images": [row.to_dict() for row in rows],
    }
    text = json.dumps(document, indent=2, ensure_ascii=True)
    (out / "report.json").write_text(text + "\n", "utf-8")
    (out / "report.html").write_text(render_report(rows, model), "utf-8")
    return rows


def _score(files, out, segmenter) -> Iterator[TriageRow]:
    taken: set[str] = set()
    for path in files:
        try:
            grey = to_grey(read_image(path))
            prediction = segmenter.predict(grey)
        except (ValueError, OSError, MemoryError, cv2.error) as error:
            reason = str(error).removeprefix(f"{path}: ") or type(error).__name__
            yield TriageRow(file=str(path), error=reason)
            continue
        stem = _unique(path.stem, taken)
        lung, infection = prediction.lung_mask, prediction.infection_mask
        names = [f"masks/{stem}_{kind}.png" for kind in ("lung", "infection")]
        for name, mask in zip(names, (lung, infection), strict=True):
            _write_png(out / name, mask)
        yield TriageRow(
            file=str(path),
            involved_percent=prediction.involvement.total,
            involved_percent_right=prediction.involvement.right,
            involved_percent_left=prediction.involvement.left,
            flags=prediction.flags,
            lung_mask=names[0],
            infection_mask=names[1],
            overlay=draw_overlay(grey, prediction),
        )


def draw_overlay(
    grey: np.ndarray, prediction: Prediction, side: int = 512
) -> tuple[bytes, bytes]:
    """Returns JPEG bytes of the plain image and of the overlay.

    Lungs are outlined in cyan, infection is shaded in amber with an outline,
    so that it reads without colour too.

    Args:
        grey: uint8 `(rows, columns)`.
        prediction: What was found in it.
        side: Longest side of the pictures in pixels. Defaults to 512.
    """
    factor = min(1.0, side / max(grey.shape))
    size = (
        max(1, round(grey.shape[1] * factor)),
        max(1, round(grey.shape[0] * factor)),
    )
    plain = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    canvas = cv2.cvtColor(plain, cv2.COLOR_GRAY2BGR)
    lung, infection = (
        cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        for mask in (prediction.lung_mask, prediction.infection_mask)
    )
    amber, cyan = (0, 160, 255), (230, 210, 0)
    shade = np.where(infection[..., None] > 0, np.array(amber, np.float32), canvas)
    canvas = (0.62 * canvas + 0.38 * shade).astype(np.uint8)
    for mask, colour in ((infection, amber), (lung, cyan)):
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, contours, -1, colour, 1, cv2.LINE_AA)
    quality = [cv2.IMWRITE_JPEG_QUALITY, 85]
    return tuple(
        cv2.imencode(".jpg", picture, quality)[1].tobytes()
        for picture in (plain, canvas)
    )


def _urgency(row):
    scored = row.involved_percent is not None
    return (not scored, bool(row.error), -(row.involved_percent or 0.0), row.file)


def _unique(stem, taken):
    name, number = stem, 1
    while name.lower() in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name.lower())
    return name


def _write_png(path, mask):
    data = cv2.imencode(".png", mask.astype(np.uint8) * 255)[1]
    path.write_bytes(data.tobytes())


def _write_csv(path, rows):
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, _FIELDS)
        writer.writeheader()
        for row in rows:
            fields = row.to_dict()
            fields["flags"] = " ".join(row.flags)
            fields = {k: "" if v is None else v for k, v in fields.items()}
            fields["file"] = _defuse(fields["file"])
            writer.writerow(fields)


def _defuse(text):
    # A spreadsheet runs a cell that begins like a formula.
    return f"'{text}" if text[:1] in "=+-@\t\r" else text
