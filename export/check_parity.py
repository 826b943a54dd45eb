#!/usr/bin/env python
"""Prove that artifacts are the Keras model they were exported from.

    python export/check_parity.py MODEL.keras ARTIFACT... --data DIR --split Val

ARTIFACT is a .tflite or .onnx file, a bundle, or a SavedModel's version folder. On
every image of the split: largest and mean difference of a probability, and Dice of
both flows. Then operators, XNNPACK's share, size, latency on 1 and 2 threads and
peak memory, each measured in a process of its own, all artifacts in turn so that
drift hits all alike; the median round counts. Prints a table; --json FILE writes
everything. Exit code 1 if an artifact is past the tolerance.
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
    if options.limit:
        samples = samples[:: max(1, len(samples) // options.limit)][: options.limit]
    pixels, lungs, infections = zip(
        *(load_sample(sample, spec) for sample in samples), strict=True
    )
    return pixels, {"lung": lungs, "infection": infections}


def compare(artifact, reference, pixels, masks, options):
    form, size, operators = describe_artifact(artifact)
    predictor = (
        saved_model_predictor(artifact, options.loader)
        if form == "saved_model"
        else load_predictor(artifact)
    )
    flows = check_parity(
        reference, predictor, pixels, {flow: masks[flow] for flow in predictor.flows}
    )
    name = pathlib.Path(artifact).name if form != "saved_model" else artifact
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


def main(arguments=None):
    options = parse(arguments)
    try:
        if options.json and options.json.exists():
            raise ValueError(f"{options.json}: already there; give another --json.")
        reference = load_predictor(options.model)
        pixels, masks = read_planes(options, reference.spec)
        reports = [
            compare(artifact, reference, pixels, masks, options)
            for artifact in options.artifacts
        ]
        reports = measure_all(reports, options)
    except ValueError as error:
        print(f"check_parity.py: {error}", file=sys.stderr)
        return 2
    print(parity_table(reports))
    if options.json:
        document = {
            "model": options.model.name,
            "split": options.split or "all",
            "images": len(pixels),
            "artifacts": [report.to_dict() for report in reports],
        }
        options.json.write_text(json.dumps(document, indent=2) + "\n", "utf-8")
    faults = [
        line
        for report in reports
        for line in report.faults(options.max_dice_change, options.max_difference)
    ]
    for line in faults:
        print(f"check_parity.py: {line}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
