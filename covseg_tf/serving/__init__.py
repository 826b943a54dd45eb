"""Serving: an embedded model server, and a client for it and TensorFlow Serving."""

import importlib

from covseg_tf.serving.client import Client
from covseg_tf.serving.errors import (
    DeadlineExceeded,
    InvalidRequest,
    NotFound,
    ServerError,
    ServingError,
    TooLarge,
    Unauthorized,
    Unavailable,
)
from covseg_tf.serving.repository import (
    BundleServable,
    ModelRepository,
    SavedModelServable,
    Servable,
    load_repository,
)
from covseg_tf.serving.served_prediction import ServedPrediction
from covseg_tf.serving.server_options import ServerOptions
from covseg_tf.serving.wire import Signature, TensorSpec

# Read on demand: a client needs no web framework.
_WITH_STARLETTE = {
    "EmbeddedServer": "covseg_tf.serving.embedded_server",
    "create_app": "covseg_tf.serving.rest.app",
}

__all__ = [
    "BundleServable",
    "Client",
    "DeadlineExceeded",
    "EmbeddedServer",
    "InvalidRequest",
    "ModelRepository",
    "NotFound",
    "SavedModelServable",
    "Servable",
    "ServedPrediction",
    "ServerError",
    "ServerOptions",
    "ServingError",
    "Signature",
    "TensorSpec",
    "TooLarge",
    "Unauthorized",
    "Unavailable",
    "create_app",
    "load_repository",
]


def __getattr__(name):
    if name in _WITH_STARLETTE:
        return getattr(importlib.import_module(_WITH_STARLETTE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
