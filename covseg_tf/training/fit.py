"""Compile and fit a dual-flow network, resumable after a kill."""

import csv
import json
import pathlib
import time
from collections.abc import Sequence

import keras

from covseg_tf.layers import AnnotatorStyle
from covseg_tf.losses import CombinedSegmentationLoss, ExtentLoss
from covseg_tf.metrics import DiceScore

READERS = "infection_readers"
READERS_WEIGHT = 6.0


def with_readers_map(
    network: keras.Model, scale: float = 0.5, offset: float = 0.0
) -> keras.Model:
    """Returns a network that gives, of the same logits, the map as readers draw it.

    Args:
        network: A `DualFlowSegmenter`; its weights are shared.
        scale: First value of the readers' scale, see `AnnotatorStyle`.
        offset: First value of their offset.

    Returns:
        A functional model with one more output, `"infection_readers"`, by the layer
        of that name.
    """
    logits = network.get_layer("infection_up").output
    readers = AnnotatorStyle(scale, offset, name=READERS)(logits)
    return keras.Model(network.inputs[0], {**network.output, READERS: readers})


def compile_segmenter(
    model: keras.Model,
    learning_rate,
    weight_decay: float = 1e-4,
    jit_compile: bool | str = "auto",
) -> None:
    """Compiles with AdamW, and the combined loss and Dice on every flow.

    The logs have `infection_dice`, `infection_dice_lesions` and, where the model
    has a lung output, `lung_dice`; with `val_` before them for validation. A map as
    readers would draw it (output `"infection_readers"`, see `AnnotatorStyle`) has
    `ExtentLoss`, times 6; Dice then counts only what has a mask.

    Args:
        model: A `DualFlowSegmenter`, or one with a readers' map beside it.
        learning_rate: Float or Keras schedule.
        weight_decay: Decoupled weight decay. Defaults to 1e-4.
        jit_compile: As in `keras.Model.compile`: XLA or not. Defaults to
            `"auto"`, which leaves it out on a CPU, where it is slower.
    """
    flows = [
        name for name in model.output_names if "_side_" not in name and name != READERS
    ]
    has_readers = READERS in model.output_names
    # Keras puts the output's name before a metric's, unless there is one output.
    prefix = f"{flows[0]}_" if len(model.output_names) == 1 else ""
    loss = {flow: CombinedSegmentationLoss() for flow in flows}
    metrics = {
        flow: [
            DiceScore(name=f"{prefix}dice"),
            DiceScore(protocol="lesions", name=f"{prefix}dice_lesions"),
        ]
        for flow in flows
    }
    model.compile(
        optimizer=keras.optimizers.AdamW(learning_rate, weight_decay=weight_decay),
        loss=loss | ({READERS: ExtentLoss(center=0.5)} if has_readers else {}),
        loss_weights=dict.fromkeys(flows, 1.0) | {READERS: READERS_WEIGHT}
        if has_readers
        else None,
        jit_compile=jit_compile,
        **{"weighted_metrics" if has_readers else "metrics": metrics},
    )


