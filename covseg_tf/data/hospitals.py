"""Films of many hospitals, each with what may be learnt from it."""

import dataclasses
import pathlib

from covseg_tf.data.covid_qu_ex import read_covid_qu_ex
from covseg_tf.data.read_samples import read_samples
from covseg_tf.data.sample import Sample

_WEAK_SOURCES = ("ralo", "nih_rsna", "tb", "kermany_lungs")
_HEALTHY = {"Normal", "normal", "NIH text label: No_findings"}
# Share of both lungs that a finding without an outline means at least. NIH's labels
# are mined from reports and wrong for one film in ten, so they ask for less.
_LEAST_SHARE = {
    "tuberculosis": 0.08,
    "bacterial pneumonia": 0.08,
    "NIH text label: Pneumonia": 0.04,
}


def read_hospital_films(root: str | pathlib.Path) -> list[Sample]:
    """Reads the training films of COVID-QU-Ex, RALO, NIH, the TB set and children.

    What is learnt from what: outlines of COVID-19 as they are drawn; other
    pneumonias of COVID-QU-Ex were not outlined, so they give lungs only; RALO's
    films their readers' extents; healthy films an empty mask (`infection_free`);
    sick ones without an outline the share of the lungs that they involve at least.
    Lungs are COVID-QU-Ex's alone, which stop at heart and diaphragm: V7's masks of
    children follow another convention.

    Args:
        root: Folder with `covid_qu_ex` in its own layout, and `ralo`, `nih_rsna`,
            `tb` and `kermany_lungs` with a manifest each, whose split is `train`.

    Returns:
        Samples with `source` set; none of a test split.

    Raises:
        ValueError: If a folder is missing or cannot be read.
    """
    root = pathlib.Path(root)
    films = read_covid_qu_ex(root / "covid_qu_ex", "Train")
    for source in _WEAK_SOURCES:
        films += [
            dataclasses.replace(film, lung_mask=None, source=source)
            for film in read_samples(root / source, "train")
        ]
    return [
        dataclasses.replace(
            film,
            infection_mask=film.infection_mask if film.finding == "COVID-19" else None,
            infection_free=film.finding in _HEALTHY,
            least_share=_LEAST_SHARE.get(film.finding),
        )
        for film in films
    ]
