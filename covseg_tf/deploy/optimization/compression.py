"""Magnitude pruning and weight clustering: files that pack smaller."""

import dataclasses
import gzip
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from covseg_tf.deploy.optimization.fine_tuning import (
    check_training,
    checked_twin,
    copy_model,
    count_batches,
    fine_tune,
)
from covseg_tf.deploy.optimization.legacy_keras import import_tf_keras, import_tfmot
from covseg_tf.deploy.optimization.twin import copy_weights_back
from covseg_tf.deploy.tflite.contents import named_operators, read_schema

# Masks are drawn anew this often until half of the training is over; the rest
# lets the weights that are left settle.
_MASK_UPDATES = 20


@dataclasses.dataclass(frozen=True)
class KernelStatistics:
    """One kernel after compression.

    Attributes:
        weights: Number of weights.
        sparsity: Share of them that is 0.
        unique: Number of different values.
    """

    weights: int
    sparsity: float
    unique: int


@dataclasses.dataclass(frozen=True)
class CompressionResult:
    """What pruning or clustering gave.

    Attributes:
        model: A copy of the Keras 3 model with the compressed weights; export it
            with `export_tflite`. Side outputs keep theirs.
        kernels: Dict from the name of a compressed layer to `KernelStatistics`.
        history: Dict from the name of a loss to its mean in each epoch.
    """

    model: keras.Model
    kernels: dict[str, KernelStatistics]
    history: dict[str, list[float]]

    @property
    def share(self) -> float:
        """Compressed kernels' share of all weights of the model."""
        weights = sum(kernel.weights for kernel in self.kernels.values())
        return weights / self.model.count_params()


