"""Keras layers: building blocks that work in any model."""

from covseg_tf.layers.annotator_style import AnnotatorStyle
from covseg_tf.layers.region_fusion_attention import RegionFusionAttention

__all__ = ["AnnotatorStyle", "RegionFusionAttention"]
