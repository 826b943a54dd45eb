"""Sections of a model card, from `covseg_tf.evaluation.report_sets`."""

from collections.abc import Mapping

from covseg_tf.deploy.flows import FLOWS
from covseg_tf.deploy.markdown import markdown_table

_CRITERIA = {
    "none": "",
    "all_images": "highest mean Dice over all images",
    "lesions": "highest mean Dice over films with infection",
    "lesions, Normal 95 % empty": (
        "highest mean Dice over films with infection, at least 95 % of the Normal "
        "films left empty"
    ),
}
_WORST = {
    "missed": "Too little painted, worst Dice first",
    "overpainted": "Too much painted, worst Dice first",
    "lung": "Lung outline, worst Dice first",
}


def render_sections(report: Mapping) -> str:
    """Returns the sections of a card as Markdown, those that are measured.

    Args:
        report: Dict with any of `sets` (the first: the split reported on, the
            others: external tests; each as `summarize_set` of
            `covseg_tf.evaluation` gives it, an optional `note` added), `calibration`
            (of `calibration_summary`), `operating_points` (of `operating_points`)
            and `failures` (of `summarize_failures`).

    Returns:
        Text that begins with `## ` and ends with a line break; empty if nothing is
        given.
    """
    own, *external = report.get("sets") or [None]
    parts = []
    if own:
        parts.append(f"## By finding\n\n{_findings(own)}")
    parts += [f"## External test: {of['title']}\n\n{_external(of)}" for of in external]
    for key, title, render in (
        ("calibration", "Are the probabilities what they say?", _calibration),
        ("operating_points", "Threshold, chosen on validation images", _points),
        ("failures", "Where it fails", _failures),
    ):
        if report.get(key):
            parts.append(f"## {title}\n\n{render(report[key])}")
    return "\n\n".join(parts) + "\n" if parts else ""


def protocol_table(scored: Mapping) -> str:
    """Returns the scores of a set per map and protocol as a Markdown table.

    Args:
        scored: One of the report's `sets`.
    """
    rows = [
        [flow, protocol.replace("_", " "), score["images"], _with_interval(score)]
        + [_number(score[key], 4) for key in ("iou", "mae")]
        for flow in FLOWS
        for protocol, score in scored["scores"].get(flow, {}).items()
    ]
    head = "map | protocol | images | Dice (95 % interval) | IoU | MAE"
    return markdown_table(head.split(" | "), rows)


def _findings(scored):
    return (
        f"{scored['title']}, {_images(scored)}, threshold {scored['threshold']:g}. "
        "Infection Dice is over the images with infection.\n\n"
        f"{_finding_table(scored)}\n\n{_detection(scored)}"
    )


def _finding_table(scored):
    head = ["finding", "images", "lung Dice", "with infection", "infection Dice"]
    head += ["of these nothing painted", "without infection", "of these left empty"]
    rows = [
        [
            row["finding"],
            row["images"],
            _spread(row, "lung_dice"),
            row["lesions"],
            _spread(row, "lesions_dice"),
            _percent(row["lesions_nothing_painted"]),
            row["images"] - row["lesions"],
            _percent(row["left_empty"]),
        ]
        for row in scored["findings"]
    ]
    return markdown_table(head, rows)


def _detection(scored):
    """Sensitivity and specificity of "something is painted", in words."""
    ill = [row for row in scored["findings"] if row["lesions"]]
    painted = sum(row["lesions"] * (1 - row["lesions_nothing_painted"]) for row in ill)
    count = sum(row["lesions"] for row in ill)
    parts = [f"{round(painted)} of {count} films with infection"] if count else []
    for row in scored["findings"]:
        healthy = row["images"] - row["lesions"]
        if healthy:
            alarms = round(healthy * (1 - row["left_empty"]))
            parts.append(f"{alarms} of {healthy} {row['finding']} films without")
    return f"Something is painted on {_join(parts)}."


def _external(scored):
    note = f"{scored['note']}\n\n" if scored.get("note") else ""
    return (
        f"{_images(scored)}, of another data set; threshold "
        f"{scored['threshold']:g}.\n\n{note}{protocol_table(scored)}\n\n"
        f"{_finding_table(scored)}\n\n{_detection(scored)}"
    )


def _images(scored):
    patients = scored.get("patients")
    of = f" of {patients} patients" if patients else ""
    return f"{scored['images']} images{of}"


