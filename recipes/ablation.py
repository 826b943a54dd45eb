#!/usr/bin/env python
"""Train the poster's ablation rows, with one budget and one recipe for all.

    python recipes/ablation.py --modality xray --data DIR --external DIR2 --out RUN
    python recipes/ablation.py --modality ct --data DIR3 --out RUN \\
        --epochs 24 --fine-epochs 6
    python -m benchmarks.ablation table --rows RUN/rows --out REPORT

X-ray: DIR has the layout of the COVID-QU-Ex download; as on the poster, only
COVID-19 films are trained on; the whole of Val is scored, and DIR2, a folder with
a manifest that is never trained on. CT: COVID-19-CT-Seg or MedSeg as published, or
a folder with a manifest whose splits are train, validation and test; each patient
is in one part.

Four networks that differ in the attention and the lung supervision alone, over one
encoder that 2 CPU cores can train (`EdgeEncoder`, random weights): dense attention
of the poster's form, no side outputs. Each trains at 128x128, then for a few
epochs at 256x256, and is scored at 256x256. RUN/rows receives, per network, seed
and test set, the scores of every image, which is all that the report reads. After
a kill the same command goes on where it stopped; runs that are done are kept.
`--seed` is that of the split.

Time: a network and seed took 9 minutes (X-ray) and 5 (CT), medians, on 2 CPU cores
shared by two runs and other work. Scores: docs/results/ablation.md. `--quick` is a
run of about three minutes.
"""

import csv
import dataclasses
import json
import pathlib
import sys

import keras

from covseg_tf.data import (
    read_covid_qu_ex,
    read_manifest,
    read_parts,
    split_samples,
)
from covseg_tf.deploy import keras_predictor
from covseg_tf.edge import PreprocessingSpec
from covseg_tf.evaluation import evaluate_with_curve, summarize_rows, write_rows
from covseg_tf.models import DualFlowSegmenter, EdgeEncoder, preset_arguments
from covseg_tf.options import command, option
from covseg_tf.training import TrainingOptions, set_up, train_segmenter

ROWS = {
    "baseline": {"attention": "self", "lung_supervision": False},
    "lung_region": {"attention": "self"},
    "region_fusion_attention": {},
    "no_attention": {"attention": "none"},
}
_RELEASED = preset_arguments("co_era_net_as_released")
# What was tried to help Region Fusion Attention; not part of the table.
VARIANTS = {
    "rfa_residual": {"attention_options": {"residual": True}},
    "rfa_open": {"attention_options": {"gate_bias": 2.0}},
    "rfa_released": {"attention_options": _RELEASED["attention_options"]},
    # At 128x128 the lung flow learns alone; at 256x256 it steers.
    "rfa_warm_up": (ROWS["lung_region"], ROWS["region_fusion_attention"]),
}
MONITOR = "val_infection_dice_lesions"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(TrainingOptions):
    modality: str = option("xray or ct", "xray")
    external: pathlib.Path | None = option(
        "X-rays to score only, with a manifest", None
    )
    networks: tuple[str, ...] = option(
        f"which rows; also {', '.join(VARIANTS)}", tuple(ROWS)
    )
    seeds: tuple[int, ...] = option("one run per network and seed", (0, 1, 2))
    epochs: int = option("epochs at 128x128", 16)
    fine_epochs: int = option("epochs at 256x256", 3)
    learning_rate: float = option("peak at 128x128; a third of it at 256x256", 1.5e-3)

    def __post_init__(self):
        super().__post_init__()
        if self.modality not in ("xray", "ct"):
            raise ValueError(f"--modality must be xray or ct, not {self.modality!r}")
        self._at_least("fine_epochs", 1)
        if min(self.seeds) < 0:
            raise ValueError(f"--seeds must be 0 or more, not {min(self.seeds)}")
        unknown = set(self.networks) - {*ROWS, *VARIANTS}
        if unknown:
            raise ValueError(
                f"--networks must be among {', '.join((*ROWS, *VARIANTS))}, "
                f"not {sorted(unknown)}"
            )


def read_splits(options):
    """Training and validation samples, and the test sets by name."""
    if options.modality == "ct":
        parts = read_parts(options.data, options.seed)
        tests = {f"{options.data.resolve().name}_test": parts["test"]}
        return parts["train"], parts["validation"], tests
    covid = [
        s for s in read_covid_qu_ex(options.data, "Train") if s.finding == "COVID-19"
    ]
    train, validation = split_samples(covid, 0.1, options.seed)
    tests = {"covid_qu_ex_val": read_covid_qu_ex(options.data, "Val")}
    if options.external is not None:
        name = options.external.resolve().name
        tests[name] = read_manifest(options.external)
    return train, validation, tests


