"""Keras models."""

from covseg_tf.models.dual_flow_segmenter import DualFlowSegmenter
from covseg_tf.models.edge_encoder import EdgeEncoder
from covseg_tf.models.pyramid_encoder import pyramid_encoder
from covseg_tf.models.region_gates import region_gates

__all__ = ["DualFlowSegmenter", "EdgeEncoder", "pyramid_encoder", "region_gates"]
