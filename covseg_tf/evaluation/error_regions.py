"""Which part of the lungs an error lies in, in numbers of each image."""

import numpy as np

# The patient's, in a film hung as usual: the right lung is left in the picture.
SIDES = ("right", "left")
ZONES = ("upper", "middle", "lower")
REGIONS = tuple(f"{side}_{zone}" for side in SIDES for zone in ZONES)
_ONE_SIDED = 0.9


def lung_regions(lung: np.ndarray) -> np.ndarray:
    """Cuts a frontal film into the two sides and three zones of equal height.

    The sides part at the column with the fewest lung pixels within the middle third
    of the lungs' width; the zones are thirds of the lungs' height. Pixels outside
    the lungs belong to the region they are level with.

    Args:
        lung: Lung mask `(height, width)`, non-zero is lung. An empty one counts as
            if all were lung.

    Returns:
        uint8 `(height, width)`: index into `REGIONS`, the patient's right and left
        for a film hung as usual, each from the top down.
    """
    lung = np.asarray(lung) != 0
    lung = lung if lung.any() else np.ones_like(lung)
    rows, columns = (np.flatnonzero(lung.any(axis=axis)) for axis in (1, 0))
    left, width = columns[0], columns[-1] + 1 - columns[0]
    low, high = left + width // 3, left + width - width // 3
    profile = np.count_nonzero(lung[:, low:high], axis=0)
    thinnest = low + np.flatnonzero(profile == profile.min())
    cut = thinnest[np.abs(thinnest - (left + width / 2)).argmin()]
    top, height = rows[0], rows[-1] + 1 - rows[0]
    zone = (np.arange(lung.shape[0]) - top) * len(ZONES) // height
    zone = np.clip(zone, 0, len(ZONES) - 1)
    side = np.arange(lung.shape[1]) > cut
    return (zone[:, None] + len(ZONES) * side[None, :]).astype(np.uint8)


def describe_errors(
    lung: np.ndarray, infection: np.ndarray, painted: np.ndarray
) -> dict[str, float | str]:
    """Returns where infection is, where it was painted, and how the two differ.

    Args:
        lung: Lung mask `(height, width)`, non-zero is lung.
        infection: Infection mask, of the same shape.
        painted: What the network painted, of the same shape.

    Returns:
        Dict of `mask_percent` and `painted_percent`, areas in percent of the lung
        mask's (of the image's if that is empty); `missed_share` of the infection
        mask and `false_share` of what was painted, in `[0, 1]` (NaN of nothing);
        `mask_side` (`"right"` or `"left"`, the patient's, if at least 90 % of the
        infection is there, else `"both"`; `""` of nothing) and `mask_zone` (the one
        with most of it), `painted_side` and `painted_zone` likewise; and for every
        region `<region>_mask`, `<region>_painted` and `<region>_both`, in pixels.

    Raises:
        ValueError: If the shapes differ.
    """
    lung, infection, painted = (np.asarray(x) != 0 for x in (lung, infection, painted))
    if not lung.shape == infection.shape == painted.shape or lung.ndim != 2:
        raise ValueError(
            "`lung`, `infection` and `painted` must be masks (height, width) of one "
            f"shape. Received: {lung.shape}, {infection.shape} and {painted.shape}"
        )
    region = lung_regions(lung)
    mask, guess, both = (
        np.bincount(region[x], minlength=len(REGIONS))
        for x in (infection, painted, infection & painted)
    )
    area = np.count_nonzero(lung) or lung.size
    row: dict[str, float | str] = {
        "mask_percent": _ratio(100 * mask.sum(), area),
        "painted_percent": _ratio(100 * guess.sum(), area),
        "missed_share": _ratio((mask - both).sum(), mask.sum()),
        "false_share": _ratio((guess - both).sum(), guess.sum()),
        "mask_side": _side(mask),
        "mask_zone": _zone(mask),
        "painted_side": _side(guess),
        "painted_zone": _zone(guess),
    }
    for index, name in enumerate(REGIONS):
        row[f"{name}_mask"] = int(mask[index])
        row[f"{name}_painted"] = int(guess[index])
        row[f"{name}_both"] = int(both[index])
    return row


def _side(counts):
    by_side = counts.reshape(len(SIDES), len(ZONES)).sum(axis=1)
    if not by_side.any():
        return ""
    largest = int(by_side.argmax())
    alone = by_side[largest] >= _ONE_SIDED * by_side.sum()
    return SIDES[largest] if alone else "both"


def _zone(counts):
    by_zone = counts.reshape(len(SIDES), len(ZONES)).sum(axis=0)
    return ZONES[int(by_zone.argmax())] if by_zone.any() else ""


def _ratio(part, whole):
    return float(part / whole) if whole else float("nan")
