"""Reads TensorFlow Serving's `models.config`."""

import pathlib
import typing


class ModelConfig(typing.NamedTuple):
    """What to serve of one base folder, `NAME/<number>/`, under which name."""

    name: str
    base_path: pathlib.Path
    labels: dict[str, int]  # version by label
    latest: int | None = 1  # how many of the newest versions; `None` for all
    specific: tuple[int, ...] = ()  # versions to serve instead, if any

    def pick(self, found: set[int]) -> set[int]:
        """Returns which of the versions found in the base folder are to be served.

        Raises:
            ValueError: If there is none, or one that is named is missing.
        """
        if not found:
            raise ValueError(
                f"{self.base_path}: holds no version of model {self.name}; expected "
                "folders named by whole numbers."
            )
        if missing := set(self.specific) - found:
            raise ValueError(
                f"{self.base_path}: holds no version {min(missing)} of model "
                f"{self.name} (found: {sorted(found)})."
            )
        if self.specific or self.latest is None:
            return set(self.specific) or found  # the policy alone decides
        return {*sorted(found)[-self.latest :], *found & set(self.labels.values())}


def read_models_config(path: str | pathlib.Path) -> list[ModelConfig]:
    """Reads a text file of the message `ModelServerConfig`.

    A relative `base_path` is taken from the file's folder; TensorFlow Serving
    takes absolute ones only.

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
    if not message.model_config_list.config:
        raise ValueError(
            f"{path}: lists no model; expected model_config_list {{ config {{ name: "
            '"xray" base_path: "/models/xray" } }.'
        )
    return [_model(x, path.parent) for x in message.model_config_list.config]


def _model(config, folder):
    if not config.name or not config.base_path:
        raise ValueError("models.config: each model needs a name and a base_path.")
    policy = config.model_version_policy
    latest = None if policy.HasField("all") else policy.latest.num_versions or 1
    specific, labels = tuple(policy.specific.versions), dict(config.version_labels)
    base = folder / config.base_path
    return ModelConfig(config.name, base, labels, latest, specific)
