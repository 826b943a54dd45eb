"""Exporters and their proofs."""

from covseg_tf.deploy.bundle import write_bundle
from covseg_tf.deploy.parity import FlowParity, check_parity
from covseg_tf.deploy.predictor import Predictor, load_predictor
from covseg_tf.deploy.tflite import export_tflite

__all__ = [
    "FlowParity",
    "Predictor",
    "check_parity",
    "export_tflite",
    "load_predictor",
    "write_bundle",
]
