"""Build the study's report from its per-image scores, and from nothing else.

    python -m benchmarks.ablation table
    python -m benchmarks.ablation gates NETWORK.keras DATA --split Val
    python -m benchmarks.ablation networks

`table` reads docs/results/ablation/ (written by recipes/ablation.py) and writes
docs/results/ablation.md and a plot per modality beside it. A few seconds; needs
`pip install ".[tf,docs]"`.
"""

import dataclasses
import pathlib
import sys

import numpy as np

from benchmarks.ablation import gates, sizes
from benchmarks.ablation.plot import draw
from benchmarks.ablation.scores import (
    NETWORKS,
    PAIRS,
    TEST_SETS,
    TITLES,
    VARIANTS,
    all_runs,
    difference,
    missing_runs,
    patients_of,
    read_runs,
)
from covseg_tf.options import command, group, option

RESULTS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "results"
# The poster's figures: IoU, Dice, MAE, mean F, maximum F.
POSTER = {
    "xray": {
        "baseline": (0.6446, 0.7488, 0.0428, 0.7594, 0.7833),
        "lung_region": (0.6640, 0.7660, 0.0412, 0.7643, 0.7890),
        "region_fusion_attention": (0.6736, 0.7711, 0.0411, 0.7683, 0.7989),
    },
    "ct": {
        "baseline": (0.5094, 0.6521, 0.0099, 0.6500, 0.6866),
        "lung_region": (0.5512, 0.7262, 0.0077, 0.6862, 0.7485),
        "region_fusion_attention": (0.6553, 0.7945, 0.0050, 0.7984, 0.8373),
    },
}
HEAD = """\
# The ablation, measured here

Written by `python -m benchmarks.ablation table` from the scores of every
image in [ablation/](ablation), which `recipes/ablation.py` wrote:

    python recipes/ablation.py --modality xray --data COVID_QU_EX \\
        --external GENERAL_BLOCKCHAIN --seeds 0 1 --out RUN
    python recipes/ablation.py --modality ct --data COVID_19_CT_SEG --out RUN \\
        --epochs 24 --fine-epochs 6

into `RUN/rows`, the variants at the end by the same commands with `--networks
NAME`.

Four networks that differ in attention and lung supervision alone, over
`EdgeEncoder` (random weights), each trained with one recipe and one budget
on 2 CPU cores."""
READING = """\
X-ray networks saw COVID-19 films only, as the poster's did: no negative.
Each network is scored per image at 256x256, threshold 0.5, no post-processing. A
cell is the mean over seeds ± the standard deviation over seeds; lung Dice is
over all images in either protocol, and the baseline gives no lung map.
Differences are paired by image, over images with infection, the seeds averaged
first; 10,000 bootstrap resamples. An interval is over images (or patients) for
the networks as trained: other seeds would add to it.

The poster's own figures were had with another encoder (ConvNeXt-Small,
ImageNet), other splits and another budget: read them down, row against row,
not across. A caution: mean Dice cannot exceed 2 IoU / (1 + IoU) of the mean
IoU when both come from the same masks, and its CT rows 2 and 3 do; the deviation
of its CT row 2 F-score repeats the maximum."""


def cell(values, digits=4):
    values = np.asarray(values)
    if np.isnan(values).all():
        return "–"
    spread = f" ± {values.std(ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{spread}"


