"""Measure everything that a model card states: scores, calibration, failures.

    python -m benchmarks.frontier report MODEL --data DIR --external DIR2 --choose \\
        --out FOLDER

MODEL is whatever `covseg evaluate` takes: a bundle, .keras, .tflite, .onnx or a
SavedModel. DIR has a split to report on (Val), and with --choose one to train on: a
tenth of it, that which `recipes/xray_edge.py` with seed 0 holds out, chooses the
thresholds. DIR2 is a data set of other hospitals; several may be given. FOLDER
receives report.json (for `render_model_card`), report.md, reliability.svg and
rows.csv (one row per image); no pixel of an image. Needs `pip install ".[tf,docs]"`.
Time: 20 seconds for the bundled model and 700 images on a CPU core.
"""

import dataclasses
import json
import os
import pathlib

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from benchmarks.frontier.reliability import draw_reliability, load_matplotlib
from covseg_tf.commands.target import check_target
from covseg_tf.data import list_splits, read_samples, split_samples
from covseg_tf.deploy import load_predictor
from covseg_tf.deploy.bundle import protocol_table, render_sections
from covseg_tf.deploy.calibration import read_training_samples
from covseg_tf.evaluation import report_sets, score_set, write_rows
from covseg_tf.options import argument, command, option

VALIDATION_SHARE, SEED = 0.1, 0  # of recipes/xray_edge.py
TITLES = {"covid_qu_ex": "COVID-QU-Ex", "general_blockchain": "General Blockchain"}
NOTES = {
    "general_blockchain": (
        "Chest X-rays from publications, of various pneumonias, drawn by radiologists. "
        "Two conventions differ from those of the training data: lungs include what is "
        "behind the heart, and the opacities of every pneumonia are drawn, not those "
        "of COVID-19 alone. Both can be expected to lower the scores."
    )
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    model: str = argument("as `covseg evaluate` takes it")
    data: pathlib.Path = option("the data set's folder")
    split: str = option("reported on", "Val")
    external: tuple[pathlib.Path, ...] = option("other data sets", (), metavar="DIR")
    choose: bool = option("thresholds, on images held out of Train", False)
    threshold: float | None = option("without it the model's", None)
    limit: int | None = option("images of each set, at equal steps", None)
    cases: int = option("worst of each kind", 5)
    out: pathlib.Path = option("new folder")


def title_of(folder):
    name = folder.resolve().name
    return TITLES.get(name, name)


def check(options):
    check_target(options.out)
    load_matplotlib()
    if options.cases < 0 or (options.limit is not None and options.limit < 1):
        raise ValueError(
            "--cases must be 0 or more and --limit at least 1. Received: "
            f"{options.cases}, {options.limit}"
        )
    if options.threshold is not None and not 0 < options.threshold < 1:
        raise ValueError(f"--threshold must be in (0, 1). Received {options.threshold}")


def read_sets(options):
    """Returns the set reported on, the external ones, and the held-out one or None."""
    titles = [title_of(folder) for folder in options.external]
    if len(set(titles)) < len(titles):
        raise ValueError(f"--external names one data set twice: {', '.join(titles)}")
    own = read_samples(options.data, options.split)
    external = [read_samples(folder) for folder in options.external]
    held_out = None
    if options.choose:
        if not list_splits(options.data):
            raise ValueError(
                f"{options.data}: has no splits, so none to choose the thresholds on; "
                "leave out --choose."
            )
        training = read_training_samples(options.data)
        held_out = split_samples(training, VALIDATION_SHARE, SEED)[1]
        chosen_on = {sample.image.resolve() for sample in held_out}
        for folder, samples in zip(
            (options.data, *options.external), (own, *external), strict=True
        ):
            both = chosen_on & {sample.image.resolve() for sample in samples}
            if both:
                raise ValueError(
                    f"{folder}: {len(both)} of the images to report on are those that "
                    "--choose would choose on; report on another split."
                )
    return own, external, held_out


def thin(samples, limit):
    count = min(limit or len(samples), len(samples))
    return [samples[i * len(samples) // count] for i in range(count)]


def measure(options):
    own, external, held_out = read_sets(options)
    predictor = load_predictor(options.model)
    threshold = options.threshold or predictor.threshold

    def score(samples, title):
        samples = thin(samples, options.limit)
        return score_set(predictor, samples, predictor.spec, threshold, title)

    scored = score(own, f"{title_of(options.data)}, split {options.split}")
    others = [
        score(samples, title_of(folder))
        for samples, folder in zip(external, options.external, strict=True)
    ]
    held_out = held_out and score(
        held_out, f"{title_of(options.data)}, held out of Train"
    )
    report = {
        "model": predictor.name,
        "height": predictor.spec.height,
        "width": predictor.spec.width,
    } | report_sets(scored, others, held_out, options.cases)
    for summary, folder in zip(report["sets"][1:], options.external, strict=True):
        summary["note"] = NOTES.get(folder.resolve().name, "")
    return report, [scored, *others]


def to_text(report):
    own = report["sets"][0]
    return (
        f"# Report: {report['model']}\n\n"
        f"Written by `python -m benchmarks.frontier report`. {own['title']}: "
        f"{own['images']} images, on the network's grid of "
        f"{report['height']}x{report['width']}, threshold {own['threshold']:g}, no "
        "post-processing; means over images.\n\n"
        f"{protocol_table(own)}\n\n"
        "![Stated probability against observed frequency](reliability.svg)\n\n"
        f"{render_sections(report)}"
    )


def run(options):
    check(options)
    report, scored = measure(options)
    options.out.mkdir(parents=True)
    text = json.dumps(report, indent=2, allow_nan=False)
    (options.out / "report.json").write_text(text + "\n")
    (options.out / "report.md").write_text(to_text(report))
    draw_reliability(report["calibration"], options.out / "reliability.svg")
    rows = [{"set": of.title} | row for of in scored for row in of.rows]
    write_rows(options.out / "rows.csv", rows, digits=6)
    print(protocol_table(report["sets"][0]))
    print(f"\nReport, rows and plot: {options.out}")


main = command("frontier report", __doc__, Options, run)
