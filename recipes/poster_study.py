#!/usr/bin/env python
"""Train the poster's table on one GPU in minutes, then a teacher and its student.

    python recipes/pack_images.py --data DATA --out FILE
    python recipes/poster_study.py --packed FILE --out RUN --minutes 8
    python -m benchmarks.poster table --rows RUN/rows --out REPORT

Needs JAX, Keras, NumPy and OpenCV; no TensorFlow. On ConvNeXt-Small, 256x256, in
bfloat16, for X-ray (COVID-19 films alone, as on the poster) and CT: the poster's three
rows and no attention; then `co_era_net` as a teacher on all X-ray films, from masks
where somebody drew one and else from readers' extents; then `xray` from its maps.
`--minutes` is divided among them. All images lie on the device, which augments them.

RUN/rows receives after each row the scores of every image, the F-measure at every
threshold, the training curve, the gates, and in runs.csv what a step took and its share
of the card's own bfloat16 matrix peak, measured first. RUN has every network's weights,
student.keras in float32, and teacher_maps.npz of the training films. A row that is done
is kept; one that was cut off goes on at its last backup. Without `--encoder-weights
FILE` (Keras' ConvNeXt-Small, no top, ImageNet) all weights start at random: runs.csv
says so.

Hardware, time and scores: docs/results/poster.md. `--quick` trains slim networks for a
few steps: minutes on a CPU, with a file packed at `--side 32`.
"""

import concurrent.futures
import csv
import dataclasses
import os
import pathlib
import sys
import time

os.environ.setdefault("KERAS_BACKEND", "jax")

import jax
import keras
import numpy as np

from covseg_tf.data import read_packed, write_packed
from covseg_tf.evaluation import score_maps, summarize_rows, with_curve, write_rows
from covseg_tf.models import DualFlowSegmenter, EdgeEncoder
from covseg_tf.options import command, option
from covseg_tf.training import (
    DeviceTrainer,
    float32_copy,
    gate_contrast,
    matmul_tflops,
)

ROWS = {
    "baseline": {"attention": "self", "lung_supervision": False},
    "lung_region": {"attention": "self"},
    "region_fusion_attention": {},
    "no_attention": {"attention": "none"},
}
# Parts of the time: X-rays to train are 4.5 times the slices.
SHARES = {"xray": 3.0, "ct": 0.7, "teacher": 4.0, "student": 1.5}
TEST_SETS = {"ct": ("covid_19_ct_seg_test",)}
FILMS = ("covid_qu_ex_val", "general_blockchain")
COVID = "COVID-19"
STUDENT_RATE = 1.5e-3
TEACHER_SHARE = 0.5  # of the teacher's map in the target where a mask was drawn
GATE_IMAGES = 64


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    packed: pathlib.Path = option("file of pack_images.py")
    out: pathlib.Path = option("folder of the run; an interrupted run is resumed")
    minutes: float = option("what the whole run may take", 8.0)
    networks: tuple[str, ...] = option("which rows", tuple(ROWS))
    epochs: int = option("epochs of a row, if the time is enough", 60)
    batch_size: int = option("images per step", 32)
    learning_rate: float = option("peak of the schedule", 2e-4)
    encoder_weights: pathlib.Path | None = option("ConvNeXt-Small's weights", None)
    seed: int = option("seed of weights, order and augmentation", 0)
    quick: bool = option("slim networks, for a rehearsal on a CPU", False)

    def __post_init__(self):
        for name in ("minutes", "epochs", "batch_size", "learning_rate"):
            if not getattr(self, name) > 0:
                value = getattr(self, name)
                raise ValueError(f"`{name}` must be positive. Received: {value}")
        if set(self.networks) - set(ROWS):
            raise ValueError(f"--networks must be among {', '.join(ROWS)}")


class Study:
    """What the jobs of a run share: time, images, and what is still to do."""

    def __init__(self, options):
        self.options, self.began = options, time.monotonic()
        self.packed, self.rows = read_packed(options.packed), options.out / "rows"
        self.rows.mkdir(parents=True, exist_ok=True)
        self.jobs = [(kind, row) for row in options.networks for kind in ("xray", "ct")]
        self.jobs += [("teacher", "teacher"), ("student", "student")]
        self.left = [job for job in self.jobs if not self.done(job).is_file()]
        self.peak = matmul_tflops(512 if options.quick else 8192)

    def done(self, job):
        return self.options.out / f"{'_'.join(job)}.csv"

    def select(self, *groups, part, finding=None):
        """Numbers of the images of these groups and this part."""
        found = [
            number
            for number, row in enumerate(self.packed.rows)
            if row["group"] in groups and row["part"] == part
            if finding is None or row["finding"] == finding
        ]
        return np.array(found, int)

    def films(self):
        return self.select("xray", "weak", part="train")

    def training(self, kind):
        if kind in ("teacher", "student"):
            return self.films()
        return self.select(kind, part="train", finding=None if kind == "ct" else COVID)

    def data(self, index, targets=None):
        """These images on the device, with their masks, or with `targets`."""
        packed, rows = self.packed, [self.packed.rows[i] for i in index]
        weights = np.ones((len(rows), 2))
        if targets is None:
            targets = 255 * np.stack([packed.lungs[index], packed.infections[index]], 3)
            weights = [r["weights"] for r in rows] * drawn(rows)
        bounds = [row.get("bounds", (0, 1)) for row in rows]
        columns = {"images": packed.images[index], "masks": targets}
        columns |= {"weights": np.float32(weights), "bounds": np.float32(bounds)}
        return {name: keras.ops.convert_to_tensor(x) for name, x in columns.items()}

    def seconds_for(self, kind):
        """This job's part of the time that is left; a sixth of it is to score."""
        left = 60 * self.options.minutes - (time.monotonic() - self.began)
        return 5 / 6 * left * SHARES[kind] / sum(SHARES[k] for k, _ in self.left)

    def score(self, index, maps):
        """Rows, masks and maps of these images, as `with_curve` takes them."""
        for number, i in enumerate(index):
            row = self.packed.rows[i]
            of_image = {k: np.float32(values[number]) for k, values in maps.items()}
            masks = {
                "lung": self.packed.lungs[i],
                "infection": self.packed.infections[i],
            }
            facts = {k: row[k] for k in ("name", "finding", "patient")}
            yield facts | score_maps(masks, of_image), masks, of_image


