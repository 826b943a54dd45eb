"""The frontier's CSV files, read back: what the table and the plot are made of."""

import dataclasses
import pathlib

from benchmarks.tables import read_csv

FLOWS = ("lung", "infection")
PROTOCOLS = ("lesions", "all_images")
THREADS = (1, 2)


@dataclasses.dataclass(frozen=True)
class Entry:
    """A network, its scores and its speed.

    Attributes:
        facts: Its line of `networks.csv`, strings.
        scores: Dict from (form, flow, protocol) to its line of `scores.csv`.
        speed: Dict from number of threads to its line of `latency.csv`; empty
            where it was not measured.
        dice: Dict from flow to the int8 Dice of every image, in the order of
            `images.csv`.
    """

    facts: dict
    scores: dict
    speed: dict
    dice: dict

    @property
    def is_bundled(self) -> bool:
        """Whether this is a bundle as it ships, of a schedule of its own."""
        return self.facts["schedule"] == "as bundled"

    @property
    def label(self) -> str:
        """What table and plot call it."""
        return self.facts["title"] + (", as bundled" if self.is_bundled else "")

    def mean_dice(self, flow: str, protocol: str, form: str = "int8") -> float | None:
        """Returns the mean Dice over images, or `None` where it was not scored."""
        line = self.scores.get((form, flow, protocol))
        return None if line is None else float(line["dice"])

    def latency(self, threads: int = 1) -> float | None:
        """Returns milliseconds, or `None` where it was not measured."""
        line = self.speed.get(threads)
        return None if line is None else float(line["latency_ms"])


@dataclasses.dataclass(frozen=True)
class Results:
    """All that was measured.

    Attributes:
        entries: The networks, in the order of `networks.csv`.
        lesions: For each image whether it has infection, in the order of
            `images.csv`.
        cpu: The CPU that `latency.csv` names, or `""`.
    """

    entries: list[Entry]
    lesions: list[bool]
    cpu: str


def read_results(folder: pathlib.Path) -> Results:
    """Reads networks.csv, scores.csv, images.csv and, if there, latency.csv.

    Raises:
        ValueError: If a file is missing or empty, or one speaks of a network that
            networks.csv does not have, or lacks one that it has.
    """
    networks = read_csv(folder / "networks.csv")
    names = [line["network"] for line in networks]
    scores = read_csv(folder / "scores.csv")
    images = read_csv(folder / "images.csv")
    path = folder / "latency.csv"
    speed = read_csv(path) if path.is_file() else []
    for file, lines in (("scores.csv", scores), ("latency.csv", speed)):
        strange = sorted({line["network"] for line in lines} - set(names))
        if strange:
            raise ValueError(
                f"{folder / file}: has {', '.join(strange)}, which networks.csv does "
                "not have. Take all files from the same run."
            )
    entries = []
    for facts in networks:
        name = facts["network"]
        lines = [line for line in scores if line["network"] == name]
        if not lines or f"{name}_infection" not in images[0]:
            raise ValueError(
                f"{folder}: networks.csv has {name}, which scores.csv or images.csv "
                "does not have. Take all files from the same run."
            )
        entries.append(
            Entry(
                facts,
                {(x["form"], x["flow"], x["protocol"]): x for x in lines},
                {int(x["threads"]): x for x in speed if x["network"] == name},
                {f: [float(image[f"{name}_{f}"]) for image in images] for f in FLOWS},
            )
        )
    lesions = [int(image["infection_mask_pixels"]) > 0 for image in images]
    return Results(entries, lesions, speed[0]["cpu"] if speed else "")


def frontier(entries: list[Entry], protocol: str) -> list[Entry]:
    """Returns the entries that none is at once as fast and better than.

    Args:
        entries: Of one schedule; those without a latency are left out.
        protocol: Of the infection Dice.

    Returns:
        The entries, from fast to slow: each has a higher Dice than all faster ones.
    """
    timed = [entry for entry in entries if entry.latency() is not None]
    best, kept = -1.0, []
    for entry in sorted(
        timed, key=lambda e: (e.latency(), -e.mean_dice("infection", protocol))
    ):
        if entry.mean_dice("infection", protocol) > best:
            best = entry.mean_dice("infection", protocol)
            kept.append(entry)
    return kept
