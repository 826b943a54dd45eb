"""What the report says in words."""

from collections.abc import Sequence

from covseg_tf.imaging.film import NOTE_TEXTS
from covseg_tf.triage.record import TriageRow

FLAG_TEXTS = {
    "no_lungs_found": "No lungs found: is this a frontal chest X-ray?",
    "lung_area_implausible": "The lung area is implausible; not scored.",
    "lungs_not_separable": "The lungs cannot be told apart; no numbers per lung.",
    "too_few_greys": "Too few shades of grey are left; not scored. Export it anew.",
    "not_a_chest_xray": "Does not look like a frontal chest X-ray; not scored.",
    "not_a_ct_slice": "Does not look like an axial CT slice of the chest; not scored.",
    "lungs_cut_off": "The lungs are cut off at an edge: the numbers are of what is "
    "in the picture.",
    "film_rotated": "The film seems to be turned or tilted; not scored.",
    "photograph": "A photograph of a film: expect worse numbers.",
    "glare": "Glare hides a part of the film: the numbers leave it out.",
    "lateral_view": "A lateral view; only frontal films are scored.",
    "wrong_modality": "The model is for another kind of image; not scored.",
}
# Not said of the film but of the run.
_RUN_NOTES = {
    "needs_ct_model": "CT: score it with --model ct_small.",
    "needs_xray_model": "An X-ray: score it with --model xray.",
    "needs_other_model": "Neither a chest X-ray nor CT; there is no model for it.",
}
# With these, which side is which is in doubt.
UNSURE_SIDES = frozenset(
    {"film_rotated", "lateral_view", "wrong_modality", "not_a_chest_xray"}
)


def note_of(row: TriageRow) -> str:
    """Returns what the worklist says in words about a row, or an empty string.

    Args:
        row: A row of it. Notes of what was done to a film stay out unless they
            say what to do.
    """
    if row.error:
        return row.error
    flags = row.flags
    if not row.is_scored:
        flags = flags[:1]  # what follows is of numbers that there are not
    told = [FLAG_TEXTS.get(flag, flag) for flag in flags]
    told += [_RUN_NOTES[note] for note in row.notes if note in _RUN_NOTES]
    told += [note for note in row.notes if note not in NOTE_TEXTS | _RUN_NOTES]
    return " ".join(told)


def remarks_of(row: TriageRow) -> list[str]:
    """Returns what was done to a film on its way, in words.

    Args:
        row: A row of the worklist.
    """
    return [NOTE_TEXTS[note] for note in row.notes if note in NOTE_TEXTS]


def who_is(row: TriageRow) -> str:
    """Returns whose film a row is of, in words, or an empty string.

    Args:
        row: A row of the worklist.
    """
    who = row.identity or {}
    named = {"patient_id": "patient ", "accession_number": "accession "}
    order = ("patient_name", "patient_id", "study_date", "view_position")
    return ", ".join(
        f"{named.get(key, '')}{who[key]}"
        for key in (*order, "accession_number")
        if who.get(key)
    )


def change_of(row: TriageRow) -> str:
    """Returns how much more of the lung is involved than in the patient's film before.

    Args:
        row: A row of the worklist.

    Returns:
        Such as `"+12 % of the lung since the film before"`, or an empty string.
    """
    if row.change_percent is None:
        return ""
    change = rounded(abs(row.change_percent))
    sign = "±" if change == 0 else "+" if row.change_percent > 0 else "−"  # noqa: RUF001
    return f"{sign}{change} % of the lung since the film before"


def headings(rows: Sequence[TriageRow]) -> list[str]:
    """Returns what stands above each row: a heading where a block begins, or "".

    Args:
        rows: In the order of the worklist.
    """
    above = [""] * len(rows)
    unscored = sum(not row.is_scored for row in rows)
    if unscored:
        above[0] = f"Needs a reader: not scored ({unscored})"
        if unscored < len(rows):
            above[unscored] = f"Most involved first ({len(rows) - unscored})"
    return above


def percent(value: float | None) -> str:
    """Returns a percentage as a reader is shown it: whole, never "0 %".

    Args:
        value: Percent, or `None` for no number, which is an en dash.
    """
    if value is None:
        return "–"
    if value == 0:
        return "none seen"
    return "< 1 %" if value < 0.5 else f"{rounded(value)} %"


def rounded(value: float) -> int:
    """Returns the nearest whole number, halves up, of what the files keep of it.

    Args:
        value: A number, 0 or more.
    """
    return int(round(value, 2) + 0.5)
