"""How far the gates of Region Fusion Attention tell inside from outside."""

from collections.abc import Mapping

import keras
import numpy as np

from covseg_tf.models import region_gates

_BATCH = 32


def gate_contrast(model: keras.Model, images, masks: Mapping) -> list[dict]:
    """Returns the mean of each gate inside and outside its mask.

    A gate that is the same on both sides selects nothing; one that is 0 or 1
    everywhere is saturated. Masks are averaged down to the gate's size; a pixel counts
    for a side by its share.

    Args:
        model: As for `region_gates`.
        images: `(n, height, width, channels)`, as the model takes them.
        masks: `{"lung": ..., "infection": ...}`, each `(n, height, width)` of 0 and 1.

    Returns:
        One dict per attention and gate: `gate`, `inside`, `outside`, and `saturated`,
        the share of the gate's pixels below 0.05 or above 0.95.

    Raises:
        ValueError: If the model has no gate.
    """
    sums: dict = {}
    for start in range(0, len(images), _BATCH):
        part = slice(start, start + _BATCH)
        for layer, pair in region_gates(model, images[part]).items():
            for kind, gates in pair.items():
                for gate, mask in zip(gates, masks[kind][part], strict=True):
                    inside = _shrink(mask, gate.shape)
                    parts = (
                        (gate * inside).sum(),
                        inside.sum(),
                        (gate * (1 - inside)).sum(),
                        (1 - inside).sum(),
                        ((gate < 0.05) | (gate > 0.95)).mean(),
                        1,
                    )
                    key = f"{layer}, {kind}"
                    sums[key] = np.add(sums.get(key, 0), parts)
    return [
        {
            "gate": key,
            "inside": float(s[0] / s[1]),
            "outside": float(s[2] / s[3]),
            "saturated": float(s[4] / s[5]),
        }
        for key, s in sums.items()
    ]


def _shrink(mask, shape):
    rows, columns = (big // small for big, small in zip(mask.shape, shape, strict=True))
    blocks = mask.reshape(shape[0], rows, shape[1], columns)
    return blocks.mean(axis=(1, 3), dtype=np.float64)
