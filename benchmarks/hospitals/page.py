"""The page of all hospitals, from the rows that `score` wrote."""

import json
import pathlib

import numpy as np

from benchmarks.tables import read_csv
from covseg_tf.evaluation import (
    Estimate,
    area_under_roc,
    bootstrap,
    mean_error,
    pearson,
    spearman,
)

DOCS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "results"
RESULTS = DOCS / "hospitals"
UNDER = 5.0  # percent of the lungs, below which a film counts as left healthy
HEAVY_EXTENT, HEAVY_BRIXIA = 4.0, 6.0
# Of `../shared/data`'s README and the sources it names; others' numbers, never ours.
READERS = {
    "RALO extent": "Pearson .895, error .74 (its two readers)",
    "Cohen extent": "Pearson .80 (Cohen et al. 2020)",
    "Brixia": "Pearson .875 (senior and junior)",
    "NIH, text label": "AUROC .77 (CheXNet, trained on 100,000 of them)",
}

HEAD = """\
# Films of other hospitals

What the bundles do on films that none of them was trained on, source by source; they
are run as `covseg triage` runs them, guard included. Written by
`python -m benchmarks.hospitals page` from one CSV row per film in
`docs/results/hospitals/`,
which `python -m benchmarks.hospitals score --data DIR` makes. Intervals: 95 %, 2,000
bootstrap samples of films. A film that the guard does not score is left out of a
figure and counted in its own column. `first_generation` is the `xray` that shipped
before, trained on COVID-QU-Ex alone; it gave the outline's score as the extent, and so
does `xray_nano`. Research use only.

**In short.** {answer}
"""


def write_page() -> None:
    """Writes docs/results/hospitals.md and its plot."""
    paths = sorted(RESULTS.glob("*.csv"), key=lambda path: (path.stem != "xray", path))
    sets = {path.stem: _Films(read_csv(path)) for path in paths}
    if not sets:
        raise ValueError(f"{RESULTS}: no CSV; run `score` first.")
    tables = [
        _table(title, lines, sets)
        for title, lines in (
            ("Against readers' scores", AGREEMENT),
            ("Sick or healthy", DETECTION),
            ("Outlines", OUTLINES),
        )
    ]
    # What is not reached and what was tried, written by hand beside the rows.
    tried = (RESULTS / "tried.md").read_text("utf-8")
    points, copies = _points(sets), _copies()
    parts = [HEAD.format(answer=_answer(sets)), *tables, points, _worst(sets)]
    parts += [copies, tried]
    (DOCS / "hospitals.md").write_text("\n".join(parts), "utf-8")
    _draw(sets)


class _Films:
    """Columns of the rows, NaN where there is no number."""

    def __init__(self, rows):
        self.rows = rows

    def where(self, *sources, finding=None):
        return _Films(
            [
                row
                for row in self.rows
                if row["source"] in sources
                and (finding is None or row["finding"] in finding)
            ]
        )

    def numbers(self, column):
        return np.array([float(row[column] or "nan") for row in self.rows])

    def pair(self, given, wanted):
        """Two columns of the films that have both, and how many were not scored."""
        first, second = self.numbers(given), self.numbers(wanted)
        asked = ~np.isnan(second)
        scored = asked & ~np.isnan(first)
        return first[scored], second[scored], int((asked & ~scored).sum())


def _agreement(source, label, figure, given="percent"):
    def line(films):
        first, second, left_out = films.where(source).pair(given, label)
        return bootstrap(figure, first, second), left_out

    return line


def _brixia(given):
    def line(films):
        films = films.where("cohen")
        readers = ("brixia_global_senior", "brixia_global_junior")
        mean = sum(films.numbers(reader) for reader in readers) / 2
        found = films.numbers(given)
        asked = ~np.isnan(mean)
        scored = asked & ~np.isnan(found)
        left_out = int((asked & ~scored).sum())
        return bootstrap(pearson, found[scored], mean[scored]), left_out

    return line


