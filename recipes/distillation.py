#!/usr/bin/env python
"""Train the edge network on the masks and on a large network's maps of them.

    python recipes/distillation.py --data DIR --teacher TEACHER.keras --out RUN

DIR is any data set that `covseg data check` knows. TEACHER is a `DualFlowSegmenter`
with a lung and an infection map, for example best.keras of xray_co_era_net.py. The
student takes images of the teacher's size. RUN/student receives log.csv, tensorboard/,
best.keras, which is a plain `DualFlowSegmenter`, evaluation.csv and metrics.json, the
scores on its test part; RUN/teacher the teacher's scores. After a kill, the same
command goes on where it stopped. `--alpha 0` trains the same student without its
teacher: the run to compare with.

Time: that of training the student, and a forward pass of the teacher per step. Expected
score: none is known; only `--quick` was run (half a minute on 2 CPU cores), which only
shows that everything works. Without `--teacher` it first trains a small one.
"""

import dataclasses
import pathlib
import sys

import keras

from covseg_tf.data import read_parts
from covseg_tf.deploy import keras_predictor
from covseg_tf.edge import PreprocessingSpec
from covseg_tf.evaluation import score_run
from covseg_tf.models import DualFlowSegmenter, EdgeEncoder
from covseg_tf.options import command, option
from covseg_tf.training import Distiller, TrainingOptions, set_up, train_segmenter


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(TrainingOptions):
    teacher: pathlib.Path | None = option(".keras file of the large network", None)
    alpha: float = option("share of the teacher's maps in the loss", 0.5)
    temperature: float = option("softens both maps; 1: as they are", 1.0)
    side: int = option("height and width, if the teacher takes any", 256)

    def __post_init__(self):
        super().__post_init__()
        if self.teacher is None and not self.quick:
            raise ValueError("--teacher FILE is needed; only --quick trains its own")
        if self.teacher is not None and not self.teacher.is_file():
            raise ValueError(f"--teacher {self.teacher}: no such file")


def small_network(spec, filters):
    encoder = EdgeEncoder((spec.height, spec.width, 1), 4, filters, (0, 0))
    return DualFlowSegmenter(encoder, separable=True)


def make_teacher(options, samples):
    """The teacher, and the preprocessing that both networks share."""
    if options.teacher is not None:
        teacher = keras.saving.load_model(options.teacher, compile=False)
        height, width = teacher.inputs[0].shape[1:3]
        return teacher, PreprocessingSpec(height or options.side, width or options.side)
    spec = PreprocessingSpec(options.side, options.side)
    teacher = small_network(spec, (16, 24))
    out = options.out / "teacher"
    train_segmenter(teacher, dataclasses.replace(options, out=out), spec, samples)
    return teacher, spec


def make_student(options, spec):
    if options.quick:
        return small_network(spec, (4, 6))
    return DualFlowSegmenter.from_preset("xray", (spec.height, spec.width, 1))


def read(options):
    samples = read_parts(options.data, options.seed)
    if options.quick:
        samples = {
            part: listed[:: max(1, len(listed) // 40)]
            for part, listed in samples.items()
        }
    return samples


def run(options):
    if options.quick:
        options = dataclasses.replace(options, epochs=2, side=64)
    set_up(options)
    samples = read(options)
    teacher, spec = make_teacher(options, samples)
    student = make_student(options, spec)
    distiller = Distiller(student, teacher, options.alpha, options.temperature)
    out = options.out / "student"
    train_segmenter(distiller, dataclasses.replace(options, out=out), spec, samples)

    for name, network in {"teacher": teacher, "student": student}.items():
        print(f"{name}, {network.count_params():,} parameters:")
        predict = keras_predictor(network, spec)
        score_run(predict, samples["test"], spec, options.out / name)


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
