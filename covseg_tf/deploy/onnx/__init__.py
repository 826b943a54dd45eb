"""ONNX files."""

from covseg_tf.deploy.onnx.export import export_onnx

__all__ = ["export_onnx"]