def _heavy(films):
    """Films that readers call heavy, left at 0 %."""
    count = total = 0
    for source, label, least in (
        ("ralo", "geographic_extent", HEAVY_EXTENT),
        ("cohen", "geographic_extent", HEAVY_EXTENT),
        ("hannover", "geographic_extent", HEAVY_EXTENT),
        ("cohen", "brixia_global_senior", HEAVY_BRIXIA),
    ):
        percent, wanted, _ = films.where(source).pair("percent", label)
        count += int((percent[wanted >= least] == 0).sum())
        total += int((wanted >= least).sum())
    return f"{count} of {total}", 0


def _auroc(source, sick, healthy, given="extent"):
    def line(films):
        films = films.where(source, finding=(*sick, *healthy))
        found = films.numbers(given)
        is_sick = np.array([row["finding"] in sick for row in films.rows], float)
        scored = ~np.isnan(found)
        estimate = bootstrap(
            lambda scores, wanted: area_under_roc(wanted > 0, scores),
            found[scored],
            is_sick[scored],
        )
        return estimate, int((~scored).sum())

    return line


def _under(source, healthy):
    def line(films):
        percent = films.where(source, finding=healthy).numbers("percent")
        scored = ~np.isnan(percent)
        under = (percent[scored] < UNDER).astype(float)
        return _mean(under), int((~scored).sum())

    return line


def _dice(column, *sources, finding=None, lesions=False):
    def line(films):
        films = films.where(*sources, finding=finding)
        values = films.numbers(column)
        kept = ~np.isnan(values)
        if lesions:
            kept &= films.numbers("infection_pixels") > 0
        return _mean(values[kept]), 0

    return line


def _mean(values):
    return bootstrap(
        lambda given, _: float(given.mean()), values, np.zeros(len(values))
    )


