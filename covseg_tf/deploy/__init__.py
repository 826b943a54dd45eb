"""Exporters and their proofs."""

from covseg_tf.deploy.bundle import write_bundle
from covseg_tf.deploy.bundle.finish import finish_bundle
from covseg_tf.deploy.calibration import read_calibration
from covseg_tf.deploy.load_network import load_network
from covseg_tf.deploy.mediapipe import export_mediapipe
from covseg_tf.deploy.onnx import export_onnx
from covseg_tf.deploy.optimization import (
    CompressionResult,
    KernelStatistics,
    MixedPrecision,
    PrecisionStep,
    QuantizationAwareResult,
    Twin,
    cluster,
    compressed_size,
    copy_weights_back,
    integer_kernels,
    prune,
    quantize_mixed_precision,
    tf_keras_twin,
    train_quantization_aware,
    twin_difference,
)
from covseg_tf.deploy.proof import (
    FlowParity,
    LayerSensitivity,
    ParityReport,
    Predictor,
    bundle_metrics,
    check_parity,
    describe_artifact,
    keras_predictor,
    layer_sensitivity,
    load_predictor,
    measure_artifact,
    onnx_predictor,
    parity_table,
    saved_model_predictor,
    tflite_predictor,
)
from covseg_tf.deploy.saved_model import export_saved_model, write_models_config
from covseg_tf.deploy.tflite import export_tflite, layer_tensors, quantize_with_ai_edge

__all__ = [
    "CompressionResult",
    "FlowParity",
    "KernelStatistics",
    "LayerSensitivity",
    "MixedPrecision",
    "ParityReport",
    "PrecisionStep",
    "Predictor",
    "QuantizationAwareResult",
    "Twin",
    "bundle_metrics",
    "check_parity",
    "cluster",
    "compressed_size",
    "copy_weights_back",
    "describe_artifact",
    "export_mediapipe",
    "export_onnx",
    "export_saved_model",
    "export_tflite",
    "finish_bundle",
    "integer_kernels",
    "keras_predictor",
    "layer_sensitivity",
    "layer_tensors",
    "load_network",
    "load_predictor",
    "measure_artifact",
    "onnx_predictor",
    "parity_table",
    "prune",
    "quantize_mixed_precision",
    "quantize_with_ai_edge",
    "read_calibration",
    "saved_model_predictor",
    "tf_keras_twin",
    "tflite_predictor",
    "train_quantization_aware",
    "twin_difference",
    "write_bundle",
    "write_models_config",
]
