"""Tells images that are copies of each other.

A copy that was scaled, recompressed or brightened has another digest, so near
duplicates are told by two measures that both must agree: a difference hash and
the correlation of thumbnails without their coarse shades, which are alike in
all chest films. Measured on pairs that are no copies, and on copies made by
scaling (0.7 and 2), JPEG at quality 60, +10 % brightness and a gamma of 0.8:

| | hash bits of 256, least | correlation, most |
|---|---|---|
| COVID-QU-Ex, Train x Val (2518 x 429) | 18 | 0.841 |
| COVID-19-CT-Seg, slices of other patients (422 x 99) | 52 | 0.453 |
| copies | 31 (most) | 0.969 (least) |

Of the COVID-QU-Ex pairs within 32 bits, none correlates by more than 0.66. A
crop, even by 2 % of the side, or another film of the patient is not found. A
hash of 64 bits alone takes 2796 pairs of COVID-QU-Ex for copies. Phantoms of
256 pixels and more are told as copies: one formula draws them, and they
correlate by up to 0.99.
"""

import dataclasses
import hashlib

import cv2
import numpy as np

HASH_BITS = 32
CORRELATION = 0.96
_HASH_SIDE = 16
_THUMB_SIDE = 64
_SHADES = 2.0


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """What is kept of an image to find its copies.

    Attributes:
        digest: SHA-256 of the size and the grey levels.
        bits: Difference hash, 256 bits as uint64 `(4,)`: does a pixel of the
            17 x 16 thumbnail rise to its right neighbour.
        thumb: float16 `(4096,)`, the 64 x 64 thumbnail less its blur (Gauss, 2
            pixels), mean 0 and norm 1.
    """

    digest: str
    bits: np.ndarray
    thumb: np.ndarray


def take_fingerprint(grey: np.ndarray) -> Fingerprint:
    """Returns the fingerprint of uint8 grey levels `(rows, columns)`."""
    digest = hashlib.sha256(f"{grey.shape}".encode())
    digest.update(np.ascontiguousarray(grey).tobytes())
    small = _shrink(grey, _HASH_SIDE + 1, _HASH_SIDE)
    bits = np.packbits(small[:, 1:] > small[:, :-1]).view(np.uint64)
    thumb = _shrink(grey, _THUMB_SIDE, _THUMB_SIDE).astype(np.float32)
    thumb -= cv2.GaussianBlur(thumb, (0, 0), _SHADES)
    thumb -= thumb.mean()
    # A blank image stays 0, which correlates with nothing.
    thumb /= max(float(np.linalg.norm(thumb)), 1e-3)
    return Fingerprint(digest.hexdigest(), bits, thumb.ravel().astype(np.float16))


def find_near(
    first: list[Fingerprint], second: list[Fingerprint]
) -> list[tuple[int, int]]:
    """Returns pairs of indices, one into each list, of images that look equal.

    Hashes differ in at most 32 of 256 bits and thumbnails correlate by at least
    0.96; equal digests are left out.
    """
    if not first or not second:
        return []
    bits = np.stack([f.bits for f in second])
    pairs = []
    for i, one in enumerate(first):
        distance = np.bitwise_count(bits ^ one.bits).sum(axis=1)
        for j in np.nonzero(distance <= HASH_BITS)[0].tolist():
            product = one.thumb.astype(np.float32) * second[j].thumb
            if product.sum() >= CORRELATION and one.digest != second[j].digest:
                pairs.append((i, j))
    return pairs


def _shrink(grey, width, height):
    return cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA)