def drawn(rows):
    return np.array([[row["has_lung"], row["has_infection"]] for row in rows])


def build(options, kind, row, side):
    """One network serves a row's X-ray and CT: each starts from the same weights."""
    shape, arguments = (side, side, 1), dict(ROWS.get(row, {}))
    if kind == "teacher":
        arguments["side_outputs"] = ("scales", "presence")
    if options.quick:
        encoder = EdgeEncoder(shape, 4, (4, 6), depths=(0, 0))
        arguments["attention_options"] = {"dilation_rates": (1,)}
        return DualFlowSegmenter(encoder, (4,), **arguments)
    if kind == "student":
        return DualFlowSegmenter.from_preset("xray", shape)
    weights = options.encoder_weights and str(options.encoder_weights)
    return DualFlowSegmenter.from_preset("co_era_net", shape, weights, **arguments)


def extent_loss(maps, batch):
    """Distance of the involved share of both lungs from the readers' scores."""
    ops = keras.ops
    lung = ops.stop_gradient(maps["lung"])
    involved = ops.sum(maps["infection"] * lung, axis=(1, 2, 3))
    share = involved / (ops.sum(lung, axis=(1, 2, 3)) + 1.0)
    low, high = batch["bounds"][:, 0], batch["bounds"][:, 1]
    return ops.mean(ops.relu(low - share) + ops.relu(share - high))


def trainers_of(study, compiler):
    """Every network that is still to train; all their steps compile at once."""
    options, made = study.options, {}
    few, side = study.data(study.films()[:1]), study.packed.images.shape[1]
    for kind, row in study.left:
        if row not in made:
            keras.utils.set_random_seed(options.seed)
            made[row] = DeviceTrainer(
                build(options, kind, row, side),
                few,
                options.batch_size,
                extra_loss=extent_loss if kind == "teacher" else None,
                compiler=compiler,
            )
    return made