def build(row, side, stage):
    arguments = (ROWS | VARIANTS)[row]
    if isinstance(arguments, tuple):
        arguments = arguments[stage - 1]
    encoder = EdgeEncoder((side, side, 1), 16, (24, 48, 96, 128))
    return DualFlowSegmenter(encoder, (48, 32, 16), **arguments)


def train(options, row, samples, folder):
    sides = (64, 96) if options.quick else (128, 256)
    stages = (
        (options.epochs, options.learning_rate),
        (options.fine_epochs, options.learning_rate / 3),
    )
    model = None
    for number, (side, (epochs, rate)) in enumerate(
        zip(sides, stages, strict=True), start=1
    ):
        before, model = model, build(row, side, number)
        if before is not None:
            for layer in model.layers:  # by name: a variant may join them otherwise
                layer.set_weights(before.get_layer(layer.name).get_weights())
        of_stage = dataclasses.replace(
            options,
            out=folder / f"stage_{number}",
            epochs=epochs,
            learning_rate=rate,
        )
        spec = PreprocessingSpec(side, side)
        train_segmenter(model, of_stage, spec, samples)
    return model, spec


def score(options, model, spec, tests, row, seed):
    predict = keras_predictor(model, spec)
    for test_set, samples in tests.items():
        stem = f"{options.modality}_{row}_seed{seed}_{test_set}"
        rows, curve = evaluate_with_curve(predict, samples, spec)
        write_rows(options.out / "rows" / f"{stem}_curve.csv", curve, digits=6)
        write_rows(options.out / "rows" / f"{stem}.csv", rows, digits=6)
        dice = summarize_rows(rows)["infection"]["lesions"]["dice"]
        print(f"{stem}: infection Dice (lesions) {dice:.4f}", flush=True)
        yield {
            "test_set": test_set,
            "rows_file": f"{stem}.csv",
            "curve_file": f"{stem}_curve.csv",
        }


def read_csv(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def thin(samples, count):
    return samples[:: max(1, len(samples) // count)]


def check_options(options):
    """One folder holds runs of one budget: what is done there is kept as it is."""
    of_the_run = ("quick", "epochs", "fine_epochs", "batch_size", "learning_rate")
    of_the_run += ("patience", "seed", "mixed_precision")
    given = {name: getattr(options, name) for name in of_the_run}
    for name in ("data", "external"):
        path = getattr(options, name)
        given[name] = path and path.resolve().name
    path = options.out / f"{options.modality}_options.json"
    if not path.is_file():
        options.out.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(given, indent=2) + "\n")
        return
    before = json.loads(path.read_text())
    changed = [name for name in given if given[name] != before.get(name)]
    if changed:
        raise ValueError(
            f"{options.out} has runs with other options: "
            + ", ".join(f"{n} was {before.get(n)}, is {given[n]}" for n in changed)
            + ". Give another --out."
        )


def run_one(options, row, seed, parts, tests, folder):
    keras.backend.clear_session()
    options = dataclasses.replace(options, seed=seed)
    set_up(options)
    model, spec = train(options, row, parts, folder)
    logs = [read_csv(folder / f"stage_{n}" / "log.csv") for n in (1, 2)]
    facts = {
        "modality": options.modality,
        "row": row,
        "seed": seed,
        "parameters": model.count_params(),
        "train_images": len(parts["train"]),
        "validation_images": len(parts["validation"]),
        "epochs": f"{options.epochs}+{options.fine_epochs}",
        "seconds": round(sum(float(r["seconds"]) for r in logs[0] + logs[1])),
        "val_infection_dice": max(float(r[MONITOR]) for r in logs[1]),
    }
    return [facts | files for files in score(options, model, spec, tests, row, seed)]


def run(options):
    if options.quick:
        options = dataclasses.replace(options, seeds=(0,), epochs=1, fine_epochs=1)
    training, validation, tests = read_splits(options)
    check_options(options)
    if options.quick:
        training, validation = thin(training, 16), thin(validation, 8)
        tests = {name: thin(samples, 8) for name, samples in tests.items()}
    (options.out / "rows").mkdir(parents=True, exist_ok=True)

    for seed in options.seeds:  # outside, so that every seed is a whole table
        for row in options.networks:
            folder = options.out / f"{options.modality}_{row}_seed{seed}"
            if not (folder / "runs.csv").is_file():
                parts = {"train": training, "validation": validation}
                done = run_one(options, row, seed, parts, tests, folder)
                write_rows(folder / "runs.csv", done)

    runs = []
    for path in sorted(options.out.glob("*_seed*/runs.csv")):
        runs.extend(read_csv(path))
    write_rows(options.out / "rows" / "runs.csv", runs)
    print(f"Scores of every image: {options.out / 'rows'}")


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
