"""Writes docs/results/guard.md from what `measure` counted."""

import math
import pathlib

from benchmarks.tables import read_csv
from covseg_tf.edge import guard

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "results"
FOLDER = DOCS / "guard"
TEMPLATE = pathlib.Path(__file__).with_name("page.txt")
HOSPITALS = DOCS / "hospitals" / "xray.csv"
# Flags of the lungs' outline, as `covseg triage` gives them.
FLAGS = (
    *("too_few_greys", "not_a_chest_xray", "film_rotated", "no_lungs_found"),
    *("lung_area_implausible", "lungs_not_separable", "lungs_cut_off"),
)


def write_page() -> None:
    """Writes the page."""
    size = guard.WEIGHTS.stat().st_size
    costs = read_csv(FOLDER / "cost.csv")
    page = TEMPLATE.read_text("utf-8").format(
        hidden=guard.hidden_units(),
        weights=round(size / 1000),
        views=_views(),
        outlines=_outlines(),
        cost=", ".join(
            f"{row['milliseconds']} ms for a {row['picture']}" for row in costs
        ),
    )
    (DOCS / "guard.md").write_text(page, "utf-8")


def _views():
    groups = {}
    for row in read_csv(FOLDER / "views.csv"):
        groups.setdefault(row["group"], {})[row["modality"]] = row
    return "".join(
        f"| {name} | {rows['xray']['pictures']} | {_cell(rows['xray'])} | "
        f"{rows['xray']['film_rotated']} | {_cell(rows['ct'])} |\n"
        for name, rows in groups.items()
    )


def _cell(row):
    count, passed = int(row["pictures"]), int(row["passed"])
    verb = "pass" if row["should"] == "pass" else "flag"
    right = passed if verb == "pass" else count - passed
    low, high = wilson(right, count)
    share = f"{100 * right / count:.1f} %, {100 * low:.1f} to {100 * high:.1f}"
    return f"{verb}: {right} ({share})"


def wilson(hits: int, count: int) -> tuple[float, float]:
    """Returns the 95 % interval of a share (Wilson 1927)."""
    z, share = 1.959964, hits / count
    middle = share + z**2 / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return tuple((middle + s * reach) / (1 + z**2 / count) for s in (-1, 1))


def _outlines():
    films = {}
    for row in read_csv(HOSPITALS):
        films.setdefault(row["source"], []).append(row)
    lines = [f"| films | count | {' | '.join(f'`{f}`' for f in FLAGS)} | no number |"]
    lines.append("|---" * (len(FLAGS) + 3) + "|")
    for source, rows in films.items():
        counts = [sum(flag in row["flags"].split() for row in rows) for flag in FLAGS]
        unscored = sum(row["percent"] == "" for row in rows)
        cells = " | ".join(map(str, (len(rows), *counts, unscored)))
        lines.append(f"| {source} | {cells} |")
    return "\n".join(lines) + "\n"