def _calibration(calibration):
    head = ["probability of", "counted over", "stated, on average", "in the mask"]
    head += ["expected calibration error", "the same, bins of equal size"]
    head += ["largest gap", "Brier score"]
    rows = []
    for key, of, over in (
        ("infection_in_lung", "infection", "pixels in the lung mask"),
        ("infection_in_lung_lesions", "infection", "the same, films with infection"),
        ("infection", "infection", "all pixels"),
        ("lung", "lung", "all pixels"),
        ("film", "infection on the film: its highest pixel", "films"),
    ):
        found = calibration.get(key)
        if found:
            cells = [_percent(found[k]) for k in ("stated", "prevalence")]
            errors = ("ece", "ece_equal_size", "mce", "brier")
            cells += [_number(found[k], 4) for k in errors]
            rows.append([of, over, *cells])
    return (
        markdown_table(head, rows) + "\n\n"
        "Errors are gaps between stated probability and observed frequency, 0 is "
        "perfect; 15 bins. All pixels include the background, which is trivially "
        "right: read the rows of the lung mask. They hold for this set's share of "
        "findings.\n\n" + _coarse(calibration) + _ranking(calibration)
    )


def _coarse(calibration):
    lines = ["Infection inside the lung mask, by what the network says:", ""]
    for point in calibration["infection_in_lung"]["coarse"]:
        lines.append(
            f"- {100 * point['from']:.0f} to {100 * point['to']:.0f} % (mean "
            f"{100 * point['stated']:.1f} %, {100 * point['share']:.1f} % of the "
            f"pixels): {100 * point['observed']:.1f} % are in the mask"
        )
    return "\n".join(lines)


def _ranking(calibration):
    film = calibration.get("film")
    if not film or film["auroc"]["highest"]["all"] is None:
        return ""
    parts = [
        f"{'all' if group == 'all' else group} {value:.3f}"
        for group, value in film["auroc"]["highest"].items()
    ]
    return (
        "\n\nHow well a film's highest infection probability tells films with "
        f"infection from those without (area under the ROC curve): {', '.join(parts)}. "
        "It is no probability of disease."
    )


def _points(points):
    titles = list(points["points"][0]["sets"])
    head = ["rule", "chosen for", "threshold", "report nothing below"]
    head += [f"{title}: lesions / all images / left empty" for title in titles]
    rows = []
    # Several rules or criteria may agree on a point; it is shown once.
    merged: dict[tuple, list] = {}
    for point in points["points"]:
        key = (point["threshold"], point["area"], point["seed"])
        merged.setdefault(key, []).append(point)
    for same in merged.values():
        point = same[0]
        chosen = [_CRITERIA.get(p["criterion"], p["criterion"]) for p in same]
        rows.append(
            [
                point["rule"],
                "; ".join(dict.fromkeys(filter(None, chosen))) or "–",
                f"{point['threshold']:.3f}",
                _smallest(point, points["pixels"]),
                *(_scores(point["sets"][title]) for title in titles),
            ]
        )
    return (
        f"Chosen on {points['images']} images ({points['chosen_on']}), which were not "
        "trained on; the other sets had no part in the choice. A rule other than that "
        "in use is what could be had, not what this model does.\n\n"
        + markdown_table(head, rows)
    )


def _smallest(point, pixels):
    if not point["area"]:
        return "–"
    above = "" if point["seed"] is None else f" above {point['seed']:.3f}"
    share = _percent(point["area"] / pixels)
    return f"{point['area']} pixels ({share} of the picture){above}"


def _scores(of):
    empty = ", ".join(f"{k} {_percent(v)}" for k, v in of["left_empty"].items())
    return (
        f"{_number(of['lesions'], 3)} / {_number(of['all_images'], 3)} / {empty or '–'}"
    )


def _failures(failures):
    lines = [f"- {line}" for line in failures["patterns"]]
    lines += ["", _extent_table(failures["by_extent"])] if failures["by_extent"] else []
    lines += [
        "",
        "Right and left are the patient's, for a film hung as usual; zones are thirds "
        "of the lungs' height; areas are in percent of the lung mask, and paint "
        "outside it counts.",
    ]
    for kind, cases in failures["worst"].items():
        if cases:
            lines += ["", f"{_WORST.get(kind, kind[0].upper() + kind[1:])}:", ""]
            lines += [f"- `{case['name']}`: {case['words']}." for case in cases]
    return "\n".join(lines)


def _extent_table(groups):
    head = ["infected part of the lung", "images", "mean Dice", "Dice below 0.5"]
    rows = [
        [
            f"{of['from_percent']:.1f} to {of['to_percent']:.1f} %",
            of["images"],
            f"{of['dice']:.3f}",
            of["below_half"],
            of["nothing_painted"],
        ]
        for of in groups
    ]
    return markdown_table([*head, "nothing painted"], rows)


def _with_interval(score):
    text = _number(score["dice"], 4)
    if score["dice_low"] is not None:
        text += f" ({score['dice_low']:.3f} to {score['dice_high']:.3f})"
    return text


def _spread(row, key):
    if row[key] is None:
        return "–"
    return f"{row[key]:.3f} ± {row[f'{key}_std']:.3f}"


def _number(value, digits):
    return "–" if value is None else f"{value:.{digits}f}"


def _percent(share):
    return "–" if share is None else f"{100 * share:.1f} %"


def _join(parts):
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