_EXTENT = "geographic_extent"
_NIH_SICK = ("pneumonia (RSNA boxes)",)
_NIH_NOT = ("abnormal, no opacity (RSNA readers)", "normal (RSNA readers)")
AGREEMENT = {
    "RALO extent, Pearson of the extent given": _agreement(
        "ralo", _EXTENT, pearson, "extent"
    ),
    "RALO extent, mean error of the extent given": _agreement(
        "ralo", _EXTENT, mean_error, "extent"
    ),
    "RALO extent, Pearson of percent": _agreement("ralo", _EXTENT, pearson),
    "RALO extent, Spearman of percent": _agreement("ralo", _EXTENT, spearman),
    "Cohen extent, Pearson of the extent given": _agreement(
        "cohen", _EXTENT, pearson, "extent"
    ),
    "Cohen extent, Pearson of percent": _agreement("cohen", _EXTENT, pearson),
    "Cohen, Brixia mean of senior and junior, Pearson of the extent": _brixia("extent"),
    "Cohen, Brixia mean of senior and junior, Pearson of percent": _brixia("percent"),
    "Hannover extent, Pearson of the extent given": _agreement(
        "hannover", _EXTENT, pearson, "extent"
    ),
    "Hannover extent, mean error of the extent given": _agreement(
        "hannover", _EXTENT, mean_error, "extent"
    ),
    "Hannover extent, Pearson of percent": _agreement("hannover", _EXTENT, pearson),
    "heavy films (extent 4, Brixia 6 and more) left at 0 %": _heavy,
}
DETECTION = {
    "NIH, RSNA's readers: AUROC of opacity, by the extent": _auroc(
        "nih_rsna", _NIH_SICK, _NIH_NOT
    ),
    "the same, by percent": _auroc("nih_rsna", _NIH_SICK, _NIH_NOT, "percent"),
    "NIH, text label Pneumonia against none: AUROC, by the extent": _auroc(
        "nih_rsna", ("NIH text label: Pneumonia",), ("NIH text label: No_findings",)
    ),
    "NIH, healthy films under 5 %": _under(
        "nih_rsna", ("NIH text label: No_findings", "normal (RSNA readers)")
    ),
    "TB set: AUROC, by the extent": _auroc("tb", ("tuberculosis",), ("normal",)),
    "TB set: AUROC, by percent": _auroc(
        "tb", ("tuberculosis",), ("normal",), "percent"
    ),
    "TB set, healthy films under 5 %": _under("tb", ("normal",)),
    "children: AUROC, by the extent": _auroc(
        "kermany_lungs", ("bacterial pneumonia",), ("normal",)
    ),
    "children: AUROC, by percent": _auroc(
        "kermany_lungs", ("bacterial pneumonia",), ("normal",), "percent"
    ),
    "children, healthy films under 5 %": _under("kermany_lungs", ("normal",)),
    "COVID-QU-Ex Val, Normal under 5 %": _under("covid_qu_ex", ("Normal",)),
}
# Where a reader may draw the line: films of at least this extent are called sick.
POINTS = (0.5, 1.0, 2.0)
POINT_SOURCES = {
    "COVID-QU-Ex Val, COVID-19 against Normal": (
        "covid_qu_ex",
        ("COVID-19",),
        ("Normal",),
    ),
    "NIH, RSNA's readers": ("nih_rsna", _NIH_SICK, _NIH_NOT),
    "NIH, text label": (
        "nih_rsna",
        ("NIH text label: Pneumonia",),
        ("NIH text label: No_findings",),
    ),
    "TB set": ("tb", ("tuberculosis",), ("normal",)),
    "children": ("kermany_lungs", ("bacterial pneumonia",), ("normal",)),
}
OUTLINES = {
    "COVID-QU-Ex Val, infection Dice over lesions": _dice(
        "infection_dice", "covid_qu_ex", lesions=True
    ),
    "COVID-QU-Ex Val, lung Dice": _dice("lung_dice", "covid_qu_ex"),
    "General Blockchain, infection Dice": _dice(
        "infection_dice", "general_blockchain", "general_blockchain_2"
    ),
    "General Blockchain, lung Dice": _dice(
        "lung_dice", "general_blockchain", "general_blockchain_2"
    ),
    "Cohen, lung Dice (V7)": _dice("lung_dice", "cohen"),
    "Hannover, lung Dice (V7)": _dice("lung_dice", "hannover"),
    "children, lung Dice (V7)": _dice("lung_dice", "kermany_lungs"),
    "NIH, share of the painted area inside RSNA's boxes": _dice(
        "in_boxes", "nih_rsna", finding=_NIH_SICK
    ),
}


def _table(title, lines, sets):
    names = list(sets)
    rows = [
        f"## {title}\n",
        "| figure | " + " | ".join(f"`{n}`, films, not scored" for n in names) + " |",
        "|---|" + "---|" * len(names),
    ]
    for name, line in lines.items():
        cells = [_cell(*line(films)) for films in sets.values()]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    if title.startswith("Against"):
        rows += [
            "",
            "Others, for context: "
            + "; ".join(f"{name}: {text}" for name, text in READERS.items())
            + ".",
        ]
    return "\n".join([*rows, ""])


def _points(sets):
    """Sensitivity and specificity of the extent at a few places to draw the line."""
    heads = [f"{name}, extent >= {level:g}" for name in sets for level in POINTS]
    rows = [
        "## Operating points\n",
        "Share of sick films at or above an extent, and of healthy ones below it.",
        "Films that the guard does not score are left out. A line that serves one",
        "source does not serve the next.\n",
        "| source (sick, healthy films scored by `xray`) | " + " | ".join(heads) + " |",
        "|---|" + "---|" * len(heads),
    ]
    for title, (source, *findings) in POINT_SOURCES.items():
        cells, counts = [], None
        for films in sets.values():
            extents = [
                films.where(source, finding=finding).numbers("extent")
                for finding in findings
            ]
            sick, healthy = (values[~np.isnan(values)] for values in extents)
            counts = counts or (len(sick), len(healthy))
            cells += [
                f"{(sick >= level).mean():.2f} / {(healthy < level).mean():.2f}"
                for level in POINTS
            ]
        rows.append(f"| {title} ({counts[0]}, {counts[1]}) | {' | '.join(cells)} |")
    return "\n".join([*rows, ""])


