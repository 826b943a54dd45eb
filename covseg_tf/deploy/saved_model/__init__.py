"""SavedModels for TF Serving, and its C++ session."""

from covseg_tf.deploy.saved_model.cpp_session import CppSession
from covseg_tf.deploy.saved_model.export import export_saved_model
from covseg_tf.deploy.saved_model.models_config import write_models_config

__all__ = ["CppSession", "export_saved_model", "write_models_config"]
