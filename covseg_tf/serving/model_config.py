"""One model of TensorFlow Serving's `models.config`."""

import dataclasses
import pathlib


@dataclasses.dataclass(frozen=True)
class ModelConfig:
    """What to serve of one base folder.

    Attributes:
        name: Name to serve it under.
        base_path: Folder with one numbered folder for each version.
        latest: How many of the newest versions; `None` for all.
        specific: Versions to serve instead, if any.
        labels: Version by label.
    """

    name: str
    base_path: pathlib.Path
    latest: int | None = 1
    specific: tuple[int, ...] = ()
    labels: dict[str, int] = dataclasses.field(default_factory=dict)

    def pick(self, found: list[int]) -> list[int]:
        """Returns which of the versions found are to be served.

        Args:
            found: All versions in the base folder.

        Raises:
            ValueError: If there is none, or one that is named is missing.
        """
        if not found:
            raise ValueError(
                f"{self.base_path}: holds no version of model {self.name}; expected "
                "folders named by whole numbers."
            )
        missing = set(self.specific) - set(found)
        if missing:
            raise ValueError(
                f"{self.base_path}: holds no version {min(missing)} of model "
                f"{self.name} (found: {sorted(found)})."
            )
        if self.specific:
            return sorted(self.specific)
        return sorted(found)[-self.latest if self.latest else None :]
