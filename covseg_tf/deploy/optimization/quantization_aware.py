"""Full-integer TFLite by quantization-aware training."""

import dataclasses

import keras
import tensorflow as tf

from covseg_tf.deploy.flows import two_flows
from covseg_tf.deploy.optimization.fake_quantization import (
    fix_input_range,
    quantize_network,
    set_ranges,
)
from covseg_tf.deploy.optimization.fine_tuning import (
    check_training,
    checked_twin,
    copy_model,
    count_batches,
    fine_tune,
)
from covseg_tf.deploy.optimization.legacy_keras import import_tf_keras
from covseg_tf.deploy.optimization.twin import copy_weights_back
from covseg_tf.deploy.tflite.contents import check_tflite
from covseg_tf.deploy.tflite.export import convert_archive
from covseg_tf.edge.preprocessing import PreprocessingSpec


@dataclasses.dataclass(frozen=True)
class QuantizationAwareResult:
    """What quantization-aware training gave.

    Attributes:
        tflite: Bytes of the full-integer file, interface as of `export_tflite`.
        model: A copy of the Keras 3 model with the trained float weights. Side
            outputs keep theirs.
        history: Dict from the name of a loss to its mean in each epoch.
        twin_difference: Largest difference of a map of the tf_keras twin from
            the Keras 3 model, `(before, after)` training.
    """

    tflite: bytes
    model: keras.Model
    history: dict[str, list[float]]
    twin_difference: tuple[float, float]


def train_quantization_aware(
    model: keras.Model,
    spec: PreprocessingSpec,
    dataset: tf.data.Dataset,
    epochs: int = 1,
    learning_rate: float = 1e-5,
    teacher_share: float = 1.0,
    verbose: int = 0,
) -> QuantizationAwareResult:
    """Trains a network while it is rounded to 8 bits, and converts it.

    The network is rebuilt in tf_keras, every weight and activation is rounded as
    the device will round it, and a short training lets the weights settle. The
    file has the interface of `export_tflite`: uint8 grey levels in, probability
    times 256 out, built-in int8 operations only.

    Source: Jacob et al. 2018, "Quantization and Training of Neural Networks for
    Efficient Integer-Arithmetic-Only Inference".

    Args:
        model: Trained Keras model with the outputs `lung` and `infection`, of
            layers that `tf_keras_twin` knows. It is not changed.
        spec: The preprocessing the model was trained with.
        dataset: Training batches, see `covseg_tf.data.make_dataset`.
        epochs: Passes over the dataset. Defaults to 1.
        learning_rate: Of Adam at the start, falling to 0. Defaults to 1e-5.
        teacher_share: Float in `[0, 1]`, share of the float model's own maps in
            the loss; the rest is for the masks. Defaults to 1: the file
            shall be the float model, not another one.
        verbose: As in `keras.Model.fit`. Defaults to 0, silent.

    Returns:
        A `QuantizationAwareResult`.

    Raises:
        ValueError: If an argument is out of range, the model does not fit or has
            a layer without a twin, tensorflow-model-optimization is missing, or
            the file holds a tensor that is always zero.
    """
    check_training(epochs, learning_rate, teacher_share)
    two_flows(model, spec)  # refuses one that does not fit
    count_batches(dataset)  # before the minutes of work
    white = 255.0 * spec.scale
    tuned = copy_model(model)
    twin, before = checked_twin(tuned)
    quantized = quantize_network(twin.model)
    set_ranges(quantized, twin.model, dataset)
    fix_input_range(quantized, white)
    history = fine_tune(
        quantized,
        model,
        dataset,
        epochs,
        learning_rate,
        teacher_share,
        verbose=verbose,
    )
    copy_weights_back(quantized, twin)
    trained, after = checked_twin(tuned)
    set_ranges(quantized, trained.model, dataset)
    fix_input_range(quantized, white)
    data = _convert(quantized, spec)
    check_tflite(data, spec)
    return QuantizationAwareResult(data, tuned, history, (before, after))


def _convert(quantized, spec):
    def set_up(converter):
        # The ranges are in the network: no representative data set.
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.inference_input_type = tf.uint8
        converter.inference_output_type = tf.uint8

    archive = import_tf_keras().export.ExportArchive()
    shape = (1, spec.height, spec.width, 1)
    return convert_archive(archive, quantized, shape, set_up)
