"""Writes the bundles that `covseg_tf.edge.load_bundle` reads."""

import contextlib
import hashlib
import importlib.metadata
import json
import pathlib
import textwrap

from covseg_tf.deploy.whole_file import whole_folder
from covseg_tf.edge.bundle import (
    CARD,
    FORMAT,
    FORMAT_VERSION,
    LICENSE,
    MANIFEST,
    MODEL,
    manifest_digest,
)
from covseg_tf.edge.guard import MODALITIES
from covseg_tf.edge.preprocessing import PreprocessingSpec
from covseg_tf.edge.readers import ReadersScale

UNSTATED = "LicenseRef-unstated"
_UNSTATED_TEXT = """\
Whoever exported this bundle stated no licence for its weights. Ask them before you
use or share it.
"""
_TRAINED = (
    "The weights in this bundle were trained on {data}, whose images are shared for "
    "research. {start}The weights are shared under "
    "Creative Commons Attribution-NonCommercial-ShareAlike 4.0 International, "
    "https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode"
)
_START = (
    "Training started from the ImageNet weights of EfficientNet-Lite0, by Google, "
    "published by ML Illustrated under the Apache License 2.0. "
)
_USE = (
    "Research use only: not a medical device, not for diagnosis, and without warranty "
    "of any kind. The code that runs them is covseg_tf, Apache-2.0."
)
_XRAYS = "COVID-QU-Ex (Tahir et al. 2021)"
_HOSPITALS = (
    "COVID-QU-Ex (Tahir et al. 2021), RALO (Stony Brook University Hospital), "
    "ChestX-ray14 (NIH Clinical Center), the TB chest X-rays of Pakistan, NLM and "
    "Belarus, and Kermany's films of children"
)
_SLICES = f"{_XRAYS} and then on COVID-19-CT-Seg (Ma et al. 2021)"


def _license(data, start=""):
    paragraphs = (_TRAINED.format(data=data, start=start), _USE)
    text = "\n\n".join(textwrap.fill(p, 88) for p in paragraphs)
    return "CC-BY-NC-SA-4.0", f"{text}\n"


XRAY_LICENSE = _license(_HOSPITALS, _START)
CT_LICENSE = _license(_SLICES, _START)


def write_bundle(
    folder: str | pathlib.Path,
    model: bytes,
    spec: PreprocessingSpec,
    metrics: dict,
    model_card: str,
    threshold: float = 0.5,
    license: tuple[str, str] = (UNSTATED, _UNSTATED_TEXT),
    export: dict | None = None,
    modality: str = "xray",
    readers: ReadersScale | None = None,
) -> pathlib.Path:
    """Writes a bundle, whole or not at all.

    Args:
        folder: The bundle's folder; its last part becomes the model's name.
        model: TFLite file from `export_tflite`.
        spec: The preprocessing.
        metrics: JSON-ready dict of measured numbers.
        model_card: Markdown: data, split, protocol, numbers, limits.
        threshold: Probability above which a pixel is foreground.
        license: Licence of the weights: SPDX identifier, and the text or notice
            that goes into the bundle.
        export: JSON-ready dict of how the file was made: quantization, number of
            calibration images, command. Versions are added.
        modality: `"xray"` or `"ct"`, what the network was trained on. Defaults to
            `"xray"`.
        readers: How the infection map becomes a readers' extent; without it the
            extent is the outline's.

    Returns:
        Path of the folder.

    Raises:
        ValueError: If the folder exists, `threshold` is not in (0, 1), or
            `modality` is unknown.
    """
    folder = pathlib.Path(folder)
    if folder.exists():
        raise ValueError(f"{folder}: exists and is not overwritten; remove it first.")
    if not 0 < threshold < 1:
        raise ValueError(f"`threshold` must be in (0, 1). Received: {threshold}")
    if modality not in MODALITIES:
        raise ValueError(
            f"`modality` must be one of {MODALITIES}. Received: {modality}"
        )
    identifier, text = license
    contents = {MODEL: model, CARD: model_card.encode(), LICENSE: text.encode()}
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": folder.name,
        "modality": modality,
        "preprocessing": spec.to_dict(),
        "labels": ["lung", "infection"],
        "threshold": threshold,
        **({} if readers is None else {"readers": readers.to_dict()}),
        "metrics": metrics,
        "license": identifier,
        "export": {**(export or {}), "versions": _versions()},
        "files": {k: hashlib.sha256(v).hexdigest() for k, v in contents.items()},
    }
    manifest["sha256"] = manifest_digest(manifest)
    contents[MANIFEST] = (json.dumps(manifest, indent=2) + "\n").encode()
    with whole_folder(folder) as draft:
        for name, data in contents.items():
            (draft / name).write_bytes(data)
    return folder


def _versions():
    names = ("covseg-tf", "keras", "tensorflow", "ai-edge-litert")
    found = {}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found
