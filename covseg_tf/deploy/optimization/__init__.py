"""Networks made smaller or integer by training or by search."""

from covseg_tf.deploy.optimization.compression import (
    CompressionResult,
    KernelStatistics,
    cluster,
    compressed_size,
    integer_kernels,
    prune,
)
from covseg_tf.deploy.optimization.fine_tuning import training_batches
from covseg_tf.deploy.optimization.mixed_precision import (
    MixedPrecision,
    PrecisionStep,
    quantize_mixed_precision,
)
from covseg_tf.deploy.optimization.quantization_aware import (
    QuantizationAwareResult,
    train_quantization_aware,
)
from covseg_tf.deploy.optimization.twin import (
    Twin,
    copy_weights_back,
    tf_keras_twin,
    twin_difference,
)

__all__ = [
    "CompressionResult",
    "KernelStatistics",
    "MixedPrecision",
    "PrecisionStep",
    "QuantizationAwareResult",
    "Twin",
    "cluster",
    "compressed_size",
    "copy_weights_back",
    "integer_kernels",
    "prune",
    "quantize_mixed_precision",
    "tf_keras_twin",
    "train_quantization_aware",
    "training_batches",
    "twin_difference",
]
