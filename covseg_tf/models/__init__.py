"""Keras models."""

from covseg_tf.models.dual_flow_segmenter import DualFlowSegmenter
from covseg_tf.models.edge_encoder import EdgeEncoder

__all__ = ["DualFlowSegmenter", "EdgeEncoder"]
