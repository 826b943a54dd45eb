"""Exporters and their proofs."""

from covseg_tf.deploy.bundle import write_bundle
from covseg_tf.deploy.parity import FlowParity, check_parity
from covseg_tf.deploy.tflite import export_tflite

__all__ = ["FlowParity", "check_parity", "export_tflite", "write_bundle"]
