"""Warm-up records, in TF Serving's own protocol buffers."""

import pathlib

import cv2
import numpy as np
import tensorflow as tf

from covseg_tf.deploy.flows import network_input
from covseg_tf.deploy.saved_model.models_config import serving_protocol
from covseg_tf.edge.phantom import draw_phantom
from covseg_tf.edge.preprocessing import PreprocessingSpec

# TF Serving's own limit is 1000 records; it replays each before it is ready.
_RECORDS = pathlib.Path("assets.extra", "tf_serving_warmup_requests")


def write_warm_up(
    saved_model: str | pathlib.Path, name: str, spec: PreprocessingSpec
) -> pathlib.Path:
    """Writes one request of a drawn phantom for each signature.

    Args:
        saved_model: Folder of the SavedModel.
        name: Name under which it is served.
        spec: Its preprocessing.

    Returns:
        Path of the file of records.

    Raises:
        ValueError: If tensorflow-serving-api is missing.
    """
    predict_pb2, prediction_log_pb2 = serving_protocol(
        "apis.predict_pb2", "apis.prediction_log_pb2"
    )
    phantom = draw_phantom(seed=0).image
    image = network_input(spec.apply(phantom), spec)
    file = np.array([cv2.imencode(".png", phantom)[1].tobytes()], object)
    path = pathlib.Path(saved_model) / _RECORDS
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, key, value in (
            ("serving_default", "image", image),
            ("encoded_image", "image_bytes", file),
            ("encoded_image_to_png", "image_bytes", file),
        ):
            request = predict_pb2.PredictRequest()
            request.model_spec.name = name
            request.model_spec.signature_name = signature
            request.inputs[key].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictionLog()
            log.predict_log.request.CopyFrom(request)
            writer.write(log.SerializeToString())
    return path
