"""Reads TensorFlow Serving's `models.config`."""

import pathlib

from covseg_tf.serving.model_config import ModelConfig


def read_models_config(path: str | pathlib.Path) -> list[ModelConfig]:
    """Reads a text file of the message `ModelServerConfig`.

    A relative `base_path` is taken from the file's folder; TensorFlow Serving
    takes absolute ones only.

    Args:
        path: The file.

    Returns:
        One entry for each model.

    Raises:
        ValueError: If tensorflow-serving-api is missing, or the file is
            unreadable or lists no model.
    """
    path = pathlib.Path(path)
    try:
        from google.protobuf import text_format
        from tensorflow_serving.config import model_server_config_pb2
    except ImportError as error:
        raise ValueError(
            f"{path}: needs {error.name}; install it with pip install "
            "'covseg-tf[serving]'."
        ) from None
    message = model_server_config_pb2.ModelServerConfig()
    try:
        text_format.Parse(path.read_text("utf-8"), message)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise ValueError(f"{path}: cannot be read ({error}).") from None
    configs = [
        _model(config, path.parent) for config in message.model_config_list.config
    ]
    if not configs:
        raise ValueError(
            f"{path}: lists no model; expected model_config_list {{ config {{ name: "
            '"xray" base_path: "/models/xray" } }.'
        )
    return configs


def _model(config, folder):
    policy = config.model_version_policy
    kind = policy.WhichOneof("policy_choice")
    latest = None if kind == "all" else 1
    if kind == "latest":
        latest = policy.latest.num_versions or 1
    if not config.name or not config.base_path:
        raise ValueError("models.config: each model needs a name and a base_path.")
    return ModelConfig(
        name=config.name,
        base_path=folder / config.base_path,
        latest=latest,
        specific=tuple(policy.specific.versions) if kind == "specific" else (),
        labels=dict(config.version_labels),
    )
