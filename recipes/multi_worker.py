#!/usr/bin/env python
"""Train the edge network on several devices, or on several hosts together.

    KERAS_BACKEND=jax python recipes/multi_worker.py --data DIR --out RUN

takes all devices of this host. For several processes, on as many hosts or, to
try it, on one:

    export KERAS_BACKEND=jax
    WORKERS="127.0.0.1:12345 127.0.0.1:12346"
    python recipes/multi_worker.py --data DIR --out RUN --workers $WORKERS --worker 0 &
    python recipes/multi_worker.py --data DIR --out RUN --workers $WORKERS --worker 1

DIR has the layout of the COVID-QU-Ex download and is the same on every host. The
batch is shared: each process computes its part of it. RUN/worker_N receives
log.csv and best.keras of process N. After a kill of all, the same commands go on
where they stopped.

Time: not measured on GPUs. `--quick` takes a minute on 2 CPU cores for both
processes and only shows that everything works. Expected: each process ends with
"weights equal on all workers", and the losses in log.csv begin as those of one
process alone, to about 5 digits: rounding differs, and AdamW enlarges it.
Memory: every process reads and augments whole batches, of which it keeps its part.
"""

import dataclasses
import sys

from covseg_tf.data import make_dataset, read_covid_qu_ex, split_samples
from covseg_tf.edge import PreprocessingSpec
from covseg_tf.models import DualFlowSegmenter, EdgeEncoder
from covseg_tf.options import command, option
from covseg_tf.training import (
    TrainingOptions,
    compile_segmenter,
    fit_segmenter,
    join_workers,
    resume_epoch,
    same_on_all_workers,
    set_up,
    shard_batches,
    warmup_cosine,
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(TrainingOptions):
    workers: tuple[str, ...] = option("host:port of every process; default: alone", ())
    worker: int = option("number of this process, from 0", 0)
    side: int = option("height and width in pixels", 128)


def read_samples(options):
    samples = read_covid_qu_ex(options.data, "Train")
    if options.quick:
        samples = samples[:: max(1, len(samples) // 40)]
    train, validation = split_samples(samples, 0.2 if options.quick else 0.1)
    # Whole batches only: every device needs its share of each.
    whole = len(validation) // options.batch_size * options.batch_size
    return train, validation[:whole]


def build(options):
    shape = (options.side, options.side, 1)
    if options.quick:  # XLA takes a minute to compile the real one on a CPU
        encoder = EdgeEncoder(shape, 4, (4, 6), (0, 0))
        return DualFlowSegmenter(encoder, separable=True)
    return DualFlowSegmenter.from_preset("xray", shape)


def run(options):
    if options.quick:
        options = dataclasses.replace(options, epochs=1, side=64)
    distribution = join_workers(options.workers, options.worker)
    set_up(options)
    train, validation = read_samples(options)
    run_dir = options.out / f"worker_{distribution.data_shard_id}"
    if not same_on_all_workers(resume_epoch(run_dir)):
        raise ValueError(
            f"{run_dir}: the workers stopped after different epochs. Copy the "
            "folder of one over those of the others, or give a new --out."
        )
    spec = PreprocessingSpec(options.side, options.side)
    training = make_dataset(
        train,
        spec,
        options.batch_size,
        training=True,
        seed=options.seed,
        first_epoch=resume_epoch(run_dir),
    )
    held_out = make_dataset(validation, spec, options.batch_size)
    model = build(options)
    steps = options.epochs * (len(train) // options.batch_size)
    compile_segmenter(
        model,
        warmup_cosine(options.learning_rate, steps),
        weight_decay=0.01,
        jit_compile=options.jit_compile or "auto",
    )
    first = distribution.data_shard_id == 0
    fit_segmenter(
        model,
        shard_batches(training, distribution),
        shard_batches(held_out, distribution),
        run_dir,
        options.epochs,
        patience=options.patience or None,
        tensorboard=first,
        verbose=2 if first else 0,
    )
    if not all(same_on_all_workers(weight) for weight in model.get_weights()):
        raise RuntimeError("weights NOT equal on all workers")
    print(
        f"Worker {distribution.data_shard_id} of {distribution.num_processes}, "
        f"{distribution.num_model_replicas} devices: weights equal on all workers"
    )


main = command(__file__, __doc__, Options, run)

if __name__ == "__main__":
    sys.exit(main())
