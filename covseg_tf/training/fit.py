"""Compile and fit a dual-flow network, resumable after a kill."""

import pathlib
from collections.abc import Sequence

import keras

from covseg_tf.losses import CombinedSegmentationLoss
from covseg_tf.metrics import DiceScore


def compile_segmenter(
    model: keras.Model, learning_rate, weight_decay: float = 1e-4
) -> None:
    """Compiles with AdamW, and the combined loss and Dice on every flow.

    Args:
        model: A `DualFlowSegmenter`.
        learning_rate: Float or Keras schedule.
        weight_decay: Decoupled weight decay. Defaults to 1e-4.
    """
    flows = [name for name in model.output_names if "_side_" not in name]
    model.compile(
        optimizer=keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay),
        loss={flow: CombinedSegmentationLoss() for flow in flows},
        metrics={
            flow: [DiceScore(), DiceScore(protocol="lesions", name="dice_lesions")]
            for flow in flows
        },
    )


def fit_segmenter(
    model: keras.Model,
    train,
    validation,
    run_dir: str | pathlib.Path,
    epochs: int,
    monitor: str = "val_infection_dice",
    mode: str = "max",
    tensorboard: bool = True,
    verbose: int | str = "auto",
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> pathlib.Path:
    """Runs `model.fit` with logs, the best checkpoint and resumption.

    Called again with the same `run_dir` after a kill, it goes on at the start
    of the epoch that was cut off, optimizer state and schedule included.

    Args:
        model: A compiled model.
        train: Training data for `model.fit`.
        validation: Validation data.
        run_dir: Folder for `log.csv`, `tensorboard/`, `best.keras` and the
            backup; made if missing.
        epochs: Total number of epochs, resumed ones included.
        monitor: What marks the best checkpoint. Defaults to Dice of the
            infection flow over all validation images.
        mode: `"max"` (default) or `"min"`: which end of `monitor` is best.
        tensorboard: Write TensorBoard logs. Defaults to `True`.
        verbose: As in `model.fit`.
        callbacks: More Keras callbacks.

    Returns:
        Path of the best checkpoint, a `.keras` file.
    """
    run_dir = pathlib.Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    best = run_dir / "best.keras"
    checkpoint = keras.callbacks.ModelCheckpoint(
        str(best),
        monitor=monitor,
        mode=mode,
        save_best_only=True,
        initial_value_threshold=_best_so_far(run_dir / "log.csv", monitor, mode),
    )
    callbacks = [
        *callbacks,
        checkpoint,
        keras.callbacks.CSVLogger(str(run_dir / "log.csv"), append=True),
        keras.callbacks.TerminateOnNaN(),
    ]
    if tensorboard:
        callbacks.append(
            keras.callbacks.TensorBoard(str(run_dir / "tensorboard"), write_graph=False)
        )
    # Last, so that an epoch counts as done only once its log line is written.
    callbacks.append(
        keras.callbacks.BackupAndRestore(
            str(run_dir / "backup"), delete_checkpoint=False
        )
    )
    model.fit(
        train,
        validation_data=validation,
        epochs=epochs,
        callbacks=callbacks,
        shuffle=False,  # the dataset shuffles itself
        verbose=verbose,
    )
    return best


def _best_so_far(log, monitor, mode):
    """The best value an interrupted run has logged, so it is not overwritten."""
    if not log.is_file():
        return None
    lines = log.read_text().splitlines()
    if len(lines) < 2 or monitor not in lines[0].split(","):
        return None
    column = lines[0].split(",").index(monitor)
    values = [float(line.split(",")[column]) for line in lines[1:]]
    return min(values) if mode == "min" else max(values)
