"""Phantom chest X-rays: drawn by formula, so that anyone may share them."""

import dataclasses

import cv2
import numpy as np


@dataclasses.dataclass(frozen=True)
class Phantom:
    """A drawn chest X-ray with its true masks.

    Attributes:
        image: uint8 `(size, size)`, bright where the body stops the beam.
        lung_mask: bool `(size, size)`.
        infection_mask: bool `(size, size)`, inside the lungs.
    """

    image: np.ndarray
    lung_mask: np.ndarray
    infection_mask: np.ndarray


def draw_phantom(seed: int, severity: float = 0.5, size: int = 512) -> Phantom:
    """Draws a chest phantom: body, lungs, spine, heart, ribs, opacities.

    It has the layout and the grey levels of a frontal film, and no claim to
    anatomy: good for demos and tests, useless for training a clinical model.

    Args:
        seed: Seed of all that varies; equal arguments give equal pixels.
        severity: Share of the lungs that opacities aim to cover, `[0, 1]`;
            0 draws healthy lungs. Defaults to 0.5.
        size: Side in pixels, at least 64. Defaults to 512.

    Returns:
        The phantom.

    Raises:
        ValueError: If `severity` or `size` is out of range.
    """
    if not 0 <= severity <= 1 or size < 64:
        raise ValueError(
            "`severity` must be in [0, 1] and `size` at least 64. Received: "
            f"severity={severity}, size={size}"
        )
    rng = np.random.default_rng(seed)
    grid = _Grid(size)
    lungs = _lungs(grid, rng)
    infection = _opacities(grid, lungs, severity, rng)

    image = 0.06 + 0.52 * grid.soft(_body(grid), 0.012)
    depth = grid.soft(lungs, 0.012)
    image -= 0.36 * depth
    image += 0.22 * grid.soft(_spine(grid), 0.02)
    image += 0.20 * grid.soft(_heart(grid, rng) & ~lungs, 0.015)
    image += 0.10 * _vessels(grid, rng) * depth
    image += _ribs(grid, rng) * grid.soft(_body(grid), 0.01)
    haze = 0.75 + 0.25 * grid.noise(rng, 0.05)
    image += 0.34 * grid.soft(infection, 0.02) * depth * haze
    image += 0.03 * grid.noise(rng, 0.15) + 0.012 * rng.standard_normal(image.shape)
    image = cv2.GaussianBlur(image, (0, 0), max(size / 512, 0.3))
    pixels = np.clip(image * 255 / 0.95, 0, 255).astype(np.uint8)
    return Phantom(pixels, lungs, infection)


class _Grid:
    """Unit coordinates of a square image, x right and y down, in [0, 1]."""

    def __init__(self, size):
        self.size = size
        self.y, self.x = np.mgrid[0:size, 0:size] / (size - 1)

    def ellipse(self, x, y, half_width, half_height, tilt=0.0):
        dx, dy = self.x - x, self.y - y
        u = dx * np.cos(tilt) + dy * np.sin(tilt)
        v = dy * np.cos(tilt) - dx * np.sin(tilt)
        return (u / half_width) ** 2 + (v / half_height) ** 2

    def soft(self, mask, radius):
        return cv2.GaussianBlur(mask.astype(np.float64), (0, 0), radius * self.size)

    def noise(self, rng, radius):
        """Smooth noise of mean 0 and standard deviation 1."""
        cells = max(4, round(1 / radius))
        coarse = rng.standard_normal((cells, cells))
        return cv2.resize(coarse, (self.size, self.size), interpolation=cv2.INTER_CUBIC)


def _body(grid):
    trunk = (np.abs(grid.x - 0.5) / 0.47) ** 4 + (np.abs(grid.y - 0.66) / 0.56) ** 4 < 1
    neck = (np.abs(grid.x - 0.5) < 0.11) & (grid.y < 0.2)
    return trunk | neck


