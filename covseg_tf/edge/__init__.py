"""The edge runtime: NumPy, OpenCV and LiteRT; no TensorFlow, no Keras."""

from covseg_tf.edge.bundle import Bundle, bundled_models, load_bundle
from covseg_tf.edge.phantom import draw_phantom
from covseg_tf.edge.prediction import Involvement, Prediction
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.edge.readers import ReadersScale
from covseg_tf.edge.segmenter import Segmenter
from covseg_tf.edge.zones import Zones
from covseg_tf.imaging import read_image

__all__ = [
    "Bundle",
    "Involvement",
    "Prediction",
    "PreprocessingSpec",
    "ReadersScale",
    "Segmenter",
    "Zones",
    "bundled_models",
    "draw_phantom",
    "load_bundle",
    "read_image",
]
