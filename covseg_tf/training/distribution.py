"""Training on several devices and hosts, each with its share of every batch."""

import os
from collections.abc import Sequence

import keras
import numpy as np


def join_workers(
    workers: Sequence[str] = (), worker: int = 0
) -> keras.distribution.DataParallel:
    """Shares training among all devices of all processes, on the JAX backend.

    To be called before anything else computes. Every model built afterwards
    has its weights on every device, and `fit` adds up the gradients of all of
    them. Batch normalization sees the whole batch, so that the result is that
    of one device. (Keras 3.15 does not run TensorFlow's
    `MultiWorkerMirroredStrategy` in `fit`; see docs/scaling.md.)

    Args:
        workers: `"host:port"` of every process, in the same order everywhere;
            the first one coordinates. Empty (default): what the variables
            `KERAS_DISTRIBUTION_*` say, or else this process alone.
        worker: Number of this process in `workers`. Defaults to 0.

    Returns:
        The distribution, already set. Its `auto_shard_dataset` is off: pass
        every dataset through `shard_batches`.

    Raises:
        ValueError: If the backend is not JAX, or `worker` is out of range.
    """
    if keras.backend.backend() != "jax":
        raise ValueError(
            "Several devices need the JAX backend: set the environment variable "
            f"KERAS_BACKEND=jax. Received: {keras.backend.backend()!r}"
        )
    if not 0 <= worker < max(1, len(workers)):
        raise ValueError(
            f"`worker` must be the number, from 0, of one of the {len(workers)} "
            f"workers. Received: worker={worker}"
        )
    _keep_tensorflow_off_the_gpus()
    if workers:
        keras.distribution.initialize(",".join(workers), len(workers), worker)
    elif "KERAS_DISTRIBUTION_NUM_PROCESSES" in os.environ:
        keras.distribution.initialize()
    distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    keras.distribution.set_distribution(distribution)
    return distribution


def shard_batches(dataset, distribution: keras.distribution.DataParallel):
    """Returns a dataset with this process's rows of every batch.

    Every process must be given the same dataset: it reads and augments whole
    batches and keeps its share, so that the rows of all processes together are
    exactly the batch of one.

    Args:
        dataset: A `tf.data.Dataset` of global batches, as from `make_dataset`.
        distribution: From `join_workers`.

    Returns:
        A `tf.data.Dataset` of as many batches.

    Raises:
        ValueError: If a batch, where its size is known, is not a multiple of
            the number of devices; one that turns out so ends the iteration
            with TensorFlow's error.
    """
    import tensorflow as tf

    devices = distribution.num_model_replicas
    message = f"Batches must be multiples of the number of devices, {devices}."

    def take_share(tensor):
        if (tensor.shape[0] or 0) % devices:
            raise ValueError(f"{message} Received: a batch of {tensor.shape[0]}")
        whole = tf.debugging.assert_equal(tf.shape(tensor)[0] % devices, 0, message)
        with tf.control_dependencies([whole]):
            return tensor[distribution.data_shard_id :: distribution.num_processes]

    def share(*batch):
        return tf.nest.map_structure(take_share, batch)

    return dataset.map(share, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def same_on_all_workers(value) -> bool:
    """Returns whether every process holds the same numbers; all must ask.

    Args:
        value: A number or a NumPy array, of the same shape everywhere.
    """
    from jax.experimental import multihost_utils

    value = np.asarray(value)
    gathered = np.asarray(multihost_utils.process_allgather(value))
    return all(
        np.array_equal(other, value) for other in gathered.reshape(-1, *value.shape)
    )


def synchronize_batch_norm(model: keras.Model) -> None:
    """Makes batch normalization see the batches of all replicas.

    For `tf.distribute.MirroredStrategy`: without it each replica normalizes
    with its own share, and the result is not that of one device. JAX needs
    no such call.

    Args:
        model: A network; its layers are changed. Call it before training.

    Raises:
        ValueError: If the backend is not TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "`synchronize_batch_norm` is for the TensorFlow backend. "
            f"Received: {keras.backend.backend()!r}"
        )
    # `model.layers` does not show what composite layers hold.
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.synchronized = True


def _keep_tensorflow_off_the_gpus():
    # It only reads the data here, and would take the memory that JAX needs.
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
