"""The new series that each DICOM object is of."""

import functools
import hashlib
import uuid
from collections.abc import Sequence
from typing import Any

from covseg_tf import __version__
from covseg_tf.edge.bundle import Bundle

MAKER, PRODUCT = "covseg_tf", "covseg triage"


def derived_uid(sources: Sequence[Any], bundle: Bundle, what: str) -> str:
    """Returns a UID that the same sources, model and version always give.

    So that what is made or sent twice is one object for whoever gets it. It is a
    name-based UUID as DICOM PS3.5 B.2 takes it.

    Args:
        sources: The `pydicom.Dataset`s that something is made of, in any order.
        bundle: The model.
        what: What is made of them.
    """
    model = _digest(bundle.model)
    names = sorted(str(source.SOPInstanceUID) for source in sources)
    text = "\n".join([what, bundle.name, model, __version__, *names])
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, text).int}"


@functools.lru_cache(4)
def _digest(model):
    """Of megabytes, asked for ten times a film; the bytes keep their own hash."""
    return hashlib.sha256(model).hexdigest()


def series_words(
    sources: Sequence[Any], bundle: Bundle, number: int, what: str
) -> dict[str, Any]:
    """Returns the arguments that say of what series an object is, and who made it."""
    return {
        "series_instance_uid": derived_uid(sources, bundle, f"series {number}"),
        "series_number": number,
        "sop_instance_uid": derived_uid(sources, bundle, f"object {number}"),
        "instance_number": 1,
        "manufacturer": MAKER,
        "manufacturer_model_name": f"{PRODUCT} {bundle.name}"[:64],
        "software_versions": __version__,
        "device_serial_number": "none",
        "series_description": f"{what}, RESEARCH USE ONLY",
        "specific_character_set": "ISO_IR 192",
    }
