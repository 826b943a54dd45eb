"""What can be served: a bundle or a SavedModel each, by name, version and label."""

from covseg_tf.serving.repository.bundle_servable import BundleServable
from covseg_tf.serving.repository.load_repository import load_repository
from covseg_tf.serving.repository.model_repository import ModelRepository
from covseg_tf.serving.repository.saved_model_servable import SavedModelServable
from covseg_tf.serving.repository.servable import Servable

__all__ = [
    "BundleServable",
    "ModelRepository",
    "SavedModelServable",
    "Servable",
    "load_repository",
]
