#!/usr/bin/env python
"""Dice against latency: these networks and the peers that libraries publish.

    python benchmarks/frontier.py train --data COVID_QU_EX --out RUN \\
        --imagenet efficientnet-lite0-57934424.pth
    python benchmarks/frontier.py score --data COVID_QU_EX --out RUN \\
        --models xray=xray
    python benchmarks/frontier.py measure --out RUN/results/latency.csv \\
        --models miniseg_sized=RUN/miniseg_sized/model.tflite xray_bundled=xray ...
    python benchmarks/frontier.py table --results docs/results/frontier

`train` takes each network through one recipe: the same data, seed, augmentation
and epochs, at 128x128 and then at 256x256; exports it to full-integer TFLite and
scores that on every image of Val. After a kill the same command goes on where it
stopped. `score` scores bundles as they ship. Both write RUN/results, whose CSV files
are what is committed to docs/results/frontier; `measure` adds latency.csv there, and
`table` rebuilds docs/results/frontier.md and .svg from them and from nothing else.

Needs `pip install ".[tf,hub,docs]"`. `train --quick` is a run of about a minute
for each network.
"""

import argparse
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]


def parse(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="command", required=True)

    train = commands.add_parser("train", allow_abbrev=False)
    train.add_argument("--data", type=pathlib.Path, required=True)
    train.add_argument("--out", type=pathlib.Path, required=True)
    train.add_argument("--networks", help="names, comma-separated (default: all)")
    train.add_argument("--epochs-128", type=int, help="at 128x128 (default: 30)")
    train.add_argument("--epochs-256", type=int, help="at 256x256 (default: 10)")
    train.add_argument("--imagenet", type=pathlib.Path, help="EfficientNet-Lite0's")
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--quick", action="store_true")

    score = commands.add_parser("score", allow_abbrev=False)
    score.add_argument("--data", type=pathlib.Path, required=True)
    score.add_argument("--out", type=pathlib.Path, required=True)
    score.add_argument("--models", nargs="+", required=True, metavar="NAME=PATH")

    measure = commands.add_parser("measure", allow_abbrev=False)
    measure.add_argument("--models", nargs="+", required=True, metavar="NAME=PATH")
    measure.add_argument("--out", type=pathlib.Path, required=True)
    measure.add_argument("--rounds", type=int, default=7)
    measure.add_argument("--runs", type=int, default=30, help="inferences in a round")

    table = commands.add_parser("table", allow_abbrev=False)
    results = ROOT / "docs" / "results" / "frontier"
    table.add_argument("--results", type=pathlib.Path, default=results)
    return parser.parse_args(arguments)


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
    from frontier_networks import NETWORKS
    from frontier_train import Run, run_training

    defaults = (1, 1) if options.quick else (30, 10)
    given = (options.epochs_128, options.epochs_256)
    names = NETWORKS if options.networks is None else options.networks.split(",")
    run = Run(
        data=options.data,
        out=options.out,
        networks=tuple(names),
        epochs=tuple(
            default if epochs is None else epochs
            for epochs, default in zip(given, defaults, strict=True)
        ),
        imagenet=options.imagenet,
        seed=options.seed,
        quick=options.quick,
    )
    return 1 if run_training(run) else 0


def run_score(options):
    from frontier_train import run_scoring

    run_scoring(options.data, options.out, pairs(options.models))


def run_measure(options):
    from frontier_measure import cpu_name, measure_models
    from frontier_networks import find

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
    from frontier_page import write_page
    from frontier_plot import draw
    from frontier_results import read_results

    results = read_results(options.results)
    page = options.results.with_suffix(".md")
    write_page(page, results)
    draw(results, options.results.with_suffix(".svg"))
    print(page)


COMMANDS = {
    "train": run_train,
    "score": run_score,
    "measure": run_measure,
    "table": run_table,
}


def main(arguments=None):
    options = parse(arguments)
    try:
        return COMMANDS[options.command](options) or 0
    except ValueError as error:
        print(f"frontier.py: {' '.join(str(error).split())}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
