"""Many images and their masks in one small file, decoded to memory at once."""

import concurrent.futures
import dataclasses
import json
import pathlib
from collections.abc import Iterable, Mapping

import cv2
import numpy as np

_LOSSLESS = 101  # OpenCV: a WebP quality above 100
# A mask plane holds both masks.
_LUNG, _INFECTION = 1, 2


@dataclasses.dataclass(frozen=True)
class PackedImages:
    """What a packed file holds, decoded.

    Attributes:
        rows: One dict of facts per image, as they were packed (`name`, `split`, ...),
            with `has_lung` and `has_infection`: whether that mask was drawn.
        images: uint8 `(images, height, width)`, grey.
        lungs: uint8 `(images, height, width)` of 0 and 1; 0 where not drawn.
        infections: Likewise.
    """

    rows: list[dict]
    images: np.ndarray
    lungs: np.ndarray
    infections: np.ndarray


def write_packed(
    path: str | pathlib.Path,
    planes: Iterable[tuple[Mapping, np.ndarray, np.ndarray | None, np.ndarray | None]],
    workers: int | None = None,
) -> dict:
    """Packs images and masks of one size as WebP into one `.npz` file.

    Args:
        path: The file; one that exists is replaced.
        planes: Per image `(facts, image, lung, infection)`: a dict that JSON can hold,
            uint8 grey pixels `(height, width)`, and two masks of that shape, non-zero
            is foreground, or `None` where nobody drew one. A fact `"quality"`, 1 to
            100, is WebP's for this image; without it the image is lossless, as masks
            always are.
        workers: Threads that encode; `None` (default) for as many as Python thinks
            good.

    Returns:
        Dict `{"images": n, "bytes": size of the file, "image_bytes", "mask_bytes"}`.

    Raises:
        ValueError: If there is no image, or the shapes differ.
    """
    rows: list[dict] = []
    todo: list = []
    for facts, image, lung, infection in planes:
        _check_shapes(facts, image, lung, infection, todo)
        drawn = {"has_lung": lung is not None, "has_infection": infection is not None}
        rows.append(dict(facts) | drawn)
        label = np.zeros(image.shape, np.uint8)
        for mask, bit in ((lung, _LUNG), (infection, _INFECTION)):
            if mask is not None:
                label |= np.where(mask > 0, bit, 0).astype(np.uint8)
        todo += [(image, facts.get("quality", _LOSSLESS)), (label, _LOSSLESS)]
    if not rows:
        raise ValueError("There is no image to pack.")
    # OpenCV lets go of the interpreter's lock while it works.
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        done = list(pool.map(_encode, todo))
    images, masks = done[::2], done[1::2]
    path = pathlib.Path(path)
    with path.open("wb") as stream:
        np.savez(
            stream,
            rows=np.frombuffer(json.dumps(rows).encode(), np.uint8),
            images=np.concatenate(images),
            image_ends=np.cumsum([len(x) for x in images]),
            masks=np.concatenate(masks),
            mask_ends=np.cumsum([len(x) for x in masks]),
        )
    return {
        "images": len(rows),
        "bytes": path.stat().st_size,
        "image_bytes": sum(map(len, images)),
        "mask_bytes": sum(map(len, masks)),
    }


def read_packed(path: str | pathlib.Path, workers: int | None = None) -> PackedImages:
    """Decodes a packed file to memory, on several cores.

    Args:
        path: What `write_packed` wrote.
        workers: Threads that decode; `None` (default) for as many as Python thinks
            good.

    Returns:
        All images, in the order in which they were packed.

    Raises:
        ValueError: If the file is missing or no packed file.
    """
    try:
        with np.load(path) as file:
            held = {name: file[name] for name in file.files}
        rows = json.loads(held["rows"].tobytes())
        parts = [
            np.split(held[kind], held[ends][:-1])
            for kind, ends in (("images", "image_ends"), ("masks", "mask_ends"))
        ]
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}.") from None
    except Exception as error:
        raise ValueError(
            f"{path}: not a packed file ({error}); write it with `write_packed`."
        ) from None
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        images, labels = (np.stack(list(pool.map(_decode, part))) for part in parts)
    return PackedImages(
        rows,
        images,
        (labels & _LUNG).astype(np.uint8),
        (labels // _INFECTION).astype(np.uint8),
    )


def _check_shapes(facts, image, lung, infection, before):
    shape = before[0][0].shape if before else image.shape
    for plane in (image, lung, infection):
        if plane is not None and plane.shape != shape:
            raise ValueError(
                "Packed images and masks have one size; prepare them with one "
                f"PreprocessingSpec. Received: {plane.shape} after {shape}, in "
                f"{facts.get('name')!r}"
            )


def _encode(plane_and_quality):
    plane, quality = plane_and_quality
    return cv2.imencode(".webp", plane, [cv2.IMWRITE_WEBP_QUALITY, quality])[1].ravel()


def _decode(data):
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
