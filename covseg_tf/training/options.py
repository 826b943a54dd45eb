"""What every recipe can be told."""

import dataclasses
import pathlib

from covseg_tf.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions:
    """What every recipe can be told.

    Attributes:
        data: Folder of the data set.
        out: Folder of the run; an interrupted run in it is resumed.
        batch_size: Images per step over all devices; at least 1.
        seed: Seed of weights, order and augmentation; at least 0.
        quick: A run of about a minute that only shows that everything works.
        mixed_precision: Compute in half precision.
        jit_compile: Compile the step with XLA.

    Raises:
        ValueError: If a number is out of its range.
    """

    data: pathlib.Path = option("folder of the data set")
    out: pathlib.Path = option("folder of the run; an interrupted run is resumed")
    batch_size: int = option("images per step", 8)
    seed: int = option("seed of weights, order and augmentation", 0)
    quick: bool = option("about a minute: few images, epochs and pixels", False)
    mixed_precision: bool = option("compute in half precision", False)
    jit_compile: bool = option("compile the step with XLA", False)

    def __post_init__(self):
        self._at_least("batch_size", 1)
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"`seed` must be in [0, 2**32). Received: {self.seed}")

    def _at_least(self, name, low):
        value = getattr(self, name)
        if value < low:
            raise ValueError(f"`{name}` must be at least {low}. Received: {value}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingOptions(RunOptions):
    """The options of a recipe that trains one network in one go.

    A recipe subclasses it to change a default or to add options of its own.

    Attributes:
        epochs: Epochs to train, resumed ones included; at least 1.
        learning_rate: Peak of the schedule; positive.
        patience: Epochs without a better validation score before training
            stops; 0 (default) never stops early.

    Raises:
        ValueError: If a number is out of its range.
    """

    epochs: int = option("epochs to train", 40)
    learning_rate: float = option("peak of the schedule", 1e-3)
    patience: int = option("stop after so many epochs without gain; 0: never", 0)

    def __post_init__(self):
        super().__post_init__()
        self._at_least("epochs", 1)
        self._at_least("patience", 0)
        if not self.learning_rate > 0:
            raise ValueError(
                f"`learning_rate` must be positive. Received: {self.learning_rate}"
            )
