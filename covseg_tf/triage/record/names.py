"""What the files of a source are called within the output folder."""

import pathlib

MASKS, OVERLAYS, LAYERS, DICOM = "masks", "overlays", "overlays/layers", "dicom"


def output_names(stem: str) -> dict[str, str]:
    """Returns the files of a film, by the entry of its row that names them.

    Args:
        stem: Name of the source's output files, without suffix. The masks of a
            volume lie in the folder `masks/STEM` instead.
    """
    return {
        "lung_mask": f"{MASKS}/{stem}_lung.png",
        "infection_mask": f"{MASKS}/{stem}_infection.png",
        "overlay": f"{OVERLAYS}/{stem}.jpg",
        "dicom_seg": f"{DICOM}/{stem}_seg.dcm",
        "dicom_overlay": f"{DICOM}/{stem}_overlay.dcm",
    }


def slices_name(stem: str) -> str:
    """Returns the folder of a volume's masks."""
    return f"{MASKS}/{stem}"


def is_plain_name(name: object) -> bool:
    """Whether something is the name of a file and leads nowhere, on any system.

    Args:
        name: Anything, for example what a file of someone else holds.
    """
    if not isinstance(name, str) or "\0" in name or name in ("", ".", ".."):
        return False
    return pathlib.PureWindowsPath(name).name == name
