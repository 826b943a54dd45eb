#!/usr/bin/env python
"""Train the X-ray network on films of many hospitals, from ImageNet to its bundle.

    python recipes/xray.py --data DIR --out RUN [--network xray_nano]

DIR holds the folders `covid_qu_ex`, `ralo`, `nih_rsna`, `tb` and `kermany_lungs`;
of those with a split only `train` is read. RUN receives, per stage, log.csv, backup/
and end.weights.h5; then evaluation_*.csv, NETWORK.keras and NETWORK/, the bundle that
`covseg triage --model RUN/NETWORK` runs. After a kill, the same command goes on.

What is learnt from what: `covseg_tf.data.read_hospital_films`. Readers' extents are
intervals for a map of their own, a scale and an offset of the same logits. Lungs that
nobody drew are drawn by the bundled `xray`. Films lose what tells their hospital
(`source_blind_augmentation`), and one in ten is photographed. A tenth of the films sets
threshold, temperature and the readers' scale.

`--quick` is a run of about a minute that only shows that everything works.
"""

import dataclasses
import sys
from typing import NamedTuple

import keras

from covseg_tf.data import (
    film_augmentation,
    make_dataset,
    read_covid_qu_ex,
    read_hospital_films,
    split_samples,
    strong_chest_augmentation,
)
from covseg_tf.deploy import finish_bundle, tflite_predictor
from covseg_tf.deploy.bundle import XRAY_LICENSE, hospitals_card
from covseg_tf.edge import PreprocessingSpec, load_bundle
from covseg_tf.models import DualFlowSegmenter
from covseg_tf.options import command, option
from covseg_tf.training import (
    RunOptions,
    compile_segmenter,
    draw_pseudo_lungs,
    fit_segmenter,
    float32_copy,
    recalibrate_batch_norm,
    resume_epoch,
    set_up,
    warmup_cosine,
    with_readers_map,
)


class Stage(NamedTuple):
    side: int  # pixels
    epochs: int
    learning_rate: float  # at its peak


STAGES = (
    Stage(128, 12, 1.2e-3),
    Stage(192, 6, 1e-3),
    Stage(256, 2, 6e-4),
    Stage(192, 5, 1.2e-3),
    Stage(256, 7, 8e-4),
)
QUICK_STAGES = (Stage(64, 1, 1e-3), Stage(64, 1, 1e-3))
VALIDATION_SHARE = 0.1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(RunOptions):
    network: str = option("which network", "xray", choices=("xray", "xray_nano"))
    imagenet: str = option(".pth file; 'imagenet': the installed one", "imagenet")
    batch_size: int = option("images per step", 16)


def build(options, side, first):
    """The network; and with it, of the same logits, the map as readers draw it."""
    network = DualFlowSegmenter.from_preset(
        options.network,
        (side, side, 1),
        encoder_weights=options.imagenet if first else None,
        side_outputs=(),
    )
    return network, with_readers_map(network)


def train(options, stages, parts):
    end = None
    for number, stage in enumerate(stages, start=1):
        spec = PreprocessingSpec(stage.side, stage.side)
        run_dir = options.out / f"stage_{number}"
        network, model = build(options, stage.side, first=end is None)
        if end is not None:
            model.load_weights(end)
        end = run_dir / "end.weights.h5"
        if end.is_file():
            model.load_weights(end)
            continue
        print(f"Stage {number}: {stage}", flush=True)
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
            if part != "test"
        }
        steps = stage.epochs * (len(parts["train"]) // options.batch_size)
        rate = warmup_cosine(stage.learning_rate, steps)
        compile_segmenter(model, rate, 0.02, options.jit_compile or "auto")
        fit_segmenter(
            model, *data.values(), run_dir, stage.epochs, "val_loss", "min", verbose=2
        )
        films = parts["train"], spec, options.batch_size
        recalibrate_batch_norm(
            model, make_dataset(*films, training=True, augmentation=lambda data: data)
        )
        model.save_weights(end)
    # The mean of the last two ends at full size leaves more healthy films alone.
    full = [n for n, stage in enumerate(stages, start=1) if stage.side == spec.height]
    ends = []
    for number in full[-2:]:
        model.load_weights(options.out / f"stage_{number}" / "end.weights.h5")
        ends.append(model.get_weights())
    model.set_weights([sum(of) / len(ends) for of in zip(*ends, strict=True)])
    return network, model.get_layer("infection_readers"), spec


def run(options):
    bundle = options.out / options.network
    if bundle.exists():
        raise ValueError(f"{bundle}: already there; give another --out.")
    films, stages = read_hospital_films(options.data), STAGES
    test = read_covid_qu_ex(options.data / "covid_qu_ex", "Val")
    if options.quick:
        stages, films = QUICK_STAGES, films[:: max(1, len(films) // 60)]
        test = test[:: max(1, len(test) // 12)]
    set_up(options)
    bundled = load_bundle("xray")
    draw = tflite_predictor(bundled.model, bundled.preprocessing)
    lungs = options.out / "lungs"
    films = draw_pseudo_lungs(draw, films, bundled.preprocessing, lungs)
    train_films, held_out = split_samples(films, VALIDATION_SHARE, options.seed)
    parts = {"train": train_films, "validation": held_out, "test": test}
    print({part: len(films) for part, films in parts.items()}, flush=True)
    network, style, spec = train(options, stages, parts)
    if keras.backend.backend() != "tensorflow":
        print("To quantize, the same command with KERAS_BACKEND=tensorflow.")
        return
    network = float32_copy(network).inference_model()

    def card(metrics, outline, report):
        size = network.count_params()
        return hospitals_card(options.network, size, parts, metrics, outline, report)

    finish_bundle(
        bundle,
        network,
        (float(style.scale), float(style.offset)),
        spec,
        parts,
        card,
        XRAY_LICENSE,
        "recipes/xray.py",
    )
    print(f"Bundle: {bundle}")


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
