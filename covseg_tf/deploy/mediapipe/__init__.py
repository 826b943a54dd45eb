"""TFLite files for MediaPipe's ImageSegmenter."""

from covseg_tf.deploy.mediapipe.export import export_mediapipe

__all__ = ["export_mediapipe"]
