"""A short training of a network's tf_keras form against the float network."""

import pathlib
from collections.abc import Sequence

import keras
import tensorflow as tf

from covseg_tf.data import make_dataset
from covseg_tf.deploy.calibration import read_training_samples
from covseg_tf.deploy.flows import FLOWS, two_flows
from covseg_tf.deploy.optimization.legacy_keras import import_tf_keras
from covseg_tf.deploy.optimization.twin import Twin, tf_keras_twin, twin_difference
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.losses import combined_segmentation_loss

_TWIN_TOLERANCE = 1e-5


def training_batches(
    root: str | pathlib.Path,
    spec: PreprocessingSpec,
    images: int | None = None,
    batch_size: int = 8,
    seed: int = 0,
) -> tf.data.Dataset:
    """Returns augmented batches of a data set's training images.

    Args:
        root: The data set's folder, in any layout of `read_samples`; if it comes
            with splits, `"Train"` or `"train"` is read.
        spec: The preprocessing.
        images: How many, at equal steps through the split, so that every finding
            keeps its share; `None` (default) for all.
        batch_size: Images per batch. Defaults to 8.
        seed: Seed of the order and the augmentation.

    Raises:
        ValueError: If the layout is not known, it has splits but none to train,
            `images` or `batch_size` is below 1, or there is not one batch.
    """
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be at least 1. Received: {batch_size}")
    picked = read_training_samples(root, images)
    return make_dataset(picked, spec, batch_size, training=True, seed=seed)


def check_training(epochs: int, learning_rate: float, teacher_share: float) -> None:
    """Refuses what cannot train.

    Args:
        epochs: Int >= 1.
        learning_rate: Float > 0.
        teacher_share: Float in `[0, 1]`.

    Raises:
        ValueError: If one is out of range.
    """
    if epochs < 1 or not learning_rate > 0 or not 0 <= teacher_share <= 1:
        raise ValueError(
            "`epochs` must be at least 1, `learning_rate` positive and "
            f"`teacher_share` in [0, 1]. Received: epochs={epochs}, "
            f"learning_rate={learning_rate}, teacher_share={teacher_share}"
        )


def count_batches(dataset: tf.data.Dataset) -> int:
    """Returns the number of batches in a dataset that knows it.

    Args:
        dataset: The dataset.

    Raises:
        ValueError: If it does not, or has none.
    """
    batches = int(dataset.cardinality())
    if batches < 1:
        raise ValueError(
            "`dataset` must know its number of batches; apply "
            "tf.data.experimental.assert_cardinality. Received a cardinality of "
            f"{batches}"
        )
    return batches


def copy_model(model: keras.Model) -> keras.Model:
    """Returns the same network with weights of its own."""
    # clone_model would give a plain functional model, whatever the class.
    copy = type(model).from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy


def checked_twin(model: keras.Model) -> tuple[Twin, float]:
    """Returns the tf_keras twin of the two flows, and how far it is off.

    Args:
        model: Functional model with the outputs `lung` and `infection`.

    Raises:
        ValueError: If a map of the twin differs by more than 1e-5, or what
            `tf_keras_twin` raises.
    """
    flows = two_flows(model)
    twin = tf_keras_twin(flows)
    difference = twin_difference(flows, twin)
    if not difference <= _TWIN_TOLERANCE:
        raise ValueError(
            f"The tf_keras twin of {model.name!r} is not the same network: its maps "
            f"differ by {difference:.1e}, expected at most {_TWIN_TOLERANCE}. Are all "
            "weights finite and in float32?"
        )
    return twin, difference


def fine_tune(
    network,
    teacher: keras.Model,
    dataset: tf.data.Dataset,
    epochs: int,
    learning_rate: float,
    teacher_share: float,
    callbacks: Sequence = (),
    verbose: int = 0,
) -> dict[str, list[float]]:
    """Trains a tf_keras network in place, with the statistics it has.

    The loss of a flow is `teacher_share` times the cross-entropy to the
    teacher's map plus the rest times `combined_segmentation_loss` to the mask.
    Batch normalization stays in inference mode, so that what is trained is what
    is converted; its scale and offset are trained.

    Args:
        network: `tf_keras.Model` with the outputs `lung` and `infection`.
        teacher: The float Keras 3 model.
        dataset: Training batches, see `covseg_tf.data.make_dataset`.
        epochs: Passes over the dataset.
        learning_rate: Of Adam at the start; it falls to 0 along a half cosine.
        teacher_share: Float in `[0, 1]`.
        callbacks: `tf_keras` callbacks. Defaults to none.
        verbose: As in `keras.Model.fit`. Defaults to 0, silent.

    Returns:
        Dict from the name of a loss to its mean in each epoch.
    """
    _freeze_statistics(network)
    optimizers = import_tf_keras().optimizers
    # Down to 0: Adam's steps have one length, and the last ones must not leave
    # the weights beside where they settled.
    steps = epochs * count_batches(dataset)
    decay = optimizers.schedules.CosineDecay(learning_rate, steps)
    network.compile(
        optimizers.Adam(decay),
        loss={flow: _flow_loss(teacher_share) for flow in FLOWS},
    )
    batches = dataset.map(_with_maps_of(two_flows(teacher)))
    fitted = network.fit(
        batches, epochs=epochs, verbose=verbose, callbacks=list(callbacks)
    )
    return fitted.history


def _freeze_statistics(network):
    """Not trainable means inference mode to a batch normalization.

    The toolkit's wrapper listed scale and offset when it was built, so those are
    trained all the same where there is a wrapper.
    """
    for layer in network.layers:
        inner = getattr(layer, "layer", layer)
        if type(inner).__name__ == "BatchNormalization":
            inner.trainable = False


def _with_maps_of(teacher):
    def add_maps(image, masks, *weights):
        maps = teacher(image, training=False)
        targets = {f: tf.concat([masks[f], maps[f]], axis=-1) for f in FLOWS}
        return image, targets, *weights

    return add_maps


def _flow_loss(teacher_share):
    def loss(y_true, y_pred):
        mask, teacher_map = y_true[..., :1], y_true[..., 1:]
        total = 0.0
        if teacher_share < 1:
            total += (1 - teacher_share) * combined_segmentation_loss(mask, y_pred)
        if teacher_share > 0:
            soft = keras.ops.binary_crossentropy(teacher_map, y_pred)
            total += teacher_share * tf.reduce_mean(soft, axis=(1, 2, 3))
        return total

    return loss
