"""From folders to servables."""

import pathlib

from covseg_tf.edge import bundled_models
from covseg_tf.edge.bundle import MANIFEST
from covseg_tf.serving.repository.bundle_servable import BundleServable
from covseg_tf.serving.repository.model_repository import ModelRepository
from covseg_tf.serving.repository.models_config import ModelConfig, read_models_config
from covseg_tf.serving.repository.saved_model_servable import SavedModelServable
from covseg_tf.serving.repository.servable import Servable

_SAVED_MODEL = "saved_model.pb"


def load_repository(
    model: str | pathlib.Path | None = None,
    name: str | None = None,
    labels: dict[str, int] | None = None,
    models_config: str | pathlib.Path | None = None,
    workers: int = 1,
    max_image_pixels: int = 25_000_000,
) -> ModelRepository:
    """Loads what is to be served.

    Args:
        model: Name of a bundled model, a bundle's folder, a SavedModel's
            folder, or a base folder with numbered versions, of which the
            newest is served and those that `labels` name.
        name: Name to serve it under; `None` takes the bundle's or the folder's.
        labels: Version by label.
        models_config: TensorFlow Serving's `models.config`, instead of `model`.
        workers: Interpreters for each bundle.
        max_image_pixels: As for `Servable`.

    Returns:
        The repository, every model loaded.

    Raises:
        ValueError: If a model is missing or damaged, or `models_config` is
            given together with one of the first three.
    """
    if (model is None) == (models_config is None):
        raise ValueError("Give either a MODEL or --models-config, one of the two.")
    if models_config is not None and (name or labels):
        raise ValueError(
            "With --models-config, names and labels are those of the file."
        )
    repository, settings = ModelRepository(), (workers, max_image_pixels)
    if models_config is None:
        base = pathlib.Path(str(model))
        if str(model) in bundled_models() or not _versions(base):
            servable = _load_single(model, name, settings)
            repository.add(servable)
            for label, version in (labels or {}).items():
                repository.set_label(servable.name, label, version)
            return repository
        name = name or base.resolve().name
        configs = [ModelConfig(name, base, labels or {})]
    else:
        configs = read_models_config(models_config)
    for config in configs:
        found = _versions(config.base_path)
        for version in sorted(config.pick(set(found))):
            repository.add(_load(found[version], config.name, version, settings))
        for label, version in config.labels.items():
            repository.set_label(config.name, label, version)
    return repository


def _versions(folder) -> dict[int, pathlib.Path]:
    """Returns a base folder's versions; empty if it is none."""
    return {
        int(path.name): path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if path.name.isdecimal() and (_is_saved(path) or (path / MANIFEST).is_file())
    }


def _load_single(model, name, settings) -> Servable:
    folder, is_bundled = pathlib.Path(model), str(model) in bundled_models()
    if not is_bundled and _is_saved(folder):
        folder = folder.resolve()
        if folder.name.isdecimal():
            name, version = name or folder.parent.name, int(folder.name)
            return _load(folder, name, version, settings)
        return _load(folder, name or folder.name, 1, settings)
    if not is_bundled and not folder.is_file():
        _check_is_bundle(folder)
    return _load(model, name, 1, settings)


def _check_is_bundle(folder):
    if (folder / MANIFEST).is_file():
        return
    inside = folder.iterdir() if folder.is_dir() else ()
    bases = sorted(path for path in inside if _versions(path))
    hint = f" Give {' or '.join(map(str, bases[:3]))}." if bases else ""
    raise ValueError(
        f"{folder}: no model there. MODEL is a bundled name "
        f"({', '.join(bundled_models()) or 'none is installed'}), a bundle's folder "
        f"(with {MANIFEST}), a SavedModel's folder (with {_SAVED_MODEL}) or a base "
        f"folder NAME/<number>/ of either.{hint}"
    )


def _load(folder, name, version, settings) -> Servable:
    workers, max_image_pixels = settings
    if str(folder) not in bundled_models() and _is_saved(pathlib.Path(folder)):
        return SavedModelServable(folder, name, version, max_image_pixels)
    return BundleServable(folder, name, version, workers, max_image_pixels)


def _is_saved(folder):
    return (folder / _SAVED_MODEL).is_file()