def _copies():
    """What `copies` found, in words."""
    path = RESULTS / "copies.json"
    found = json.loads(path.read_text("utf-8"))
    pairs = found["pairs"]
    named = "; ".join(f"`{test}` and `{learnt}`" for test, learnt in pairs)
    return (
        f"**Copies.** {found['tested']:,} test films were held against "
        f"{found['learnt']:,} that the networks learnt from, by digest and by "
        "`covseg_tf.data`'s fingerprint (256 hash bits, correlation of thumbnails; "
        f"`python -m benchmarks.hospitals copies`): {len(pairs)} pairs"
        + (f": {named}.\n" if pairs else ".\n")
    )


def _cell(value, left_out):
    if isinstance(value, Estimate):
        text = (
            f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f}), {value.images}"
        )
    else:
        text = value
    return f"{text}, {left_out}"


def _answer(sets):
    name, films = next(iter(sets.items()))
    ralo, _ = AGREEMENT["RALO extent, Pearson of the extent given"](films)
    error, _ = AGREEMENT["RALO extent, mean error of the extent given"](films)
    tb, _ = DETECTION["TB set, healthy films under 5 %"](films)
    nih, _ = DETECTION["NIH, RSNA's readers: AUROC of opacity, by the extent"](films)
    own, _ = OUTLINES["COVID-QU-Ex Val, infection Dice over lesions"](films)
    return (
        f"`{name}` outlines lesions of its own compilation at Dice {own.value:.2f}; on "
        f"films of another hospital its extent follows radiologists' with a "
        f"correlation of {ralo.value:.2f} and a mean error of {error.value:.2f} of 8 "
        f"(readers among themselves: .895 and .74), it "
        f"leaves {100 * tb.value:.0f} % of the TB set's healthy films under 5 %, and "
        f"tells opacity on NIH's films with an area under the ROC curve of "
        f"{nih.value:.2f}."
    )


def _worst(sets):
    lines = ["## Where it fails\n"]
    for name, films in sets.items():
        percent, wanted, _ = films.where("ralo").pair("percent", _EXTENT)
        means = [
            f"{percent[(wanted > low) & (wanted <= low + 2)].mean():.0f} %"
            for low in (0, 2, 4, 6)
        ]
        refused = sum(not row["percent"] for row in films.rows)
        lines.append(
            f"- `{name}`: films of RALO whose readers say an extent of up to 2, 4, 6 "
            f"and 8 are painted on {', '.join(means)} of the lungs; readers' 4 means "
            f"25 to 50 %. {refused} of {len(films.rows)} films are not scored."
        )
    return "\n".join([*lines, "", "![Percent against readers](hospitals.svg)", ""])


def _draw(sets):
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "hospitals"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(
        1, len(sets), figsize=(4.2 * len(sets), 3.6), sharey=True, squeeze=False
    )
    for axis, (name, films) in zip(axes[0], sets.items(), strict=True):
        percent, wanted, _ = films.where("ralo").pair("percent", _EXTENT)
        levels = np.unique(np.round(wanted))
        groups = [percent[np.round(wanted) == level] for level in levels]
        axis.boxplot(groups, positions=levels, widths=0.6, showfliers=False)
        axis.plot([0, 8], [0, 100], color="0.7", linewidth=1, zorder=0)
        axis.set(title=f"{name} on RALO", xlabel="extent by radiologists, 0 to 8")
    axes[0][0].set_ylabel("percent of lung painted")
    figure.tight_layout()
    figure.savefig(DOCS / "hospitals.svg", metadata={"Date": None})
    pyplot.close(figure)
