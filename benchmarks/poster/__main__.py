"""Write the page of the poster's study from its CSVs, and from nothing else.

    python -m benchmarks.poster table
    KERAS_BACKEND=jax python -m benchmarks.poster plan

`table` reads docs/results/poster/: runs.csv, distilled.csv and what they name, which
`recipes/poster_study.py` wrote into RUN/rows; packed.csv of `recipes/pack_images.py`;
plan.csv and parts.csv of `plan`. It writes docs/results/poster.md.
What was not run is said, with its command.
"""

import dataclasses
import pathlib
import sys

from benchmarks.ablation.__main__ import poster_table, section
from benchmarks.ablation.scores import NETWORKS, TITLES, missing_runs, read_runs
from benchmarks.tables import read_csv
from covseg_tf.options import command, group, option

RESULTS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "results"
EPOCHS, MINUTES, FILMS, SLICES = 60, 8, 1546, 340  # of the plan; all four rows
# TFLOP/s of an 8192x8192 bfloat16 product on random numbers, and TB/s of a large copy
# on the device, as measured elsewhere on such cards.
CARDS = {"H100": (798, 3.0), "H200": (788, 4.3)}
HEAD = """\
# The poster's own network

Written by `python -m benchmarks.poster table` from the CSVs in [poster/](poster):

    python recipes/pack_images.py --data DATA --out packed/images.npz --limit-mb 38
    python recipes/poster_study.py --packed packed/images.npz --out RUN --minutes 8
    python -m benchmarks.poster table --rows RUN/rows

`co_era_net`, ConvNeXt-Small at 256x256, with what the poster varies: attention and lung
supervision; bfloat16 and XLA on the JAX backend. The X-ray rows see COVID-19 films
alone, as the poster's did.
"""
NOT_RUN = """\
**Not run**: no GPU was to be had. The commands above run it on one; the same commands
with `--side 32` and `--quick` rehearse it on a CPU, which
`tests/test_poster_study.py` does.
"""
PARITY = """\
The rows here and on the poster differ in split and budget: read them down, not across.
"""


def results(folder):
    groups = read_runs(folder)
    runs = {r["row"] + r["modality"]: r for r in read_csv(folder / "runs.csv")}
    lines = [f"- {text}" for text in missing_runs(groups)]
    lines = ["Of the table not run:", "", *lines, ""] if lines else []
    lines += ["## What a step took", "", *steps_table(runs.values()), ""]
    for modality, title in TITLES.items():
        lines += [f"## {title}", "", *poster_table(modality), "", PARITY]
        for (of, test_set), networks in groups.items():
            if of == modality:
                lines += section(test_set, networks)
    if (folder / "distilled.csv").is_file():
        lines += ["## Teacher and student", "", *distilled(folder), ""]
    return lines


