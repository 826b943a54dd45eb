"""Draws what was found over the image."""

import dataclasses

import cv2
import numpy as np

from covseg_tf.edge.prediction import Prediction

# BGR. Infection is shaded and outlined, lungs outlined only: reads without colour too.
AMBER, CYAN = (0, 160, 255), (230, 210, 0)
_SHADE = 0.38
_QUALITY = [cv2.IMWRITE_JPEG_QUALITY, 82]


@dataclasses.dataclass(frozen=True)
class Layers:
    """Pictures of one image, at most `side` pixels wide and high.

    Attributes:
        film: JPEG bytes of the image alone, grey.
        paint: PNG bytes of what was found, transparent elsewhere.
        overlay: JPEG bytes of both.
    """

    film: bytes = dataclasses.field(repr=False)
    paint: bytes = dataclasses.field(repr=False)
    overlay: bytes = dataclasses.field(repr=False)


def draw_overlay(
    grey: np.ndarray, prediction: Prediction, side: int = 512
) -> tuple[bytes, bytes]:
    """Returns JPEG bytes of the plain image and of the overlay.

    Args:
        grey: uint8 `(rows, columns)`.
        prediction: What was found in it.
        side: Longest side of the pictures in pixels. Defaults to 512.
    """
    if prediction.involvement.total is None:  # not scored: shown plain
        layers = draw_layers(grey, side=side)
    else:
        masks = (prediction.lung_mask, prediction.infection_mask)
        layers = draw_layers(grey, *masks, side)
    return layers.film, layers.overlay


def draw_layers(
    grey: np.ndarray,
    lung: np.ndarray | None = None,
    infection: np.ndarray | None = None,
    side: int = 512,
) -> Layers:
    """Draws an image and what was found in it as layers of a report.

    Args:
        grey: uint8 `(rows, columns)`.
        lung: bool `(rows, columns)`; `None` where the image is not scored: such an
            image is shown plain.
        infection: bool `(rows, columns)`, likewise.
        side: Longest side of the pictures in pixels. Defaults to 512.
    """
    film, paint = _layers(grey, lung, infection, side)
    return Layers(
        _encode(".jpg", film, _QUALITY),
        _encode(".png", paint, [cv2.IMWRITE_PNG_COMPRESSION, 9]),
        _encode(".jpg", _blend(film, paint), _QUALITY),
    )


def draw_canvas(
    grey: np.ndarray, lung: np.ndarray, infection: np.ndarray, side: int = 1024
) -> np.ndarray:
    """Returns the overlay as pixels.

    Args:
        grey: uint8 `(rows, columns)`.
        lung: bool `(rows, columns)`.
        infection: bool `(rows, columns)`.
        side: Longest side of the picture in pixels. Defaults to 1024.

    Returns:
        uint8 `(rows, columns, 3)` in BGR order.
    """
    return _blend(*_layers(grey, lung, infection, side))


def _layers(grey, lung, infection, side):
    factor = min(1.0, side / max(grey.shape))
    rows, columns = (max(1, round(extent * factor)) for extent in grey.shape)
    film = cv2.resize(grey, (columns, rows), interpolation=cv2.INTER_AREA)
    paint = np.zeros((rows, columns, 4), np.uint8)
    if lung is None:
        return film, paint
    lung, infection = (
        cv2.resize(
            mask.astype(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST
        )
        for mask in (lung, infection)
    )
    paint[infection > 0] = (*AMBER, round(255 * _SHADE))
    width = max(1, round(max(rows, columns) / 400))
    for mask, colour in ((infection, AMBER), (lung, CYAN)):
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(paint, contours, -1, (*colour, 255), width)
    return film, paint


def _blend(film, paint):
    alpha = paint[..., 3:].astype(np.float32) / 255
    mixed = film[..., None] * (1 - alpha) + paint[..., :3] * alpha
    return np.rint(mixed).astype(np.uint8)


def _encode(suffix, picture, options):
    return cv2.imencode(suffix, picture, options)[1].tobytes()
