"""Phantoms to try the page with."""

import cv2

from covseg_tf.edge.phantom import draw_phantom

# The names that `page/js/main.js` fetches; seed and severity.
_SAMPLES = {
    "phantom-healthy.png": (0, 0.0),
    "phantom-mild.png": (1, 0.15),
    "phantom-severe.png": (3, 0.5),
}


def draw_samples() -> dict[str, bytes]:
    """Returns phantoms as PNG files, by name."""
    return {
        name: cv2.imencode(".png", draw_phantom(*arguments).image)[1].tobytes()
        for name, arguments in _SAMPLES.items()
    }
