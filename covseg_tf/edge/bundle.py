"""The bundle: a folder that holds a model and all that is needed to trust it.

```
NAME/bundle.json      format, modality, preprocessing, labels, metrics, checksums
NAME/model.tflite     the network
NAME/MODEL_CARD.md    what it was trained on, its numbers and its limits
NAME/LICENSE          on what terms the weights may be used
```
"""

import dataclasses
import hashlib
import json
import pathlib

from covseg_tf.edge.guard import MODALITIES
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.edge.readers import ReadersScale

FORMAT = "covseg_bundle"
FORMAT_VERSION = 1
MANIFEST = "bundle.json"
MODEL = "model.tflite"
CARD = "MODEL_CARD.md"
LICENSE = "LICENSE"

_MODELS = pathlib.Path(__file__).parent / "models"


@dataclasses.dataclass(frozen=True)
class Bundle:
    """A verified bundle.

    Attributes:
        name: Name of the model.
        folder: Where it lies.
        preprocessing: How pixels become its input.
        labels: Names of the output maps, for example `("lung", "infection")`.
        threshold: Probability above which a pixel is foreground.
        metrics: Measured numbers, as the exporter wrote them.
        license: SPDX identifier of the weights' licence; the text lies beside.
        export: How the file was made: quantization, calibration, versions.
        model: Bytes of the TFLite file, those whose checksum was verified.
        modality: What it was made for: `"xray"` (frontal chest X-rays) or `"ct"`
            (axial slices). A bundle that does not say is for X-rays.
        readers: How its map becomes a readers' extent, or `None`.
    """

    name: str
    folder: pathlib.Path
    preprocessing: PreprocessingSpec
    labels: tuple[str, ...]
    threshold: float
    metrics: dict
    license: str
    export: dict
    model: bytes = dataclasses.field(repr=False)
    modality: str = "xray"
    readers: ReadersScale | None = None


def bundled_models() -> dict[str, pathlib.Path]:
    """Returns the folders of the models that come with the package, by name."""
    return {
        path.parent.name: path.parent for path in sorted(_MODELS.glob(f"*/{MANIFEST}"))
    }


def load_bundle(model: str | pathlib.Path) -> Bundle:
    """Finds, verifies and reads a bundle.

    Args:
        model: Name of a bundled model (see `bundled_models`), or path of a
            bundle's folder, its `bundle.json` or its `model.tflite`.

    Returns:
        The bundle; every listed file's SHA-256 has been checked.

    Raises:
        ValueError: If there is no such bundle, or it is damaged, incomplete,
            or of a format this version does not read.
    """
    folder = _find(model)
    manifest = _read_manifest(folder)
    try:
        return _bundle(folder, manifest)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"{folder / MANIFEST}: an entry is missing or of another kind "
            f"({type(error).__name__}: {error}). Copy or export the bundle again."
        ) from None


def _bundle(folder, manifest):
    contents = {
        name: _read_verified(folder, name, digest)
        for name, digest in manifest["files"].items()
    }
    missing = [name for name in (MODEL, CARD, LICENSE) if name not in contents]
    if missing:
        raise ValueError(
            f"{folder}: the bundle lists no {', '.join(missing)}. Export it again."
        )
    return Bundle(
        name=manifest["name"],
        folder=folder,
        preprocessing=PreprocessingSpec.from_dict(manifest["preprocessing"]),
        labels=tuple(manifest["labels"]),
        threshold=float(manifest["threshold"]),
        metrics=manifest["metrics"],
        license=manifest["license"],
        export=manifest["export"],
        model=contents[MODEL],
        modality=_modality(folder, manifest),
        readers=_readers(folder, manifest),
    )


def manifest_digest(manifest: dict) -> str:
    """Returns the SHA-256 of a manifest without its own `"sha256"` entry."""
    fields = {key: value for key, value in manifest.items() if key != "sha256"}
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _find(model):
    bundled = bundled_models()
    if str(model) in bundled:
        return bundled[str(model)]
    path = pathlib.Path(model)
    folder = path.parent if path.name in (MANIFEST, MODEL) else path
    if not (folder / MANIFEST).is_file():
        raise ValueError(
            f"{model}: no such model. Expected one of the bundled models "
            f"({', '.join(bundled) or 'none is installed'}) or a bundle's folder "
            f"with a {MANIFEST} in it."
        )
    return folder


def _read_manifest(folder):
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
        damaged = manifest["sha256"] != manifest_digest(manifest)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{folder / MANIFEST}: unreadable ({type(error).__name__}: {error}). "
            "Copy or export the bundle again."
        ) from None
    if damaged:
        raise ValueError(
            f"{folder / MANIFEST}: the checksum does not match, the file was "
            "changed or damaged. Copy or export the bundle again."
        )
    found = (manifest.get("format"), manifest.get("format_version"))
    if found != (FORMAT, FORMAT_VERSION):
        raise ValueError(
            f"{folder / MANIFEST}: format {found[0]} version {found[1]} is not "
            f"read here, expected {FORMAT} version {FORMAT_VERSION}. Update "
            "covseg_tf or export the bundle again."
        )
    return manifest


def _modality(folder, manifest):
    modality = manifest.get("modality", "xray")
    if modality not in MODALITIES:
        raise ValueError(
            f"{folder / MANIFEST}: the modality must be one of {MODALITIES}. "
            f"Received: {modality!r}. Update covseg_tf or export the bundle again."
        )
    return modality


def _readers(folder, manifest):
    if manifest.get("readers") is None:
        return None
    try:
        return ReadersScale.from_dict(manifest["readers"])
    except ValueError as error:
        raise ValueError(
            f"{folder / MANIFEST}: {error}. Copy or export the bundle again."
        ) from None


def _read_verified(folder, name, digest):
    path = folder / name
    if pathlib.PurePath(name).name != name:
        raise ValueError(f"{folder}: the bundle lists a file outside it: {name!r}.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{path}: {error.strerror}, but the bundle lists it. Copy or export "
            "the bundle again."
        ) from None
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(
            f"{path}: the checksum does not match, the file was changed or "
            "damaged. Copy or export the bundle again."
        )
    return data
