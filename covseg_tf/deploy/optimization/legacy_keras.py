"""The one place that imports tf_keras and tensorflow-model-optimization.

The toolkit refuses Keras 3 and sets `TF_USE_LEGACY_KERAS` for the whole process,
which turns `tf.keras` into Keras 2 and breaks whatever is imported later and
expects Keras 3, keras-cv first of all. Both packages are imported on demand.
"""

import contextlib
import functools
import os
import warnings

import keras
import tensorflow as tf

_SWITCH = "TF_USE_LEGACY_KERAS"


def import_tf_keras():
    """Returns the module `tf_keras`, Keras 2.

    Raises:
        ValueError: If it is not installed, or Keras runs on another backend
            than TensorFlow.
    """
    return _imported()[0]


def import_tfmot():
    """Returns the module `tensorflow_model_optimization`.

    Raises:
        ValueError: As `import_tf_keras`.
    """
    return _imported()[1]


@functools.cache
def ones_like_layer():
    """Returns the tf_keras layer class that gives ones of its input's shape."""
    tf_keras = import_tf_keras()

    @tf_keras.utils.register_keras_serializable(package="covseg_tf")
    class OnesLike(tf_keras.layers.Layer):
        """Ones of the shape of the input."""

        def call(self, inputs):
            return tf.ones_like(inputs)

    return OnesLike


@functools.cache
def _imported():
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "tensorflow-model-optimization needs Keras on TensorFlow; set "
            f"KERAS_BACKEND=tensorflow. Received: {keras.backend.backend()}"
        )
    # Resolved before the switch is set, or it would be Keras 2 from here on.
    _ = tf.keras.layers
    with _switch_restored(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # distutils, and NumPy names of old
        try:
            import tensorflow_model_optimization as tfmot
            import tf_keras
        except ImportError as error:
            raise ValueError(
                "Quantization-aware training, pruning and clustering need "
                "tensorflow-model-optimization and tf-keras: pip install "
                f"'covseg-tf[quant]'. ({error})"
            ) from None
    return tf_keras, tfmot


@contextlib.contextmanager
def _switch_restored():
    before = os.environ.get(_SWITCH)
    try:
        yield
    finally:
        os.environ.pop(_SWITCH, None)
        if before is not None:
            os.environ[_SWITCH] = before
