"""Which models are served, in which versions, under which labels."""

from covseg_tf.serving.errors import InvalidRequest, NotFound
from covseg_tf.serving.repository.servable import Servable


class ModelRepository:
    """Servables by name and version, and labels for versions.

    Filled before the server starts and only read afterwards, so that threads
    may share it.
    """

    def __init__(self):
        self._models: dict[str, dict[int, Servable]] = {}
        self._labels: dict[str, dict[str, int]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the models, sorted."""
        return tuple(sorted(self._models))

    def add(self, servable: Servable) -> None:
        """Adds one version of a model.

        Raises:
            ValueError: If that version is there already.
        """
        versions = self._models.setdefault(servable.name, {})
        if servable.version in versions:
            raise ValueError(
                f"Version {servable.version} of model {servable.name} is already "
                "served; give each folder its own name and version."
            )
        versions[servable.version] = servable

    def set_label(self, name: str, label: str, version: int) -> None:
        """Lets a label, for example `"stable"`, stand for a version of a model.

        Raises:
            ValueError: If that version is not served.
        """
        versions = self._models.get(name, {})
        if version not in versions:
            raise ValueError(
                f"Label {label!r} is to mean version {version} of model {name}, "
                f"which is not served (served: {sorted(versions)})."
            )
        self._labels.setdefault(name, {})[label] = version

    def get(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> Servable:
        """Finds the servable that a request means.

        Args:
            name: Name of the model.
            version: Its version, or `None`.
            label: A label, or `None`. With neither, the newest version.

        Raises:
            ServingError: `NotFound` for an unknown model or version,
                `InvalidRequest` for an unknown label.
        """
        version = self._labelled(name, label, version)
        versions = self._models.get(name, {})
        wanted = max(versions, default=None) if version is None else version
        if wanted not in versions:
            request = f"Latest({name})"
            if version is not None:
                request = f"Specific({name}, {version})"
            raise NotFound(f"Servable not found for request: {request}")
        return versions[wanted]

    def versions(
        self, name: str, version: int | None = None, label: str | None = None
    ) -> list[int]:
        """Returns the versions that a status request means, newest first.

        Arguments and errors are those of `get`, but that with neither version nor
        label all are meant.
        """
        version = self._labelled(name, label, version)
        versions = self._models.get(name, {})
        if version is not None and version not in versions:
            raise NotFound(f"Could not find version {version} of model {name}")
        if not versions:
            raise NotFound(f"Could not find any versions of model {name}")
        return sorted(versions, reverse=True) if version is None else [version]

    def _labelled(self, name, label, version):
        if label is None:
            return version
        labels = self._labels.get(name, {})
        if label not in labels:
            raise InvalidRequest(f"Unrecognized servable version label: {label}")
        return labels[label]
