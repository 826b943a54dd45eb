"""Changes that leave a picture what it is, and changes that do not.

All take a NumPy generator and uint8 `(rows, columns)` and return the same.
"""

import cv2
import numpy as np

SIDE = 256


def resize(pixels, side=SIDE):
    return cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA)


def vary(rng, pixels, turn=18):
    """A harmless change: framing, tilt up to `turn` degrees, tone, noise, marks."""
    pixels = resize(frame(rng, pixels))
    if rng.random() < 0.6:
        pixels = tilt(rng, pixels, rng.uniform(-turn, turn))
    pixels = tone(rng, pixels)
    if rng.random() < 0.5:
        pixels = mark(rng, pixels)
    return degrade(rng, pixels)


def frame(rng, pixels):
    rows, columns = pixels.shape
    if rng.random() < 0.7:
        top, bottom = (int(x * rows) for x in rng.uniform(0, 0.08, 2))
        left, right = (int(x * columns) for x in rng.uniform(0, 0.08, 2))
        pixels = pixels[top : rows - bottom, left : columns - right]
    if rng.random() < 0.3:
        edges = [int(x * rows) for x in rng.uniform(0, 0.12, 4)]
        level = 0 if rng.random() < 0.8 else 255
        pixels = cv2.copyMakeBorder(pixels, *edges, cv2.BORDER_CONSTANT, value=level)
    return pixels


def tilt(rng, pixels, degrees):
    rows, columns = pixels.shape
    matrix = cv2.getRotationMatrix2D((columns / 2, rows / 2), degrees, 1.0)
    border = cv2.BORDER_CONSTANT if rng.random() < 0.6 else cv2.BORDER_REPLICATE
    return cv2.warpAffine(pixels, matrix, (columns, rows), borderMode=border)


def tone(rng, pixels):
    if rng.random() < 0.2:
        clip = rng.uniform(1, 6)
        pixels = cv2.createCLAHE(clip, (8, 8)).apply(pixels)
    values = pixels / 255.0
    values = values ** np.exp(rng.uniform(-0.6, 0.6))
    values = 0.5 + (values - 0.5) * rng.uniform(0.6, 1.3) + rng.uniform(-0.12, 0.12)
    return np.clip(values * 255, 0, 255).astype(np.uint8)


def mark(rng, pixels):
    """A letter, a label or a rectangle near the edge."""
    pixels = pixels.copy()
    for _ in range(rng.integers(1, 4)):
        x, y = rng.uniform(0.01, 0.9), rng.choice([0.06, 0.1, 0.15, 0.93, 0.97])
        text = "".join(rng.choice(list("RLAPPORTABLE12345 "), rng.integers(1, 10)))
        corner = (int(x * SIDE), int(y * SIDE))
        level = int(rng.choice([255, 220, 0]))
        scale, width = rng.uniform(0.3, 0.9), int(rng.integers(1, 3))
        cv2.putText(pixels, text, corner, rng.integers(0, 4), scale, level, width)
    return pixels


def degrade(rng, pixels):
    if rng.random() < 0.3:
        pixels = cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.3, 2.5))
    if rng.random() < 0.3:
        noise = rng.normal(0, rng.uniform(1, 12), pixels.shape)
        pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(15, 95))]
        pixels = cv2.imdecode(cv2.imencode(".jpg", pixels, quality)[1], 0)
    return pixels


def turn(rng, pixels):
    """On its side, on its head, or mirrored from top to bottom."""
    kind = rng.integers(4)
    pixels = np.ascontiguousarray(np.rot90(pixels, kind) if kind else pixels[::-1])
    return tilt(rng, pixels, rng.uniform(-10, 10))


def reorient(rng, pixels):
    """Any of the eight orientations of a slice."""
    pixels = np.rot90(pixels, rng.integers(4))
    return np.ascontiguousarray(pixels if rng.random() < 0.5 else pixels[:, ::-1])


def narrow(rng, pixels):
    """As a window of Hounsfield units shows a slice: the lungs nearer to black."""
    low, high = rng.uniform(10, 90), rng.uniform(150, 255)
    values = (pixels - low) / (high - low)
    pixels = np.clip(255 * values, 0, 255).astype(np.uint8)
    return cv2.GaussianBlur(pixels, (0, 0), rng.uniform(0.3, 1.5))


def tighten(rng, pixels, most=0.3):
    """As figures are cut: the air around, and some of what is in it, is gone."""
    rows, columns = pixels.shape
    top, bottom = (int(x * rows) for x in rng.uniform(0.02, most, 2))
    left, right = (int(x * columns) for x in rng.uniform(0.02, most / 2, 2))
    return resize(pixels[top : rows - bottom, left : columns - right])


def jigsaw(rng, pixels):
    """Its tiles in another order."""
    count = int(rng.integers(2, 6))
    size = SIDE // count
    pixels = resize(pixels, size * count)
    tiles = [
        pixels[r * size : (r + 1) * size, c * size : (c + 1) * size]
        for r in range(count)
        for c in range(count)
    ]
    order = rng.permutation(len(tiles))
    while (order == np.arange(len(tiles))).mean() > 0.3:
        order = rng.permutation(len(tiles))
    rows = [
        np.hstack([tiles[i] for i in order[r * count : (r + 1) * count]])
        for r in range(count)
    ]
    return resize(np.vstack(rows))


def warp(rng, pixels):
    """Bent beyond anatomy."""
    cells = int(rng.integers(4, 7))
    moves = [
        cv2.resize(
            rng.uniform(-70, 70, (cells, cells)).astype(np.float32),
            (SIDE, SIDE),
            interpolation=cv2.INTER_CUBIC,
        )
        for _ in range(2)
    ]
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    return cv2.remap(
        resize(pixels),
        x + moves[0],
        y + moves[1],
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REFLECT,
    )


def detail(rng, pixels, shares=(0.2, 0.5)):
    """A part, as large as `shares` of the side."""
    share = rng.uniform(*shares)
    rows, columns = (max(8, int(share * x)) for x in pixels.shape)
    top = rng.integers(0, pixels.shape[0] - rows + 1)
    left = rng.integers(0, pixels.shape[1] - columns + 1)
    return resize(pixels[top : top + rows, left : left + columns])


def collage(rng, pictures):
    """Two beside or above each other, four, or one that is small on a page."""
    kind = rng.integers(4)
    half = [resize(p, SIDE // 2) for p in pictures]
    if kind == 0:
        return resize(np.hstack([resize(p) for p in pictures[:2]]))
    if kind == 1:
        return resize(np.vstack([resize(p) for p in pictures[:2]]))
    if kind == 2:
        return np.vstack([np.hstack(half[:2]), np.hstack(half[2:4])])
    page = np.full((SIDE, SIDE), int(rng.choice([0, 40, 255])), np.uint8)
    side = int(rng.uniform(0.2, 0.5) * SIDE)
    top, left = rng.integers(0, SIDE - side, 2)
    page[top : top + side, left : left + side] = resize(pictures[0], side)
    return page
