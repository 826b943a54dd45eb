"""What a check of a data set found."""

import dataclasses
import pathlib
import statistics
from collections.abc import Sequence

from covseg_tf.data.sample import Sample
from covseg_tf.edge.printable import printable


@dataclasses.dataclass(frozen=True)
class GroupSummary:
    """The images of one split and finding.

    Attributes:
        split: Name of the split; empty where the data set has none.
        finding: What the data set says of the images.
        images: How many were checked.
        infected: How many have a pixel in the infection mask, of those whose
            masks are sound.
        sizes: `"COLUMNSxROWS"` in pixels to the number of images.
        lung_percent: Percent of each image that is lung.
        infection_percent: Percent of the lung mask that the infection mask
            covers, of each infected image.
        outside_percent: Percent of the infection that lies outside the lung
            mask, of each infected image.
    """

    split: str
    finding: str
    images: int
    infected: int
    sizes: dict[str, int]
    lung_percent: tuple[float, ...] = dataclasses.field(repr=False)
    infection_percent: tuple[float, ...] = dataclasses.field(repr=False)
    outside_percent: tuple[float, ...] = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class DataReport:
    """What `check_data` found.

    Attributes:
        root: The data set's folder.
        layout: Which layout it has.
        samples: What was checked, by split (`""` for none).
        groups: One summary per split and finding.
        patients: How many patients the data set names; 0 if it does not say.
        exact_duplicates: Pairs of names in different splits, equal pixels.
        near_duplicates: Pairs of names in different splits, looking equal.
        shared_patients: Patients with images in several splits.
        faults: Sentences that begin with the file's path, duplicates and
            shared patients among them. Empty if nothing is wrong.
        notes: What is worth knowing and no fault.
    """

    root: pathlib.Path
    layout: str
    samples: dict[str, tuple[Sample, ...]] = dataclasses.field(repr=False)
    groups: tuple[GroupSummary, ...]
    patients: int
    exact_duplicates: tuple[tuple[str, str], ...]
    near_duplicates: tuple[tuple[str, str], ...]
    shared_patients: tuple[str, ...]
    faults: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def images(self) -> int:
        """How many images were checked."""
        return sum(group.images for group in self.groups)

    def to_text(self) -> str:
        """Returns the report as lines for a terminal."""
        lines = [f"{self.root}: {self.layout}, {self.images} images", ""]
        lines += _table(self.groups)
        lines += ["", "Percent: median (least to most); infection: of the infected."]
        splits = {group.split for group in self.groups}
        lines.append(f"Patients: {self._patients_text(len(splits))}")
        for kind, pairs in (
            ("Exact", self.exact_duplicates),
            ("Near", self.near_duplicates),
        ):
            where = " (one split only, not searched)" if len(splits) < 2 else ""
            lines.append(f"{kind} duplicates across splits: {len(pairs)}{where}")
        lines += [f"Note: {note}" for note in self.notes]
        lines.append(f"Faults: {len(self.faults)}")
        lines += [f"  {fault}" for fault in self.faults]
        return "\n".join(printable(line) for line in lines)

    def _patients_text(self, splits):
        if not self.patients:
            return "not named by the data set"
        if splits < 2:
            return str(self.patients)
        return f"{self.patients}, in several splits: {len(self.shared_patients)}"


def _table(groups: Sequence[GroupSummary]) -> list[str]:
    head = ("split", "finding", "images", "infected", "size", "lung % of image")
    rows = [(*head, "infection % of lung", "outside lung")]
    for group in groups:
        rows.append(
            (
                group.split or "-",
                group.finding,
                str(group.images),
                str(group.infected),
                _sizes(group.sizes),
                _spread(group.lung_percent),
                _spread(group.infection_percent),
                _outside(group.outside_percent),
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    aligned = []
    for row in rows:
        cells = [
            cell.rjust(width) if place in (2, 3) else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        aligned.append("  ".join(cells).rstrip())
    return aligned


def _sizes(sizes):
    if len(sizes) <= 2:
        return ", ".join(sizes) or "-"
    sides = [tuple(map(int, size.split("x"))) for size in sizes]
    least, most = min(sides), max(sides)
    return f"{len(sizes)} sizes, {least[0]}x{least[1]} to {most[0]}x{most[1]}"


def _spread(values):
    if not values:
        return "-"
    middle, least, most = statistics.median(values), min(values), max(values)
    if len(values) == 1:
        return f"{middle:.1f}"
    return f"{middle:.1f} ({least:.1f} to {most:.1f})"


def _outside(values):
    touched = [value for value in values if value > 0]
    if not touched:
        return "none" if values else "-"
    return f"in {len(touched)} of {len(values)}, up to {max(touched):.1f} %"
