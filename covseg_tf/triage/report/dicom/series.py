"""The new series that each DICOM object is of."""

from typing import Any

from covseg_tf import __version__
from covseg_tf.edge.bundle import Bundle

MAKER, PRODUCT = "covseg_tf", "covseg triage"


def series_words(bundle: Bundle, number: int, what: str) -> dict[str, Any]:
    """Returns the arguments that say of what series an object is, and who made it."""
    import highdicom

    return {
        "series_instance_uid": str(highdicom.UID()),
        "series_number": number,
        "sop_instance_uid": str(highdicom.UID()),
        "instance_number": 1,
        "manufacturer": MAKER,
        "manufacturer_model_name": f"{PRODUCT} {bundle.name}"[:64],
        "software_versions": __version__,
        "device_serial_number": "none",
        "series_description": f"{what}, RESEARCH USE ONLY",
        "specific_character_set": "ISO_IR 192",
    }