def steps_table(runs):
    lines = [
        "| network | device | encoder | epochs | ms a step | of it to augment | images "
        "a second | GFLOP a step | share of the measured peak |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for run in runs:
        ms, batch = float(run["step_ms"]), int(run["batch_size"])
        lines.append(
            f"| {TITLES.get(run['modality'], run['modality'])}, "
            f"{NETWORKS.get(run['row'], run['row'])} | {run['device']} | "
            f"{run['encoder']} | {run['epochs']} | {ms:.1f} | "
            f"{float(run['batch_ms']):.1f} | {1e3 * batch / ms:.0f} | "
            f"{float(run['gflop_per_step']):.1f} | "
            f"{100 * float(run['peak_share']):.1f} % of "
            f"{float(run['peak_tflops']):.2f} TFLOP/s |"
        )
    return lines


def distilled(folder):
    lines = [
        "| network | test set | with infection | infection Dice | lung Dice, all |",
        "|---|---|---|---|---|",
    ]
    for run in read_csv(folder / "distilled.csv"):
        rows = read_csv(folder / run["rows_file"])
        lesions = [r for r in rows if int(r["infection_mask_pixels"])]
        dice = sum(float(r["infection_dice"]) for r in lesions) / len(lesions)
        lung = sum(float(r["lung_dice"]) for r in rows) / len(rows)
        lines.append(
            f"| {run['row']} | {run['test_set']} | {len(lesions)} | {dice:.4f} | "
            f"{lung:.4f} |"
        )
    return lines


def plan(folder):
    rows = read_csv(folder / "plan.csv")
    work = sum(float(r["step_gflop"]) for r in rows) / len(rows)
    images = EPOCHS * len(rows) * (FILMS + SLICES)
    rate = images / (60 * MINUTES)
    lines = [
        "## What it takes",
        "",
        "Operations per image, as XLA counts the traced forward pass (`python -m "
        "benchmarks.poster plan`), a multiplication and an addition being two; a "
        "training step has about three times as many:",
        "",
        "| network | parameters | forward, GFLOP | a training step, GFLOP |",
        "|---|---|---|---|",
        *(
            f"| {NETWORKS[r['row']]} | {int(r['parameters']):,} | "
            f"{float(r['forward_gflop']):.1f} | {float(r['step_gflop']):.1f} |"
            for r in rows
        ),
        "",
        f"{EPOCHS} epochs of four rows over {FILMS:,} films and {SLICES} slices are "
        f"{images:,} images; in {MINUTES} minutes {rate:.0f} a second, "
        f"{rate * work / 1e3:.0f} TFLOP/s. The rows have but part of the time: what "
        "compiling, the teacher, its student and scoring leave, planned as half. As a "
        "share of the bfloat16 matrix peak:",
        "",
        "| card | peak | all of the time | half of it | at 40 % of peak |",
        "|---|---|---|---|---|",
    ]
    for card, (peak, _) in CARDS.items():
        share = rate * work / 1e3 / peak
        lines.append(
            f"| {card} | {peak} TFLOP/s | {100 * share:.1f} % | {200 * share:.1f} % | "
            f"{400 * peak / work:.0f} images a second, "
            f"{images * work / 400 / peak:.0f} s in all |"
        )
    return [*lines, "", *where(folder), ""]


def where(folder):
    """Lower bounds of time by part: arithmetic at the peak, bytes at the copy rate."""
    parts = read_csv(folder / "parts.csv")
    peak, copy = CARDS["H100"]
    lines = [
        "Where the time goes, from shapes: the forward pass of one image of "
        "`co_era_net`, every layer reading its inputs and writing its output once. "
        f"Bounds for an H100, {peak} TFLOP/s and {copy} TB/s; a backward pass "
        "has about twice of each. XLA fuses most of the last kind into its neighbours:",
        "",
        "| part | kind | layers | GFLOP | MB | arithmetic, µs | memory, µs |",
        "|---|---|---|---|---|---|---|",
    ]
    bound = fused = pure = 0.0
    for part in parts:
        compute = 1e3 * float(part["gflop"]) / peak
        memory = float(part["mb"]) / copy
        bound += max(compute, memory)
        fused += max(compute, memory) if float(part["gflop"]) else 0.0
        pure += compute
        lines.append(
            f"| {part['part']} | {part['kind']} | {part['layers']} | "
            f"{float(part['gflop']):.2f} | {float(part['mb']):.0f} | {compute:.1f} | "
            f"{memory:.1f} |"
        )
    lines += [
        "",
        f"Were nothing fused, these bounds sum to {bound:.0f} µs an image, "
        f"{100 * pure / bound:.0f} % of the peak at best; were all of the last kind, "
        f"to {fused:.0f} µs, {100 * pure / fused:.0f} %. The step lies between: what "
        "it reaches has to be measured.",
    ]
    return lines


def packed(folder):
    told = read_csv(folder / "packed.csv")[0]
    worked = float(told["decode_cpu_seconds"])
    images = "lossless"
    if told["quality"] != "lossless":
        images = (
            f"WebP at quality {told['quality']}, test images at "
            f"{told['test_quality']}, {float(told['psnr_db']):.1f} dB in the mean; "
            "lossless they would not fit"
        )
    return [
        "## The packed file",
        "",
        f"{told['images']} images with their masks in {float(told['mb']):.1f} MB, of "
        f"which {float(told['mask_mb']):.1f} are masks, lossless. The images: "
        f"{images}. Decoded to memory once, before the first step, in "
        f"{worked:.1f} s of CPU time, {int(told['images']) / worked:.0f} images a "
        "second and core. The file holds the images themselves and "
        "is not published.",
        "",
    ]


def page(folder):
    lines = [HEAD]
    if (folder / "runs.csv").is_file():
        lines += results(folder)
    else:
        lines.append(NOT_RUN)
        for modality, title in TITLES.items():
            lines += [f"## {title}", "", *poster_table(modality), ""]
    for name, write in (("plan.csv", plan), ("packed.csv", packed)):
        if (RESULTS / "poster" / name).is_file():
            lines += write(RESULTS / "poster")
    return "\n".join(lines).rstrip() + "\n"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    rows: pathlib.Path = option("folder of the scores", RESULTS / "poster")
    out: pathlib.Path = option("folder of the page", RESULTS)


def run(options):
    path = options.out / "poster.md"
    path.write_text(page(options.rows), "utf-8")
    print(path)


def count(words):
    from benchmarks.poster import plan as counting  # with JAX, which no page needs

    return counting.main(words)


main = group(
    "poster",
    __doc__,
    {"table": command("poster table", __doc__, Options, run), "plan": count},
)

if __name__ == "__main__":
    sys.exit(main())
