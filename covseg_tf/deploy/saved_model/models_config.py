"""TF Serving's `models.config`."""

import importlib
import pathlib

from covseg_tf.deploy.packages import needs
from covseg_tf.deploy.whole_file import write_whole


def serving_protocol(*modules: str) -> list:
    """Returns modules of tensorflow-serving-api.

    Args:
        *modules: Their names within `tensorflow_serving`.

    Raises:
        ValueError: If the package is missing.
    """
    with needs("serving"):
        return [importlib.import_module(f"tensorflow_serving.{m}") for m in modules]


def write_models_config(
    path: str | pathlib.Path,
    name: str,
    base_path: str,
    versions: tuple[int, ...] = (),
    labels: dict[str, int] | None = None,
) -> pathlib.Path:
    """Writes TF Serving's `models.config` for one model.

    Args:
        path: The file; must not exist.
        name: Name under which clients ask for the model.
        base_path: Its base folder as the server sees it, `/models/xray`.
        versions: Versions to load; empty for the latest only.
        labels: Dict from label to version, for example
            `{"stable": 1, "canary": 2}`; clients may then ask for a label. The
            versions must be loaded.

    Returns:
        Path of the file.

    Raises:
        ValueError: If the file exists, or a label's version is not loaded, or
            tensorflow-serving-api is missing.
    """
    path = pathlib.Path(path)
    if path.exists():
        raise ValueError(f"{path}: exists and is not overwritten; remove it first.")
    missing = set((labels or {}).values()) - set(versions)
    if missing:
        raise ValueError(
            f"Labels need versions that are loaded; add {sorted(missing)} to "
            f"`versions`. Received: versions={versions}, labels={labels}"
        )
    (model_server_config_pb2,) = serving_protocol("config.model_server_config_pb2")
    from google.protobuf import text_format

    document = model_server_config_pb2.ModelServerConfig()
    config = document.model_config_list.config.add(
        name=name, base_path=base_path, model_platform="tensorflow"
    )
    if versions:
        config.model_version_policy.specific.versions.extend(versions)
    config.version_labels.update(labels or {})
    write_whole(path, text_format.MessageToString(document).encode())
    return path