def prune(
    model: keras.Model,
    dataset: tf.data.Dataset,
    sparsity: float = 0.5,
    epochs: int = 1,
    learning_rate: float = 1e-4,
    teacher_share: float = 0.5,
    minimum_weights: int = 4096,
) -> CompressionResult:
    """Sets the smallest weights of every large kernel to zero, while training.

    The sparsity rises from 0 in the first half of the training and stays there.
    Small kernels and depthwise ones stay: they hold few weights, and the decoders
    and gates that they belong to are easily hurt.

    Source: Zhu and Gupta 2017, "To prune, or not to prune: exploring the efficacy
    of pruning for model compression".

    Args:
        model: Trained Keras model with the outputs `lung` and `infection`, of
            layers that `tf_keras_twin` knows. It is not changed.
        dataset: Training batches of known number, see
            `covseg_tf.data.make_dataset`.
        sparsity: Float in `(0, 1)`, share of zeros of each kernel. Defaults to
            0.5.
        epochs: Passes over the dataset. Defaults to 1.
        learning_rate: Of Adam at the start, falling to 0. Defaults to 1e-4.
        teacher_share: As in `train_quantization_aware`. Defaults to 0.5.
        minimum_weights: Smaller kernels are left alone. Defaults to 4096: in the
            bundled X-ray network 23 kernels with 93 % of the weights.

    Returns:
        A `CompressionResult`.

    Raises:
        ValueError: If an argument is out of range, the model has a layer without
            a twin or no kernel that large, or a kernel did not reach the sparsity.
    """
    if not 0 < sparsity < 1:
        raise ValueError(f"`sparsity` must be in (0, 1). Received: {sparsity}")
    check_training(epochs, learning_rate, teacher_share)
    steps = epochs * count_batches(dataset)
    toolkit = import_tfmot().sparsity.keras
    every = max(1, steps // (2 * _MASK_UPDATES))
    last = every * max(1, steps // (2 * every))
    schedule = toolkit.PolynomialDecay(0.0, sparsity, 0, last, frequency=every)
    result = _compress(
        model,
        lambda layer: toolkit.prune_low_magnitude(layer, pruning_schedule=schedule),
        toolkit.strip_pruning,
        minimum_weights,
        (dataset, epochs, learning_rate, teacher_share),
        [toolkit.UpdatePruningStep()],
    )
    for name, kernel in result.kernels.items():
        # The toolkit rounds the number of weights that stay.
        if kernel.sparsity < sparsity - 0.5 / kernel.weights:
            raise ValueError(
                f"The kernel {name!r} has {kernel.sparsity:.3f} zeros, expected "
                f"{sparsity}; train for more steps. Received: {steps} steps"
            )
    return result


def cluster(
    model: keras.Model,
    dataset: tf.data.Dataset,
    clusters: int = 16,
    epochs: int = 1,
    learning_rate: float = 1e-5,
    teacher_share: float = 0.5,
    minimum_weights: int = 256,
) -> CompressionResult:
    """Lets the weights of every large kernel share a few values, while training.

    Source: Han, Mao and Dally 2016, "Deep Compression" (weight sharing).

    Args:
        model: As for `prune`.
        dataset: Training batches, see `covseg_tf.data.make_dataset`.
        clusters: Int >= 2, values per kernel. Defaults to 16.
        epochs: Passes over the dataset. Defaults to 1.
        learning_rate: Of Adam at the start, falling to 0. Defaults to 1e-5.
        teacher_share: As in `train_quantization_aware`. Defaults to 0.5.
        minimum_weights: Smaller kernels, and depthwise ones, are left alone.
            Defaults to 256.

    Returns:
        A `CompressionResult`.

    Raises:
        ValueError: If an argument is out of range, the model has a layer without
            a twin or no kernel that large, or a kernel has more values.
    """
    if clusters < 2:
        raise ValueError(f"`clusters` must be at least 2. Received: {clusters}")
    check_training(epochs, learning_rate, teacher_share)
    count_batches(dataset)  # before the minutes of work
    toolkit = import_tfmot().clustering.keras
    start = toolkit.CentroidInitialization.KMEANS_PLUS_PLUS
    result = _compress(
        model,
        lambda layer: toolkit.cluster_weights(layer, clusters, start),
        toolkit.strip_clustering,
        minimum_weights,
        (dataset, epochs, learning_rate, teacher_share),
    )
    for name, kernel in result.kernels.items():
        if kernel.unique > clusters:
            raise ValueError(
                f"The kernel {name!r} has {kernel.unique} different values, expected "
                f"at most {clusters}; raise `minimum_weights` to leave it alone."
            )
    return result


def compressed_size(data: bytes) -> int:
    """Returns the bytes of a file after `gzip -9`.

    Args:
        data: The file.
    """
    return len(gzip.compress(data, compresslevel=9, mtime=0))


def integer_kernels(data: bytes) -> list[np.ndarray]:
    """Returns the int8 kernels of the convolutions in a TFLite file.

    Args:
        data: Bytes of a full-integer file.

    Returns:
        List in the file's order of arrays `(filters, rows, columns, channels)`.
    """
    tree = read_schema(data)
    kernels = []
    for name, operator in named_operators(tree):
        if name == "CONV_2D":
            tensor = tree.subgraphs[0].tensors[operator.inputs[1]]
            values = np.asarray(tree.buffers[tensor.buffer].data, np.uint8)
            kernels.append(values.view(np.int8).reshape(tensor.shape))
    return kernels


def _compress(
    model: keras.Model,
    wrap: Callable,
    strip: Callable,
    minimum_weights: int,
    training: tuple,
    callbacks: list | None = None,
) -> CompressionResult:
    tuned = copy_model(model)
    twin = checked_twin(tuned)[0]
    names = [
        name
        for name, source in twin.sources.items()
        if isinstance(source, (keras.layers.Conv2D, keras.layers.Dense))
        and np.size(source.kernel) >= minimum_weights
    ]
    if not names:
        raise ValueError(
            "No convolution has as many weights as `minimum_weights`; lower it. "
            f"Received: minimum_weights={minimum_weights}"
        )
    # Layer by layer: on a whole model the toolkit's calls fail. The twin's own
    # layers go into the wrappers, so it is of no use afterwards.
    wrapped = import_tf_keras().models.clone_model(
        twin.model,
        clone_function=lambda layer: wrap(layer) if layer.name in names else layer,
    )
    history = fine_tune(  # type: ignore[misc] # `training` ends before `callbacks`
        wrapped, model, *training, callbacks=callbacks or ()
    )
    copy_weights_back(strip(wrapped), twin)
    checked_twin(tuned)
    kernels = {name: _statistics(twin.sources[name].kernel) for name in names}
    return CompressionResult(tuned, kernels, history)


def _statistics(kernel):
    values = keras.ops.convert_to_numpy(kernel)
    return KernelStatistics(
        weights=values.size,
        sparsity=float(np.mean(values == 0)),
        unique=len(np.unique(values)),
    )
