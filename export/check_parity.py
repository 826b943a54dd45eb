#!/usr/bin/env python
"""Prove that artifacts are the Keras model they were exported from.

    python export/check_parity.py MODEL.keras ARTIFACT... --data DIR --split Val

ARTIFACT is a .tflite or .onnx file, a bundle, or a SavedModel's version folder. On
every image of the split: largest and mean difference of a probability, and Dice of
both flows. Then operators, XNNPACK's share, size, latency on 1 and 2 threads and
peak memory, each measured in a process of its own, all artifacts in turn so that
drift hits all alike; the median round counts. Prints a table; --json FILE writes
everything. Exit code 1 if an artifact is past the tolerance, 2 for bad input.
Time: 30 seconds an artifact, for 429 images on 2 CPU cores.
"""

import dataclasses
import json
import os
import pathlib
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from covseg_tf.commands.target import check_target
from covseg_tf.data import load_sample, read_samples
from covseg_tf.deploy import (
    ParityReport,
    check_parity,
    describe_artifact,
    load_predictor,
    measure_artifact,
    parity_table,
    saved_model_predictor,
)
from covseg_tf.deploy.whole_file import write_whole
from covseg_tf.options import argument, command, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    model: pathlib.Path = argument("the .keras file")
    artifacts: tuple[str, ...] = argument("what was exported", metavar="ARTIFACT")
    data: str = option("folder of images and masks")
    split: str | None = option("which split; without it all", None)
    limit: int | None = option("images at equal steps", None)
    max_dice_change: float = option("that is tolerated", 0.005)
    max_difference: float | None = option("of a probability; without it any", None)
    loader: str = option("of a SavedModel", "cpp", choices=("cpp", "python"))
    threads: tuple[int, ...] = option("each is measured", (1, 2), nargs="*")
    runs: int = option("timed inferences", 50)
    rounds: int = option("through all artifacts", 3)
    json: pathlib.Path | None = option("file for the whole report", None)


def read_planes(options, spec):
    samples = read_samples(options.data, options.split)
    if options.limit is not None:
        samples = samples[:: max(1, len(samples) // options.limit)][: options.limit]
    pixels, lungs, infections = zip(
        *(load_sample(sample, spec) for sample in samples), strict=True
    )
    return pixels, {"lung": lungs, "infection": infections}


def compare(artifact, description, reference, pixels, masks, options):
    form, size, operators = description
    predictor = (
        saved_model_predictor(artifact, options.loader)
        if form == "saved_model"
        else load_predictor(artifact)
    )
    flows = check_parity(
        reference, predictor, pixels, {flow: masks[flow] for flow in predictor.flows}
    )
    path = pathlib.Path(artifact)
    # A servable's last part is but its version.
    name = f"{path.parent.name}/{path.name}" if form == "saved_model" else path.name
    return ParityReport(name, form, size, flows, operators, ())


def measure_all(reports, options):
    found = [{threads: [] for threads in options.threads} for _ in reports]
    for _ in range(options.rounds):
        for place, report, path in zip(found, reports, options.artifacts, strict=True):
            for threads, measured in place.items():
                measured.append(
                    measure_artifact(path, report.form, threads, options.runs)
                )
    return [
        dataclasses.replace(
            report,
            measurements=tuple(
                sorted(rounds, key=lambda m: m.latency_ms)[len(rounds) // 2]
                for rounds in place.values()
            ),
        )
        for report, place in zip(reports, found, strict=True)
    ]


def check(options):
    if options.json:
        check_target(options.json, "--json")
    counts = {"--rounds": options.rounds, "--runs": options.runs}
    counts |= {"--limit": options.limit} if options.limit is not None else {}
    counts |= {f"--threads {n}": n for n in options.threads}
    for flag, value in counts.items():
        if value < 1:
            raise ValueError(f"{flag} must be at least 1. Received: {value}")


def run(options):
    check(options)
    reference = load_predictor(options.model)
    # Refuses a missing or damaged artifact before the minutes of work.
    described = [describe_artifact(artifact) for artifact in options.artifacts]
    pixels, masks = read_planes(options, reference.spec)
    reports = [
        compare(*pair, reference, pixels, masks, options)
        for pair in zip(options.artifacts, described, strict=True)
    ]
    reports = measure_all(reports, options)
    print(parity_table(reports))
    if options.json:
        document = {
            "model": options.model.name,
            "split": options.split or "all",
            "images": len(pixels),
            "artifacts": [report.to_dict() for report in reports],
        }
        write_whole(options.json, (json.dumps(document, indent=2) + "\n").encode())
    faults = [
        line
        for report in reports
        for line in report.faults(options.max_dice_change, options.max_difference)
    ]
    for line in faults:
        print(f"check_parity.py: {line}", file=sys.stderr)
    return 1 if faults else 0


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
