"""Is an artifact the model it came from, how large is it, how fast?"""

from covseg_tf.deploy.proof.artifact import describe_artifact
from covseg_tf.deploy.proof.bundle_metrics import bundle_metrics
from covseg_tf.deploy.proof.load_predictor import load_predictor
from covseg_tf.deploy.proof.measure import measure_artifact
from covseg_tf.deploy.proof.other_runtimes import (
    RuntimeParity,
    compare_runtimes,
    micro_interpreter,
    openvino_predictor,
)
from covseg_tf.deploy.proof.parity import FlowParity, check_parity
from covseg_tf.deploy.proof.parity_report import ParityReport, parity_table
from covseg_tf.deploy.proof.runtimes import (
    keras_predictor,
    onnx_predictor,
    saved_model_predictor,
    tflite_predictor,
)
from covseg_tf.deploy.proof.sensitivity import (
    LayerSensitivity,
    layer_sensitivity,
    to_text,
)
from covseg_tf.evaluation.predictor import Predictor

__all__ = [
    "FlowParity",
    "LayerSensitivity",
    "ParityReport",
    "Predictor",
    "RuntimeParity",
    "bundle_metrics",
    "check_parity",
    "compare_runtimes",
    "describe_artifact",
    "keras_predictor",
    "layer_sensitivity",
    "load_predictor",
    "measure_artifact",
    "micro_interpreter",
    "onnx_predictor",
    "openvino_predictor",
    "parity_table",
    "saved_model_predictor",
    "tflite_predictor",
    "to_text",
]
