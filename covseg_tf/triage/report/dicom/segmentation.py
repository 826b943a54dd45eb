"""The masks as a DICOM Segmentation."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from covseg_tf import __version__
from covseg_tf.edge.bundle import Bundle
from covseg_tf.triage.report.dicom.series import MAKER, PRODUCT, series_words

_SERIES = 9101


def segmentation(sources: Sequence[Any], pixels: np.ndarray, bundle: Bundle) -> Any:
    """Returns a binary Segmentation, lung as segment 1, infection as 2."""
    import highdicom

    made = highdicom.seg.Segmentation(
        source_images=sources,
        pixel_array=pixels.astype(np.uint8),
        segmentation_type=highdicom.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=_segments(bundle),
        omit_empty_frames=len(sources) > 1,
        content_description="Lung and infection, research use only",
        content_label="COVSEG",
        **series_words(sources, bundle, _SERIES, "covseg lung and infection"),
    )
    if "FrameOfReferenceUID" not in made:  # of a film, which lies nowhere in space
        made.PatientOrientation = sources[0].get("PatientOrientation")
    return made


def _segments(bundle):
    import highdicom
    from pydicom.sr.codedict import codes

    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=f"{PRODUCT} {bundle.name}"[:64],
        version=__version__,
        family=codes.DCM.ArtificialIntelligence,
        source=MAKER,
    )
    kinds = (
        ("Lung", codes.SCT.AnatomicalStructure, codes.SCT.Lung, (0, 210, 230)),
        (
            "Infection (opacity)",
            codes.SCT.MorphologicallyAbnormalStructure,
            codes.DCM.Opacity,
            (255, 160, 0),
        ),
    )
    return [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=category,
            segmented_property_type=kind,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            anatomic_regions=[codes.SCT.Lung] if number == 2 else None,
            display_color=highdicom.color.CIELabColor.from_rgb(*colour),
        )
        for number, (label, category, kind, colour) in enumerate(kinds, start=1)
    ]
