#!/usr/bin/env python
"""Train an X-ray network on films of many hospitals, from ImageNet weights.

    python recipes/xray.py --data DIR --out RUN [--network xray_nano]

DIR holds the folders `covid_qu_ex`, `ralo`, `nih_rsna`, `tb` and `kermany_lungs`;
of those with a split only `train` is read. RUN receives, per stage, log.csv,
backup/ and end.weights.h5. After a kill, the same command goes on where it stopped.

What is learnt from what: COVID-QU-Ex's outlines of COVID-19 and its healthy films give
the infection map. Its other pneumonias were not outlined, so they give lungs only.
RALO's extents per lung are intervals for the readers' map, a scale and an offset of
the same logits (`AnnotatorStyle`). Healthy films of NIH, the TB set and children have
an empty mask; sick ones of them at least a share of the lungs. Lungs that nobody drew
are drawn by the bundled `xray`. Films lose what tells their hospital
(`source_blind_augmentation`), and one in ten is photographed.

`--quick` is a run of about a minute that only shows that everything works.
"""

import dataclasses
import pathlib
import sys
from typing import NamedTuple

import keras

from covseg_tf.data import (
    film_augmentation,
    make_dataset,
    read_covid_qu_ex,
    read_samples,
    split_samples,
    strong_chest_augmentation,
)
from covseg_tf.edge import PreprocessingSpec, Segmenter
from covseg_tf.layers import AnnotatorStyle
from covseg_tf.losses import CombinedSegmentationLoss, ExtentLoss
from covseg_tf.metrics import DiceScore
from covseg_tf.models import DualFlowSegmenter, EfficientNetLiteEncoder
from covseg_tf.models.torch_state import imagenet_file, read_torch_state
from covseg_tf.options import command, option
from covseg_tf.training import (
    RunOptions,
    draw_pseudo_lungs,
    fit_segmenter,
    recalibrate_batch_norm,
    resume_epoch,
    set_up,
    warmup_cosine,
)


class Stage(NamedTuple):
    side: int  # pixels
    epochs: int
    learning_rate: float  # at its peak


# Encoder blocks of EfficientNet-Lite0, and widths of the decoder.
NETWORKS = {"xray": (10, (64, 40)), "xray_nano": (6, (48, 24))}
STAGES = (Stage(128, 12, 1.2e-3), Stage(192, 10, 1e-3), Stage(256, 7, 6e-4))
QUICK_STAGES = (Stage(64, 1, 1e-3), Stage(64, 1, 1e-3))
# Share of both lungs that a finding without an outline means at least. NIH's labels
# are mined from reports and wrong for one film in ten, so they ask for less.
LEAST_SHARE = {
    "tuberculosis": 0.08,
    "bacterial pneumonia": 0.08,
    "NIH text label: Pneumonia": 0.04,
}
HEALTHY = {"Normal", "normal", "NIH text label: No_findings"}
WEAK_SOURCES = ("ralo", "nih_rsna", "tb", "kermany_lungs")
VALIDATION_SHARE = 0.1
LOSS_WEIGHTS = {"lung": 1.0, "infection": 1.0, "infection_readers": 4.0}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    network: str = option(f"one of {', '.join(NETWORKS)}", "xray")
    imagenet: str = option(".pth file; 'imagenet': the installed one", "imagenet")
    batch_size: int = option("images per step", 16)

    def __post_init__(self):
        super().__post_init__()
        if self.network not in NETWORKS:
            raise ValueError(
                f"--network must be one of {', '.join(NETWORKS)}. Received: "
                f"{self.network}"
            )


def read_films(data):
    """Training films of all sources, each with what may be learnt from it."""
    films = read_covid_qu_ex(data / "covid_qu_ex", "Train")
    for source in WEAK_SOURCES:
        # V7's masks of children follow another convention than COVID-QU-Ex's.
        films += [
            dataclasses.replace(film, lung_mask=None, source=source)
            for film in read_samples(data / source, "train")
        ]
    return [
        dataclasses.replace(
            film,
            infection_mask=film.infection_mask if film.finding == "COVID-19" else None,
            infection_free=film.finding in HEALTHY,
            least_share=LEAST_SHARE.get(film.finding),
        )
        for film in films
    ]


def build(options, side, first):
    blocks, filters = NETWORKS[options.network]
    encoder = EfficientNetLiteEncoder((side, side, 1), blocks)
    if first:
        encoder.load_imagenet(read_torch_state(imagenet_file(options.imagenet)))
    return DualFlowSegmenter(
        encoder,
        decoder_filters=filters,
        attention="none",
        separable=True,
        global_context=True,
        name=options.network,
    )


def with_readers(network):
    """The network and, of the same logits, the map as readers would draw it."""
    logits = network.get_layer("infection_up").output
    readers = AnnotatorStyle(name="infection_readers")(logits)
    return keras.Model(
        network.inputs[0], {**network.output, "infection_readers": readers}
    )


def compile_model(model, stage, steps):
    model.compile(
        keras.optimizers.AdamW(
            warmup_cosine(stage.learning_rate, steps), weight_decay=0.02
        ),
        loss={
            "lung": CombinedSegmentationLoss(),
            "infection": CombinedSegmentationLoss(),
            "infection_readers": ExtentLoss(),
        },
        loss_weights=LOSS_WEIGHTS,
        weighted_metrics={
            "lung": [DiceScore(name="dice")],
            "infection": [DiceScore(protocol="lesions", name="dice_lesions")],
        },
    )


def train(options, stages, parts):
    end = None
    for number, stage in enumerate(stages, start=1):
        spec = PreprocessingSpec(stage.side, stage.side)
        run_dir = options.out / f"stage_{number}"
        network = build(options, stage.side, first=end is None)
        model = with_readers(network)
        if end is not None:
            model.load_weights(end)
        end = run_dir / "end.weights.h5"
        if end.is_file():
            continue
        data = {
            part: make_dataset(
                films,
                spec,
                options.batch_size,
                training=part == "train",
                seed=options.seed + number,
                first_epoch=resume_epoch(run_dir),
                augmentation=strong_chest_augmentation(),
                film_augmentation=film_augmentation(),
                readers=True,
            )
            for part, films in parts.items()
        }
        steps = stage.epochs * (len(parts["train"]) // options.batch_size)
        compile_model(model, stage, steps)
        print(f"Stage {number}: {stage}", flush=True)
        fit_segmenter(
            model,
            data["train"],
            data["validation"],
            run_dir,
            stage.epochs,
            monitor="val_loss",
            mode="min",
            verbose=2,
        )
        plain = make_dataset(
            parts["train"],
            spec,
            options.batch_size,
            training=True,
            augmentation=lambda data: data,
            readers=True,
        )
        recalibrate_batch_norm(model, plain)
        model.save_weights(end)
    return network, model


def run(options):
    films = read_films(options.data)
    stages = STAGES
    if options.quick:
        stages, films = QUICK_STAGES, films[:: max(1, len(films) // 60)]
    set_up(options)
    segmenter = Segmenter("xray")
    films = draw_pseudo_lungs(
        lambda pixels: {k: v / 256 for k, v in segmenter.run(pixels).items()},
        films,
        segmenter.bundle.preprocessing,
        pathlib.Path(options.out) / "lungs",
    )
    parts = dict(
        zip(
            ("train", "validation"),
            split_samples(films, VALIDATION_SHARE, options.seed),
            strict=True,
        )
    )
    print({part: len(films) for part, films in parts.items()}, flush=True)
    train(options, stages, parts)


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
