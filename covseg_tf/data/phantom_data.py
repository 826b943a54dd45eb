"""A phantom data set on disk, for tests, notebooks and a first try."""

import pathlib

import cv2
import numpy as np

from covseg_tf.edge.phantom import draw_phantom


def write_phantom_data(
    root: str | pathlib.Path,
    images_per_finding: int = 8,
    size: int = 256,
    seed: int = 0,
) -> pathlib.Path:
    """Draws phantoms into a folder, in the layout of the COVID-QU-Ex download.

    Args:
        root: New or empty folder.
        images_per_finding: Images per split and finding. Defaults to 8.
        size: Side in pixels. Defaults to 256.
        seed: Seed of the first phantom.

    Returns:
        `root`, ready for `read_covid_qu_ex`.

    Raises:
        ValueError: If the folder is not empty.
    """
    root = pathlib.Path(root)
    if root.exists() and any(root.iterdir()):
        raise ValueError(f"{root}: not empty; give a new folder for the phantoms.")
    for split in ("Train", "Val"):
        for finding in ("COVID-19", "Non-COVID", "Normal"):
            folder = root / "Infection Segmentation Data" / split / finding
            for index in range(images_per_finding):
                severity = 0.1 + 0.5 * index / images_per_finding
                phantom = draw_phantom(
                    seed, severity if finding == "COVID-19" else 0.0, size
                )
                seed += 1
                for kind, plane in (
                    ("images", phantom.image),
                    ("lung masks", phantom.lung_mask),
                    ("infection masks", phantom.infection_mask),
                ):
                    if plane.dtype == bool:
                        plane = plane.astype(np.uint8) * 255
                    path = folder / kind / f"phantom_{index}.png"
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(cv2.imencode(".png", plane)[1].tobytes())
    return root