def train(study, trainer, job, data, validation):
    """Trains for the job's part of the time; returns the state and the run's facts."""
    options, (kind, row), count = study.options, job, len(data["images"])
    seconds, gathering = trainer.time_step(data)
    per_epoch = count // options.batch_size
    steps = int(study.seconds_for(kind) / seconds)
    steps = max(1, min(steps, options.epochs * per_epoch))
    every, log, began = max(1, steps // max(1, per_epoch) // 10), [], time.monotonic()

    def on_epoch(entry, state):
        entry["val_infection_dice"] = ""
        if entry["epoch"] % every == 0 or entry["step"] == steps:
            maps = trainer.predict(state, study.packed.images[validation])
            rows = [scored for scored, *_ in study.score(validation, maps)]
            entry["val_infection_dice"] = dice_of(rows)
        log.append(entry)
        write_rows(study.rows / f"{kind}_{row}_seed{options.seed}_log.csv", log, 6)

    rate = STUDENT_RATE if kind == "student" else options.learning_rate
    backup, pause = options.out / f"{kind}_{row}_backup.npz", 0 if options.quick else 60
    state = trainer.fit(data, steps, rate, options.seed, backup, pause, on_epoch)
    tflops = trainer.flops / seconds / 1e12
    facts = {
        "modality": kind,
        "row": row,
        "seed": options.seed,
        "parameters": trainer.model.count_params(),
        "train_images": count,
        "validation_images": len(validation),
        "epochs": round(steps / max(1, per_epoch), 2),
        "steps": steps,
        "batch_size": options.batch_size,
        "seconds": round(time.monotonic() - began, 1),
        "step_ms": 1e3 * seconds,
        "batch_ms": 1e3 * gathering,  # of it to gather and augment
        "gflop_per_step": trainer.flops / 1e9,
        "tflops": tflops,
        "peak_tflops": study.peak,
        "peak_share": tflops / study.peak,
        "device": jax.devices()[0].device_kind,
        "encoder": options.encoder_weights.name
        if options.encoder_weights
        else "random",
        "val_infection_dice": log[-1]["val_infection_dice"] if log else "",
    }
    print(
        f"{kind} {row}: {steps} steps, {facts['epochs']} epochs, "
        f"{1e3 * seconds:.1f} ms and {facts['gflop_per_step']:.1f} GFLOP a step, "
        f"{options.batch_size / seconds:.0f} images a second, "
        f"{100 * facts['peak_share']:.1f} % of the measured peak of "
        f"{study.peak:.2f} TFLOP/s",
        flush=True,
    )
    return state, facts


def dice_of(rows):
    return summarize_rows(rows)["infection"]["lesions"]["dice"]


def report(study, trainer, job, state, facts, validation):
    """Writes a trained network's weights, gates, and scores of every image."""
    (kind, row), out = job, study.options.out
    trainer.put_weights(state)
    trainer.model.save_weights(out / f"{kind}_{row}.weights.h5")
    stem, done = f"{kind}_{row}_seed{facts['seed']}", []
    if row == "region_fusion_attention":
        few = validation[study.packed.infections[validation].any((1, 2))][:GATE_IMAGES]
        images = study.packed.images[few][..., None] / np.float32(255)
        masks = {"lung": study.packed.lungs, "infection": study.packed.infections}
        gates = gate_contrast(
            trainer.model, images, {flow: mask[few] for flow, mask in masks.items()}
        )
        write_rows(study.rows / f"{stem}_gates.csv", gates, 6)
    for test_set in TEST_SETS.get(kind, FILMS):
        index = study.select(test_set, part="test")
        if not len(index):
            continue
        maps = trainer.predict(state, study.packed.images[index])
        scored, curve = with_curve(study.score(index, maps))
        files = {"rows_file": f"{stem}_{test_set}.csv"}
        files["curve_file"] = f"{stem}_{test_set}_curve.csv"
        write_rows(study.rows / files["rows_file"], scored, 6)
        write_rows(study.rows / files["curve_file"], curve, 6)
        print(f"{stem}_{test_set}: infection Dice {dice_of(scored):.4f}", flush=True)
        done.append(facts | {"test_set": test_set} | files)
    write_rows(study.done(job), done, 6)
    (out / f"{kind}_{row}_backup.npz").unlink(missing_ok=True)
    study.left.remove(job)
    for name, kinds in (
        ("runs", ("xray", "ct")),
        ("distilled", ("teacher", "student")),
    ):
        files = [study.done(j) for j in study.jobs if j[0] in kinds]
        found = [r for f in files if f.is_file() for r in read_csv(f)]
        if found:
            write_rows(study.rows / f"{name}.csv", found)


def read_csv(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def write_teacher_maps(study, maps):
    """Both maps of each training film, lung first; WebP, since they are smooth."""
    planes = (
        ({"name": study.packed.rows[i]["name"], "flow": flow, "quality": 80},)
        + (np.rint(255 * maps[flow][number].astype("float32")).astype("uint8"),)
        + (None, None)
        for number, i in enumerate(study.films())
        for flow in ("lung", "infection")
    )
    write_packed(study.options.out / "teacher_maps.npz", planes)


def soft_targets(study):
    """The teacher's maps, and between them and the mask where one was drawn."""
    index, packed = study.films(), study.packed
    maps = read_packed(study.options.out / "teacher_maps.npz").images
    maps = np.moveaxis(maps.reshape(len(index), 2, *maps.shape[1:]), 1, -1)
    rows = [packed.rows[i] for i in index]
    trusted = drawn(rows) & (np.array([row["weights"] for row in rows]) == 1)
    share = np.where(trusted, TEACHER_SHARE, 1.0)[:, None, None].astype("float32")
    masks = np.stack([packed.lungs[index], packed.infections[index]], -1)
    return np.rint(share * maps + (1 - share) * 255 * masks).astype("uint8")


def run(options):
    keras.utils.set_random_seed(options.seed)
    keras.config.set_dtype_policy("mixed_bfloat16")
    study = Study(options)
    with concurrent.futures.ThreadPoolExecutor(max_workers=12) as compiler:
        trainers = trainers_of(study, compiler)
        for job in list(study.left):
            kind, row = job
            if study.seconds_for(kind) <= 0:
                print(f"{kind} {row}: the time is up; the same command goes on here")
                break
            validation = study.select(
                "ct" if kind == "ct" else "xray",
                part="validation",
                finding=None if kind == "ct" else COVID,
            )
            targets = soft_targets(study) if kind == "student" else None
            data = study.data(study.training(kind), targets)
            state, facts = train(study, trainers[row], job, data, validation)
            if kind == "teacher":
                films = study.packed.images[study.films()]
                write_teacher_maps(study, trainers[row].predict(state, films))
            report(study, trainers[row], job, state, facts, validation)
            if kind == "student":
                float32_copy(trainers[row].model).save(options.out / "student.keras")
    print(f"{study.rows}: {(time.monotonic() - study.began) / 60:.1f} minutes in all")


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
