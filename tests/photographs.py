"""Draws what a camera makes of a film."""

import cv2
import numpy as np


def photograph(film, kind, seed=0):
    """Returns a photograph of a film, in colour, and where the film's corners lie.

    Perspective, a light that falls off, colour, blur, noise and JPEG; of a screen the
    beat of the pixels before a dark wall, of a light box a bright one, and with
    `"glare"` a light that is mirrored in it.
    """
    rng = np.random.default_rng(seed)
    scale = 900 / max(film.shape)
    film = cv2.resize(film, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    film = film.astype(np.float32)
    h, w = film.shape
    height, width = int(1.5 * h), int(1.5 * w)
    y, x = np.mgrid[:h, :w].astype(np.float32)
    if kind == "screen":
        film *= 1 + 0.06 * np.sin(2 * np.pi * x / 3.1 + 0.02 * y)
        film *= 1 + 0.05 * np.sin(2 * np.pi * y / 2.7)
    corners = np.float32([[0, 0], [w, 0], [w, h], [0, h]])
    moved = corners + rng.uniform(-0.06, 0.06, (4, 2)) * (w, h) + (w // 4, h // 4)
    moved = moved.astype(np.float32)
    turn = cv2.getPerspectiveTransform(corners, moved)
    wall = 35 if kind == "screen" else 200
    wall = wall + rng.normal(0, 6, (height, width)).astype(np.float32)
    inside = cv2.warpPerspective(np.ones_like(film), turn, (width, height))
    picture = cv2.warpPerspective(film, turn, (width, height)) * inside
    picture += wall * (1 - inside)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j].astype(np.float32)
    picture *= 0.75 + 0.35 * (x * np.cos(1) + y * np.sin(1))
    if kind == "glare":
        spot = ((x - 0.6) / 0.08) ** 2 + ((y - 0.4) / 0.1) ** 2
        picture += 110 * np.exp(-spot)
    picture = cv2.GaussianBlur(picture, (0, 0), 1)[..., None] * (0.92, 1, 1.05)
    picture += rng.normal(0, 3, picture.shape[:2])[..., None]
    picture = np.clip(picture, 0, 255).astype(np.uint8)
    coded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    # Whole numbers are pixels' centres: the edge lies half a pixel before the first.
    return cv2.imdecode(coded, cv2.IMREAD_COLOR), moved - 0.5
