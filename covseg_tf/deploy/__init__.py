"""Exporters and their proofs."""

from covseg_tf.deploy.ai_edge import quantize_with_ai_edge
from covseg_tf.deploy.artifact import describe_artifact
from covseg_tf.deploy.bundle import write_bundle
from covseg_tf.deploy.calibration import read_calibration
from covseg_tf.deploy.compression import (
    CompressionResult,
    KernelStatistics,
    cluster,
    compressed_size,
    integer_kernels,
    prune,
)
from covseg_tf.deploy.load_network import load_network
from covseg_tf.deploy.load_predictor import load_predictor
from covseg_tf.deploy.measure_process import measure_artifact
from covseg_tf.deploy.mediapipe_model import export_mediapipe
from covseg_tf.deploy.mixed_precision import (
    MixedPrecision,
    PrecisionStep,
    quantize_mixed_precision,
)
from covseg_tf.deploy.models_config import write_models_config
from covseg_tf.deploy.onnx import export_onnx
from covseg_tf.deploy.parity import FlowParity, check_parity
from covseg_tf.deploy.parity_report import ParityReport, parity_table
from covseg_tf.deploy.predictor import Predictor
from covseg_tf.deploy.quantization_aware import (
    QuantizationAwareResult,
    train_quantization_aware,
)
from covseg_tf.deploy.runtimes import (
    keras_predictor,
    onnx_predictor,
    saved_model_predictor,
    tflite_predictor,
)
from covseg_tf.deploy.saved_model import export_saved_model
from covseg_tf.deploy.sensitivity import LayerSensitivity, layer_sensitivity
from covseg_tf.deploy.tflite import export_tflite
from covseg_tf.deploy.tflite_layers import layer_tensors
from covseg_tf.deploy.twin import (
    Twin,
    copy_weights_back,
    tf_keras_twin,
    twin_difference,
)

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
    "check_parity",
    "cluster",
    "compressed_size",
    "copy_weights_back",
    "describe_artifact",
    "export_mediapipe",
    "export_onnx",
    "export_saved_model",
    "export_tflite",
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
