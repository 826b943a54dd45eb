#!/usr/bin/env python
"""Train, score and quantize an edge network on CT slices.

    python recipes/ct_edge.py --data DIR --out RUN [--weights XRAY.keras]

DIR is COVID-19-CT-Seg or MedSeg as published (NIfTI; split here by patient), or a
folder with a manifest whose column `split` says train, validation or test. RUN receives
log.csv, tensorboard/, best.keras, evaluation.csv, metrics.json and RUN/ct_small, the
bundle of the full-integer model. After a kill, the same command goes on where it
stopped.

`--weights FILE` starts from a checkpoint of an X-ray network of the same encoder, such
as RUN/xray.keras of xray.py. `--quick` is a run of about a minute.
"""

import dataclasses
import pathlib
import sys

import keras

from covseg_tf.data import load_sample, make_dataset, read_parts
from covseg_tf.deploy import (
    bundle_metrics,
    export_tflite,
    keras_predictor,
    tflite_predictor,
    write_bundle,
)
from covseg_tf.deploy.bundle import CT_LICENSE, render_model_card
from covseg_tf.edge import PreprocessingSpec
from covseg_tf.evaluation import score_run
from covseg_tf.models import DualFlowSegmenter
from covseg_tf.options import command, option
from covseg_tf.training import (
    TrainingOptions,
    float32_copy,
    recalibrate_batch_norm,
    set_up,
    train_segmenter,
    transfer_weights,
)

NETWORK = "ct_small"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(TrainingOptions):
    epochs: int = option("epochs to train", 30)
    weights: pathlib.Path | None = option("checkpoint to start from", None)

    def __post_init__(self):
        super().__post_init__()
        if self.weights is not None and not self.weights.is_file():
            raise ValueError(f"--weights {self.weights}: no such file")


LIMITS = """\
- It learnt from slices of few patients: an empty map does not mean a healthy slice.
- One axial slice at a time; neither volume nor density is measured.
"""


def license_of(options):
    """That of the data, where it is known: of what `--data` is in our own run."""
    if options.weights is None or "covid_19_ct_seg" not in options.data.resolve().name:
        return {}
    return {"license": CT_LICENSE}


def quantize(options, model, spec, samples):
    train = [load_sample(sample, spec)[0] for sample in samples["train"]]
    network = model.inference_model()
    tflite = export_tflite(network, spec, train)
    predictors = keras_predictor(network, spec), tflite_predictor(tflite, spec)
    metrics = bundle_metrics(*predictors, samples["test"], spec, options.out)
    start = options.weights.name if options.weights else "random weights"
    card = render_model_card(
        name=NETWORK,
        description=(
            "He, Wong and Yoo's parallel lung and infection flows, "
            f"EfficientNet-Lite0 encoder, {model.count_params():,} parameters, "
            "full-integer TFLite. "
            f"Trained by `recipes/ct_edge.py` from {start}, {options.epochs} epochs, "
            f"seed {options.seed}."
        ),
        data=(
            f"{options.data.resolve().name}: {len(samples['train'])} slices to train, "
            f"{len(samples['validation'])} of other patients to choose the epoch. "
            "COVID-19-CT-Seg (Ma et al. 2021) is shared under CC BY-NC-SA. No image is "
            "contained in the model."
        ),
        protocol=(
            f"{len(samples['test'])} slices of patients never trained on. Per slice "
            "on the network's grid, threshold 0.5, no post-processing."
        ),
        metrics=metrics,
        limits=LIMITS,
    )
    write_bundle(
        options.out / NETWORK,
        tflite,
        spec,
        metrics,
        card,
        **license_of(options),
        modality="ct",
        export={
            "quantize": "full_integer",
            "calibration_images": len(train),
            "recipe": "recipes/ct_edge.py",
        },
    )


def run(options):
    bundle = options.out / NETWORK
    if bundle.exists():
        raise ValueError(f"{bundle}: already there; give another --out.")
    samples = read_parts(options.data, options.seed)
    side = 256
    if options.quick:
        side = 64
        options = dataclasses.replace(
            options, epochs=min(options.epochs, 8), batch_size=4
        )
        samples = {part: listed[:24] for part, listed in samples.items()}

    set_up(options)
    spec = PreprocessingSpec(side, side)
    model = DualFlowSegmenter.from_preset(NETWORK, (side, side, 1))
    if options.weights is not None:
        left = transfer_weights(model, options.weights)
        if left:
            print(f"Random at the start, not in {options.weights}: {', '.join(left)}")
    train_segmenter(model, options, spec, samples)
    films = make_dataset(
        samples["train"],
        spec,
        options.batch_size,
        training=True,
        augmentation=lambda data: data,
    )
    recalibrate_batch_norm(model, films)
    model.save(options.out / f"{NETWORK}.keras")
    score_run(keras_predictor(model, spec), samples["test"], spec, options.out)
    if keras.backend.backend() != "tensorflow":
        print("To quantize, the same command with KERAS_BACKEND=tensorflow.")
        return
    quantize(options, float32_copy(model), spec, samples)
    print(f"Bundle: {bundle}")


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
