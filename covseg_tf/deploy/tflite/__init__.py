"""TFLite files: made by TensorFlow, quantized by ai-edge-quantizer, read."""

from covseg_tf.deploy.tflite.ai_edge import quantize_with_ai_edge
from covseg_tf.deploy.tflite.contents import operator_names, read_schema
from covseg_tf.deploy.tflite.devices import (
    DeviceReport,
    check_devices,
    devices_table,
)
from covseg_tf.deploy.tflite.export import (
    INTERFACES,
    QUANTIZATIONS,
    convert_network,
    export_tflite,
)
from covseg_tf.deploy.tflite.layers import layer_tensors
from covseg_tf.deploy.tflite.micro import micro_source

__all__ = [
    "DeviceReport",
    "INTERFACES",
    "QUANTIZATIONS",
    "check_devices",
    "convert_network",
    "devices_table",
    "export_tflite",
    "layer_tensors",
    "micro_source",
    "operator_names",
    "quantize_with_ai_edge",
    "read_schema",
]
