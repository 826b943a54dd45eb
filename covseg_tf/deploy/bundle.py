"""Writes the bundles that `covseg_tf.edge.load_bundle` reads."""

import hashlib
import json
import pathlib
import shutil
import tempfile

from covseg_tf.edge.bundle import (
    CARD,
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    MODEL,
    manifest_digest,
)
from covseg_tf.edge.preprocessing import PreprocessingSpec


def write_bundle(
    folder: str | pathlib.Path,
    model: bytes,
    spec: PreprocessingSpec,
    metrics: dict,
    model_card: str,
    threshold: float = 0.5,
) -> pathlib.Path:
    """Writes a bundle, whole or not at all.

    Args:
        folder: The bundle's folder; its last part becomes the model's name.
        model: TFLite file from `export_tflite`.
        spec: The preprocessing.
        metrics: JSON-ready dict of measured numbers.
        model_card: Markdown: data, split, protocol, numbers, limits.
        threshold: Probability above which a pixel is foreground.

    Returns:
        Path of the folder.

    Raises:
        ValueError: If the folder exists, or `threshold` is not in (0, 1).
    """
    folder = pathlib.Path(folder)
    if folder.exists():
        raise ValueError(f"{folder}: exists and is not overwritten; remove it first.")
    if not 0 < threshold < 1:
        raise ValueError(f"`threshold` must be in (0, 1). Received: {threshold}")
    contents = {MODEL: model, CARD: model_card.encode()}
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "name": folder.name,
        "preprocessing": spec.to_dict(),
        "labels": ["lung", "infection"],
        "threshold": threshold,
        "metrics": metrics,
        "files": {k: hashlib.sha256(v).hexdigest() for k, v in contents.items()},
    }
    manifest["sha256"] = manifest_digest(manifest)
    contents[MANIFEST] = (json.dumps(manifest, indent=2) + "\n").encode()

    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = pathlib.Path(tempfile.mkdtemp(prefix=".bundle-", dir=folder.parent))
    try:
        for name, data in contents.items():
            (draft / name).write_bytes(data)
        draft.chmod(0o755)
        draft.rename(folder)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return folder
