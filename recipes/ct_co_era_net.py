#!/usr/bin/env python
"""Train the authors' network on CT slices.

    python recipes/ct_co_era_net.py --data DIR --out RUN --mixed-precision

DIR is COVID-19-CT-Seg or MedSeg as published (NIfTI; split here by patient), or a
folder with a manifest whose column `split` says train, validation or test. RUN receives
log.csv, tensorboard/, best.keras, evaluation.csv and metrics.json. After a kill, the
same command goes on where it stopped.

ConvNeXt-Small with ImageNet weights (downloaded once; `--encoder-weights FILE` or
`none`), Region Fusion Attention, deep supervision: 74 M parameters, 256x256.
Hardware: a GPU; none was to be had, so neither time, memory nor score is known. The
poster has 0.7945 infection Dice, trained on COVID-19-CT-Seg and tested on MedSeg.
The authors' rate, decay, epochs and batch: `--learning-rate 2e-4 --weight-decay 0
--epochs 100 --patience 0 --batch-size 4`; schedule and augmentation stay ours.
`--quick` trains a slimmer network for a step or two, about a minute on a CPU.
"""

import dataclasses
import sys

from covseg_tf.data import read_parts
from covseg_tf.deploy import keras_predictor
from covseg_tf.edge import PreprocessingSpec
from covseg_tf.evaluation import score_run
from covseg_tf.models import DualFlowSegmenter, EdgeEncoder
from covseg_tf.options import command, option
from covseg_tf.training import TrainingOptions, set_up, train_segmenter


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(TrainingOptions):
    encoder_weights: str = option("imagenet, none or a file", "imagenet")
    epochs: int = option("epochs to train", 60)
    batch_size: int = option("images per step", 16)
    learning_rate: float = option("peak of the schedule", 2e-4)
    weight_decay: float = option("decoupled weight decay", 0.01)
    patience: int = option("stop after so many epochs without gain; 0: never", 15)


def build(options):
    if options.quick:
        encoder = EdgeEncoder((64, 64, 1), 8, (8, 16, 24), depths=(1, 0, 0))
        return DualFlowSegmenter(encoder, (16, 8), side_outputs=("scales",))
    weights = None if options.encoder_weights == "none" else options.encoder_weights
    return DualFlowSegmenter.from_preset("co_era_net", encoder_weights=weights)


def run(options):
    samples = read_parts(options.data, options.seed)
    if options.quick:
        options = dataclasses.replace(
            options, epochs=min(options.epochs, 8), batch_size=4
        )
        samples = {part: listed[:48] for part, listed in samples.items()}

    set_up(options)
    model = build(options)
    spec = PreprocessingSpec(*model.input_shape[1:3])
    best = train_segmenter(model, options, spec, samples, options.weight_decay)
    score_run(keras_predictor(model, spec), samples["test"], spec, options.out)
    print(f"Network: {best}   try: covseg evaluate {best} DATA --split SPLIT --out OUT")


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