def fit_segmenter(
    model: keras.Model,
    train,
    validation,
    run_dir: str | pathlib.Path,
    epochs: int,
    monitor: str = "val_infection_dice",
    mode: str = "max",
    patience: int | None = None,
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
        patience: Stop after so many epochs without a better `monitor`; a
            resumed run counts on. `None` (default) trains all epochs.
        tensorboard: Write TensorBoard logs. Defaults to `True`.
        verbose: As in `model.fit`.
        callbacks: More Keras callbacks.

    Returns:
        Path of the best checkpoint, a `.keras` file.
    """
    run_dir = pathlib.Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    best, log = run_dir / "best.keras", run_dir / "log.csv"
    _drop_unfinished(log, resume_epoch(run_dir))
    if _has_stopped(_logged(log, monitor), mode, patience):
        return best
    checkpoint = keras.callbacks.ModelCheckpoint(
        str(best),
        monitor=monitor,
        mode=mode,
        save_best_only=True,
        initial_value_threshold=_best_so_far(log, monitor, mode),
    )
    callbacks = [
        *callbacks,
        _Seconds(),
        checkpoint,
        keras.callbacks.CSVLogger(str(log), append=True),
        keras.callbacks.TerminateOnNaN(),
    ]
    if patience is not None:
        callbacks.append(
            _ResumedEarlyStopping(log, monitor=monitor, mode=mode, patience=patience)
        )
    if tensorboard:
        callbacks.append(
            keras.callbacks.TensorBoard(str(run_dir / "tensorboard"), write_graph=False)
        )
    # Last, so that an epoch counts as done only once its log line is written.
    callbacks.append(_Backup(run_dir / "backup"))
    model.fit(
        train,
        validation_data=validation,
        epochs=epochs,
        initial_epoch=_restore(model, run_dir / "backup"),
        callbacks=callbacks,
        shuffle=False,  # the dataset shuffles itself
        verbose=verbose,
    )
    return best


def resume_epoch(run_dir: str | pathlib.Path) -> int:
    """Returns the epoch at which `fit_segmenter` would go on, from 0.

    Pass it to `make_dataset(first_epoch=...)`, and a resumed training sees the
    batches that an unbroken one would have seen.

    Args:
        run_dir: Folder of the run; it need not exist.
    """
    return _read_backup(pathlib.Path(run_dir) / "backup").get("epoch", 0)


_METADATA = "training_metadata.json"


class _Backup(keras.callbacks.Callback):
    """Keeps weights and optimizer of the last epoch, whenever a kill may come.

    `keras.callbacks.BackupAndRestore` overwrites its two files one after the
    other; here one rename makes the new epoch the last one.
    """

    def __init__(self, folder):
        super().__init__()
        self._folder = folder

    def on_epoch_end(self, epoch, logs=None):
        self._folder.mkdir(exist_ok=True)
        weights = self._folder / f"epoch_{epoch + 1}.weights.h5"
        self.model.save_weights(weights, overwrite=True)
        new = self._folder / f"{_METADATA}.new"
        new.write_text(json.dumps({"epoch": epoch + 1, "weights": weights.name}))
        new.replace(self._folder / _METADATA)
        for old in self._folder.glob("*.weights.h5"):
            if old != weights:
                old.unlink()


def _read_backup(folder):
    metadata = folder / _METADATA
    return json.loads(metadata.read_text()) if metadata.is_file() else {}


def _restore(model, folder):
    """Loads the backup, if there is one; returns the epoch that comes next."""
    # Left to the first step, TensorFlow traces that step twice.
    model.optimizer.build(model.trainable_variables)
    backup = _read_backup(folder)
    if not backup:
        return 0
    name = str(backup["weights"])
    if pathlib.PurePath(name).name != name:
        raise ValueError(f"{folder}: its weights lie outside of it, in {name!r}.")
    model.load_weights(folder / name)
    return backup["epoch"]


def _drop_unfinished(log, epochs):
    """Drops the line of an epoch that was logged, but whose backup was cut off."""
    if not log.is_file():
        return
    # Empty if the kill came in the first epoch: the logger has opened it.
    head, *lines = log.read_text().splitlines() or [""]
    kept = [line for line in lines if int(line.split(",")[0]) < epochs]
    if not kept:
        log.unlink()
    elif kept != lines:
        log.write_text("\n".join([head, *kept, ""]))


class _Seconds(keras.callbacks.Callback):
    """Logs what an epoch took, so that a resumed run still knows its time."""

    def on_epoch_begin(self, epoch, logs=None):
        self._start = time.monotonic()

    def on_epoch_end(self, epoch, logs=None):
        logs["seconds"] = round(time.monotonic() - self._start, 2)


class _ResumedEarlyStopping(keras.callbacks.EarlyStopping):
    """Early stopping that has seen the epochs of the interrupted run."""

    def __init__(self, log, **kwargs):
        super().__init__(**kwargs)
        self._log = log

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        for epoch, value in enumerate(_logged(self._log, self.monitor)):
            self.on_epoch_end(epoch, {self.monitor: value})


def _has_stopped(values, mode, patience):
    if patience is None or not values:
        return False
    best = values.index(max(values) if mode == "max" else min(values))
    return len(values) - 1 - best >= patience


def _best_so_far(log, monitor, mode):
    """The best value an interrupted run has logged, so it is not overwritten."""
    values = _logged(log, monitor)
    if not values:
        return None
    return min(values) if mode == "min" else max(values)


def _logged(log, monitor):
    if not log.is_file():
        return []
    with log.open(newline="") as stream:
        return [float(row[monitor]) for row in csv.DictReader(stream) if monitor in row]
