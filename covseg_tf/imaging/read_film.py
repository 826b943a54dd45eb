"""The one film that a file holds."""

import pathlib

from covseg_tf.imaging.film import Film
from covseg_tf.imaging.sources.find_sources import file_sources


def read_film(path: str | pathlib.Path) -> Film:
    """Reads a file of one radiograph, as `covseg triage` does.

    No frame is cut off and no grey is inverted by guess; what the header says of
    window, rows and greys is obeyed.

    Args:
        path: A PNG, JPEG, TIFF, BMP, WebP or DICOM file.

    Raises:
        ValueError: If there is no such file, it cannot be read, or holds several
            frames or a volume. The text names the file.
    """
    sources = file_sources(path)
    if len(sources) != 1:
        raise ValueError(f"{path}: holds {len(sources)} images. Expected one.")
    try:
        film = sources[0].read()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if not isinstance(film, Film):
        raise ValueError(
            f"{path}: is a volume. Expected a radiograph; give CT as NIfTI volumes."
        )
    return film
