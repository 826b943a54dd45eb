"""Keras models."""

from covseg_tf.models.dual_flow_segmenter import DualFlowSegmenter
from covseg_tf.models.edge_encoder import EdgeEncoder
from covseg_tf.models.efficientnet_lite_encoder import EfficientNetLiteEncoder
from covseg_tf.models.infection_threshold import set_infection_threshold
from covseg_tf.models.preset import preset_arguments, preset_names
from covseg_tf.models.preset_weights import save_preset_weights
from covseg_tf.models.pyramid_encoder import pyramid_encoder
from covseg_tf.models.region_gates import region_gates
from covseg_tf.models.torch_state import imagenet_file, read_torch_state

__all__ = [
    "DualFlowSegmenter",
    "EdgeEncoder",
    "EfficientNetLiteEncoder",
    "imagenet_file",
    "preset_arguments",
    "preset_names",
    "pyramid_encoder",
    "read_torch_state",
    "region_gates",
    "save_preset_weights",
    "set_infection_threshold",
]