def _lungs(grid, rng):
    top = rng.uniform(0.13, 0.17)
    bottom = rng.uniform(0.78, 0.86)
    masks = []
    for side in (-1, 1):
        # Width grows from the apex; the inner border leaves room for the spine.
        t = np.clip((grid.y - top) / (bottom - top), 0, 1)
        outer = 0.15 + 0.25 * np.sqrt(np.clip(t, 0, 1)) + rng.uniform(-0.01, 0.01)
        inner = 0.065 + (0.075 if side > 0 else 0.03) * t**2
        across = side * (grid.x - 0.5)
        # The diaphragm: a dome, lower towards the flank.
        middle = (inner + outer) / 2
        dome = 0.10 * ((across - middle) / 0.2) ** 2 + rng.uniform(-0.01, 0.01)
        lift = 0.03 if side < 0 else 0.0
        apex = np.sqrt(np.clip(1 - ((across - 0.13) / 0.13) ** 2, 0, 1))
        ceiling = np.where(across < 0.26, top + 0.10 * (1 - apex), top + 0.10)
        masks.append(
            (across > inner)
            & (across < outer)
            & (grid.y > ceiling)
            & (grid.y < bottom - 0.06 - lift + dome)
        )
    kernel = cv2.getStructuringElement(
        cv2.MORPH_ELLIPSE, (grid.size // 20 * 2 + 1,) * 2
    )
    # Opening rounds the corners that the inequalities leave.
    return cv2.morphologyEx(
        (masks[0] | masks[1]).astype(np.uint8), cv2.MORPH_OPEN, kernel
    ).astype(bool)


def _spine(grid):
    return (np.abs(grid.x - 0.5) < 0.045) & (grid.y > 0.02)


def _heart(grid, rng):
    size = rng.uniform(0.95, 1.08)
    heart = grid.ellipse(0.545, 0.63, 0.125 * size, 0.15 * size, 0.5) < 1
    vessels = grid.ellipse(0.51, 0.42, 0.07, 0.16) < 1
    return heart | vessels


def _vessels(grid, rng):
    radius = np.hypot(np.abs(grid.x - 0.5) - 0.11, grid.y - 0.47)
    return np.exp(-radius / 0.10) * (1 + 0.35 * grid.noise(rng, 0.02))


def _ribs(grid, rng):
    ribs = np.zeros_like(grid.x)
    across = np.abs(grid.x - 0.5)
    for index in range(8):
        y = 0.13 + 0.085 * index + rng.uniform(-0.004, 0.004)
        posterior = y + 0.03 - 0.28 * np.clip(across - 0.12, 0, None) ** 1.3
        anterior = y + 0.02 + 0.55 * across**1.4
        for curve, strength in ((posterior, 0.055), (anterior, 0.03)):
            ribs += strength * np.exp(-(((grid.y - curve) / 0.011) ** 2))
    clavicle = 0.165 - 0.16 * (across - 0.1)
    ribs += 0.08 * np.exp(-(((grid.y - clavicle) / 0.012) ** 2)) * (across > 0.06)
    return ribs * (across > 0.03) * (across < 0.44)


def _opacities(grid, lungs, severity, rng):
    """Patches at the flanks and bases until their share is reached."""
    infection = np.zeros_like(lungs)
    if severity == 0:
        return infection
    rows, columns = np.nonzero(lungs)
    weight = (
        (0.15 + rows / grid.size) * (0.1 + np.abs(columns / grid.size - 0.5))
    ) ** 2
    for _ in range(200):
        if np.count_nonzero(infection) >= severity * np.count_nonzero(lungs):
            break
        spot = rng.choice(len(rows), p=weight / weight.sum())
        y, x = rows[spot] / grid.size, columns[spot] / grid.size
        half = rng.uniform(0.04, 0.09) * (0.7 + 0.6 * severity)
        wobble = 1 + 0.25 * grid.noise(rng, 0.08)
        patch = grid.ellipse(x, y, half, half * rng.uniform(0.9, 1.6)) < wobble
        infection |= patch & lungs
    return infection
