"""Dice against latency: these networks and the peers that libraries publish.

    python -m benchmarks.frontier train --data COVID_QU_EX --out RUN \\
        --imagenet efficientnet-lite0-57934424.pth
    python -m benchmarks.frontier score --data COVID_QU_EX --out RUN \\
        --models xray=xray
    python -m benchmarks.frontier measure --out RUN/results/latency.csv \\
        --models miniseg_sized=RUN/miniseg_sized/model.tflite xray_bundled=xray ...
    python -m benchmarks.frontier table --results docs/results/frontier

`train` takes each network through one recipe: the same data, seed, augmentation
and epochs, at 128x128 and then at 256x256; exports it to full-integer TFLite and
scores that on every image of Val. After a kill the same command goes on where it
stopped. `score` scores bundles as they ship. Both write RUN/results, whose CSV files
are what is committed to docs/results/frontier; `measure` adds latency.csv there, and
`table` rebuilds docs/results/frontier.md and .svg from them and from nothing else.

    python -m benchmarks.frontier report MODEL --data DIR --external DIR2 --choose \\
        --out FOLDER

`report` measures what a model card states; `--help` after it says more.

Needs `pip install ".[tf,hub,docs]"`. `train --quick` is a run of about a minute
for each network.
"""

import dataclasses
import pathlib
import sys

from covseg_tf.options import command, group, option

RESULTS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "results" / "frontier"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    data: pathlib.Path = option("COVID-QU-Ex")
    out: pathlib.Path = option("folder of the run")
    networks: tuple[str, ...] = option("names; without it all", ())
    epochs_128: int = option("at 128x128", 30)
    epochs_256: int = option("at 256x256", 10)
    imagenet: pathlib.Path | None = option("EfficientNet-Lite0's .pth file", None)
    seed: int = option("of weights, order and augmentation", 0)
    quick: bool = option("about a minute for each network, an epoch each", False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    data: pathlib.Path = option("COVID-QU-Ex")
    out: pathlib.Path = option("folder of the run")
    models: tuple[str, ...] = option("bundles", metavar="NAME=PATH")


@dataclasses.dataclass(frozen=True, kw_only=True)
class MeasureOptions:
    models: tuple[str, ...] = option("files or bundles", metavar="NAME=PATH")
    out: pathlib.Path = option("latency.csv")
    rounds: int = option("through all models", 7)
    runs: int = option("inferences in a round", 30)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TableOptions:
    results: pathlib.Path = option("folder of the CSV files", RESULTS)


def pairs(words):
    """Returns the dict of NAME=PATH words."""
    models = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not (name and equals and path) or name in models:
            raise ValueError(
                f"--models takes NAME=PATH words, each name once. Received: {word!r}"
            )
        models[name] = path
    return models


def run_train(options):
    from benchmarks.frontier.networks import NETWORKS
    from benchmarks.frontier.train import Run, run_training

    epochs = (1, 1) if options.quick else (options.epochs_128, options.epochs_256)
    run = Run(
        data=options.data,
        out=options.out,
        networks=options.networks or tuple(NETWORKS),
        epochs=epochs,
        imagenet=options.imagenet,
        seed=options.seed,
        quick=options.quick,
    )
    return 1 if run_training(run) else 0


def run_score(options):
    from benchmarks.frontier.train import run_scoring

    run_scoring(options.data, options.out, pairs(options.models))


def run_measure(options):
    from benchmarks.frontier.measure import measure_models
    from benchmarks.frontier.networks import find
    from benchmarks.machine import cpu_name
    from covseg_tf.evaluation import write_rows

    models = pairs(options.models)
    for name in models:
        find(name)
    if options.out.exists():
        raise ValueError(f"{options.out}: already there; give another --out.")
    rows = measure_models(models, options.rounds, options.runs)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_rows(options.out, [row | {"cpu": cpu_name()} for row in rows])
    print(options.out)


def run_table(options):
    from benchmarks.frontier.page import write_page
    from benchmarks.frontier.plot import draw
    from benchmarks.frontier.results import read_results

    results = read_results(options.results)
    page = options.results.with_suffix(".md")
    write_page(page, results)
    draw(results, options.results.with_suffix(".svg"))
    print(page)


def run_report(words):
    from benchmarks.frontier.report import main

    return main(words)


main = group(
    "frontier",
    __doc__,
    {
        "train": command("frontier train", __doc__, TrainOptions, run_train),
        "score": command("frontier score", __doc__, ScoreOptions, run_score),
        "measure": command("frontier measure", __doc__, MeasureOptions, run_measure),
        "table": command("frontier table", __doc__, TableOptions, run_table),
        "report": run_report,
    },
)

if __name__ == "__main__":
    sys.exit(main())
