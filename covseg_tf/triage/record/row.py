"""One line of the worklist."""

import dataclasses
import math
import types
import typing
from typing import Any

_TUPLES = ("flags", "notes")
_ROUNDED = (
    "involved_percent",
    "involved_percent_right",
    "involved_percent_left",
    "lung_ml",
    "infection_ml",
    "change_percent",
)


@dataclasses.dataclass(frozen=True)
class TriageRow:
    """One line of the worklist.

    A number is `None` where there is none or it would be a guess. Paths are
    within the output folder and empty where nothing was written.

    Attributes:
        file: What the worklist calls it, `Source.name`.
        kind: `"film"` or `"volume"`; `"film"` too if it could not be read.
        involved_percent: Percent of lung involved: of the projected lung area
            of a film, of the lung volume of a CT volume.
        involved_percent_right: Of the patient's right lung.
        involved_percent_left: Of the patient's left lung.
        extent: Extent 0 to 8, the sum of both lungs: what readers would say, or,
            of a model that does not know their scale, the score of the outline.
        extent_right: 0 to 4, the patient's right lung.
        extent_left: 0 to 4, the patient's left lung.
        zones: Zones involved, 0 to 6.
        zone_percents: Percent involved by zone, keys such as `"right_upper"`.
        zone_threshold: Percent above which a zone counts as involved.
        lung_ml: Millilitres of lung found in a volume.
        infection_ml: Millilitres of infection found in a volume.
        slices: Slices of a volume.
        shown_slice: The slice of the picture, counted from 1: that with most
            infection.
        rows: Rows of the image in its file.
        columns: Columns of the image in its file.
        flags: Reasons for missing numbers, keys of `FLAG_TEXTS`.
        notes: What was done to it, keys of `NOTE_TEXTS` or plain text.
        error: Why it could not be read, or an empty string.
        lung_mask: Its PNG; of a volume, the folder of its slices.
        infection_mask: Likewise.
        overlay: JPEG of the image with what was found.
        dicom_seg: DICOM Segmentation.
        dicom_overlay: DICOM Secondary Capture of the overlay.
        finished: When it was done, ISO 8601 in UTC.
        identity: Whose film it is, as `covseg_tf.imaging.dicom.identity` reads it, if
            that was asked for and is known.
        change_percent: `involved_percent` less that of the patient's film before, in
            percent of lung; only with an `identity`.
    """

    file: str
    kind: str = "film"
    involved_percent: float | None = None
    involved_percent_right: float | None = None
    involved_percent_left: float | None = None
    extent: float | None = None
    extent_right: float | None = None
    extent_left: float | None = None
    zones: int | None = None
    zone_percents: dict[str, float] | None = None
    zone_threshold: float | None = None
    lung_ml: float | None = None
    infection_ml: float | None = None
    slices: int | None = None
    shown_slice: int | None = None
    rows: int | None = None
    columns: int | None = None
    flags: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error: str = ""
    lung_mask: str = ""
    infection_mask: str = ""
    overlay: str = ""
    dicom_seg: str = ""
    dicom_overlay: str = ""
    finished: str = ""
    identity: dict[str, str] | None = None
    change_percent: float | None = None

    @property
    def is_scored(self) -> bool:
        """Whether it has a number; what has none is shown without paint."""
        return self.involved_percent is not None

    def to_dict(self, decimals: int | None = 2) -> dict[str, Any]:
        """Returns the row as the JSON report holds it.

        Args:
            decimals: Of percentages and millilitres, `None` for all. Defaults to 2.
        """
        row = {field.name: getattr(self, field.name) for field in _FIELDS}
        if self.identity is None:
            del row["identity"], row["change_percent"]  # only where asked for
        for name in _ROUNDED:
            if name in row:
                row[name] = _rounded(row[name], decimals)
        for name in _TUPLES:
            row[name] = list(row[name])
        if self.zone_percents is not None:
            row["zone_percents"] = {
                zone: _rounded(value, decimals)
                for zone, value in self.zone_percents.items()
            }
        return row

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> "TriageRow":
        """Returns the row that `to_dict` wrote.

        Args:
            fields: All its entries.

        Raises:
            TypeError: If an entry is unknown, of another type or no number, or
                `file` is missing.
        """
        tuples = {name: tuple(map(str, fields[name])) for name in _TUPLES}
        row = cls(**(fields | tuples))
        for name, kinds in _KINDS.items():
            if not isinstance(getattr(row, name), kinds):
                raise TypeError(f"{name}: {getattr(row, name)!r}")
        numbers = [getattr(row, name) or 0 for name in _ROUNDED]
        numbers += (row.zone_percents or {}).values()
        if not all(map(math.isfinite, numbers)):
            raise TypeError("a number that is none")
        if not all(isinstance(x, str) for x in (row.identity or {}).values()):
            raise TypeError("an identity that is none")
        return row


def _kinds(hint):
    """Classes that a field may be of; a float may be a whole number in JSON."""
    parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    kinds = [typing.get_origin(part) or part for part in parts]
    return (*kinds, int) if float in kinds else tuple(kinds)


def _rounded(value, decimals):
    if value is None or decimals is None:
        return value
    return round(float(value), decimals)


_FIELDS = dataclasses.fields(TriageRow)
_KINDS = {key: _kinds(x) for key, x in typing.get_type_hints(TriageRow).items()}
