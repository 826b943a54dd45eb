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

import argparse
import dataclasses
import json
import os
import pathlib
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

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
from covseg_tf.deploy.command import check_target, run_command, write_whole


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path, help="the .keras file")
    parser.add_argument("artifacts", nargs="+", metavar="ARTIFACT")
    parser.add_argument("--data", required=True, help="folder of images and masks")
    parser.add_argument("--split", help="which split (default: all)")
    parser.add_argument("--limit", type=int, help="images at equal steps")
    parser.add_argument("--max-dice-change", type=float, default=0.005)
    parser.add_argument(
        "--max-difference", type=float, help="of a probability (default: any)"
    )
    parser.add_argument("--loader", choices=("cpp", "python"), default="cpp")
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--runs", type=int, default=50, help="timed inferences")
    parser.add_argument("--rounds", type=int, default=3, help="through all artifacts")
    parser.add_argument("--json", type=pathlib.Path, help="file for the whole report")
    return parser.parse_args(arguments)


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


def main(arguments=None):
    return run_command("check_parity.py", run, parse(arguments))


if __name__ == "__main__":
    sys.exit(main())
