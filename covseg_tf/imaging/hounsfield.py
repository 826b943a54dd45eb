"""Tells whether a volume holds a chest in Hounsfield units, before it is looked at."""

import numpy as np

# Air and lung in HU; what is darker is padding outside the scanner's circle.
_AIR = (-1400.0, -300.0)
# Of a chest a fifth and more of the voxels are air or lung, of a volume that is not in
# HU (air at 0, a few pads far below) next to none.
_LEAST_AIR = 0.02
_ELSEWHERE = (
    *("HEAD", "BRAIN", "SKULL", "ORBIT", "SINUS", "NECK", "ABDOMEN", "PELVIS", "LIVER"),
    *("KIDNEY", "PANCREAS", "COLON", "HIP", "KNEE", "FOOT", "ANKLE", "HAND", "WRIST"),
    *("ELBOW", "LEG", "ARM", "EXTREMITY", "LSPINE", "CSPINE", "JAW", "EAR", "TEMPORAL"),
)
_CHEST = ("CHEST", "THORA", "LUNG", "TRUNK", "TORSO", "BODY", "HEART", "CARDIAC")


def air_share(hu: np.ndarray) -> float:
    """Returns the share of CT values that are of air or lung, -1400 to -300 HU.

    Args:
        hu: Array of any shape, not empty.
    """
    low, high = _AIR
    return np.count_nonzero((hu >= low) & (hu <= high)) / hu.size


def has_air(shares: list[float]) -> bool:
    """Tells whether slices hold enough air and lung to be of a chest in HU.

    Args:
        shares: `air_share` of each.
    """
    return sum(shares) / len(shares) >= _LEAST_AIR


def check_body_part(name: str) -> None:
    """Refuses what a header files under another part of the body than the chest.

    Args:
        name: DICOM's `BodyPartExamined`; an empty or unknown one passes.

    Raises:
        ValueError: If it names another part and no chest.
    """
    upper = name.upper()
    if any(part in upper for part in _CHEST):
        return
    if any(part in upper for part in _ELSEWHERE):
        raise ValueError(
            f"is a CT of another part of the body (BodyPartExamined: {name}). "
            "Expected a chest."
        )