def score_table(networks, protocol):
    lines = [
        "| network | seeds | IoU | Dice | MAE | mean F | max F | lung Dice |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, title in NETWORKS.items():
        runs = networks[name]
        if not runs:
            lines.append(f"| {title} | 0 | not run | | | | | |")
            continue
        columns = zip(*(run.table_row(protocol) for run in runs), strict=True)
        cells = " | ".join(cell(column) for column in columns)
        lines.append(f"| {title} | {len(runs)} | {cells} |")
    return lines


def poster_table(modality):
    lines = [
        "| the poster's own | IoU | Dice | MAE | mean F | max F |",
        "|---|---|---|---|---|---|",
    ]
    for name, figures in POSTER[modality].items():
        lines.append(
            f"| *{NETWORKS[name]}* | {' | '.join(f'{f:.4f}' for f in figures)} |"
        )
    return lines


def difference_table(networks):
    by_patient = patients_of(networks) is not None
    heads = ["difference of infection Dice", "seeds", "mean", "95 % by image"]
    heads += ["95 % by patient"] if by_patient else []
    heads += ["images better", "images"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for first, second in PAIRS:
        found = difference(networks, first, second)
        if found is None:
            continue
        of, seeds = found
        cells = [f"{NETWORKS[first]} less {NETWORKS[second]}", str(seeds)]
        cells += [f"{of.mean:+.4f}", f"{of.low:+.4f} to {of.high:+.4f}"]
        if by_patient:
            drawn = difference(networks, first, second, by_patient=True)[0]
            cells.append(f"{drawn.low:+.4f} to {drawn.high:+.4f}")
        cells += [f"{100 * of.better:.0f} %", str(of.images)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def spread_over_images(networks):
    """Standard deviation over images, which a mean over seeds does not show."""
    parts = []
    for name, title in NETWORKS.items():
        if networks[name]:
            stds = [r.scores("infection_dice", "lesions").std() for r in networks[name]]
            parts.append(f"{title} {np.mean(stds):.3f}")
    return ", ".join(parts)


def section(test_set, networks):
    run = all_runs(networks)[0]
    lesions, images = len(run.lesions()), len(run.rows)
    lines = [
        f"### {TEST_SETS.get(test_set, test_set)}",
        "",
        f"Lesions protocol, {lesions} images:",
        "",
        *score_table(networks, "lesions"),
        "",
    ]
    if lesions == images:
        lines += [
            f"All-images protocol: the same {images}, every image has infection.",
            "",
        ]
    else:
        lines += [
            f"All-images protocol, {images} images, an empty mask left empty scoring "
            "1 and painted 0:",
            "",
            *score_table(networks, "all_images"),
            "",
        ]
    lines += [
        "Standard deviation of Dice over images (lesions, mean over seeds): "
        f"{spread_over_images(networks)}.",
        "",
        *difference_table(networks),
        "",
    ]
    patients = patients_of(networks)
    if patients is not None:
        lines += [
            f"By patient: the images are of {len(set(patients))} patients, and whole "
            "patients are drawn. With few patients that interval is a hint, and "
            "too narrow.",
            "",
        ]
    return lines


def variants_section(groups, variants):
    """Each variant against Region Fusion Attention, on the seeds of both."""
    lines = [
        "## What was tried to help Region Fusion Attention",
        "",
        "Same recipe and budget; the difference is to `+ region fusion attention` with",
        "the same seeds: infection Dice, lesions, paired by image.",
        "",
        "| variant | test set | seeds | Dice | difference | 95 % by image |",
        "|---|---|---|---|---|---|",
    ]
    for key, networks in variants.items():
        base = groups.get(key, {}).get("region_fusion_attention", [])
        both = networks | {"region_fusion_attention": base}
        for name, runs in networks.items():
            found = difference(both, name, "region_fusion_attention")
            if found is None:
                continue
            of, seeds = found
            common = {run.facts["seed"] for run in base}
            dice = [
                run.scores("infection_dice", "lesions").mean()
                for run in runs
                if run.facts["seed"] in common
            ]
            lines.append(
                f"| {VARIANTS[name]} | {TEST_SETS.get(key[1], key[1])} | {seeds} | "
                f"{cell(dice)} | {of.mean:+.4f} | {of.low:+.4f} to {of.high:+.4f} |"
            )
    return [*lines, ""]


def training_text(groups):
    lines = []
    for modality, title in TITLES.items():
        runs = [
            run
            for (m, _), networks in groups.items()
            if m == modality
            for run in all_runs(networks)
        ]
        if not runs:
            continue
        facts = runs[0].facts
        seconds = {(r.facts["row"], r.facts["seed"]): r.facts["seconds"] for r in runs}
        hours = sum(map(float, seconds.values())) / 3600
        lines.append(
            f"- {title}: {facts['train_images']} images to train, "
            f"{facts['validation_images']} to choose the epoch; epochs at 128x128 + at "
            f"256x256: {facts['epochs']}; {hours:.1f} hours for all runs, on cores "
            "shared with other work."
        )
    return lines


def report(groups, variants=None):
    runs = [run for networks in groups.values() for run in all_runs(networks)]
    parameters = {run.facts["row"]: int(run.facts["parameters"]) for run in runs}
    sizes = [f"{NETWORKS[n]} {parameters[n]:,}" for n in NETWORKS if n in parameters]
    missing = missing_runs(groups)
    lines = [
        f"{HEAD} Parameters: {', '.join(sizes)}.",
        "",
        *training_text(groups),
        "",
        READING,
        "",
        *(["Missing runs:", ""] if missing else ["Missing runs: none."]),
        *(f"- {text}" for text in missing),
        "",
    ]
    for modality, title in TITLES.items():
        sets = {t: n for (m, t), n in groups.items() if m == modality}
        if not sets:
            continue
        lines += [f"## {title}", "", *poster_table(modality), ""]
        for test_set, networks in sets.items():
            lines += section(test_set, networks)
        lines += [
            f"![Dice per image and paired differences, {title}]"
            f"(ablation_{modality}.svg)",
            "",
        ]
    if variants:
        lines += variants_section(groups, variants)
    return "\n".join(lines)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    rows: pathlib.Path = option("folder of the scores", RESULTS / "ablation")
    out: pathlib.Path = option("folder of the page", RESULTS)


def run(options):
    groups = read_runs(options.rows)
    text = report(groups, read_runs(options.rows, VARIANTS))
    options.out.mkdir(parents=True, exist_ok=True)
    for modality in dict.fromkeys(modality for modality, _ in groups):
        sets = {t: n for (m, t), n in groups.items() if m == modality}
        draw(sets, options.out / f"ablation_{modality}.svg")
    path = options.out / "ablation.md"
    findings = options.rows / "findings.md"
    if findings.is_file():  # what was learnt, in words
        # It lies one folder deeper than the page; its links go along.
        text += "\n" + findings.read_text("utf-8").replace("](../", "](")
    path.write_text(text, "utf-8")
    print(path)


main = group(
    "ablation",
    __doc__,
    {
        "table": command("ablation table", __doc__, Options, run),
        "gates": gates.main,
        "networks": sizes.main,
    },
)

if __name__ == "__main__":
    sys.exit(main())
