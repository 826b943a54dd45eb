"""Where a network fails, by groups of images and in words: no picture needed."""

from collections.abc import Mapping, Sequence

import numpy as np

from covseg_tf.evaluation.error_regions import SIDES, ZONES


def summarize_failures(rows: Sequence[Mapping], count: int = 5) -> dict:
    """Returns what fails, by groups of images, and the worst images in words.

    Args:
        rows: One dict per image: `name`, `finding`, the scores of `evaluate` and
            the entries of `describe_errors`.
        count: How many of the worst images of each kind to name. Defaults to 5.

    Returns:
        JSON-ready dict of `by_extent`, the images with infection in four groups of
        equal size by infected percent of the lung; `by_side`, `by_zone`;
        `wrong_lung`, how many films with infection in one lung have the other one
        alone painted; `alarms`, per finding what is painted where there is no
        infection; `worst`, kind to a list of `{"name", "dice", "words"}`; and
        `patterns`, sentences.
    """
    ill = [row for row in rows if row["infection_mask_pixels"]]
    healthy = [row for row in rows if not row["infection_mask_pixels"]]
    findings = sorted({row["finding"] for row in healthy})
    summary = {
        "by_extent": _by_extent(ill),
        "by_side": {
            side: _group([row for row in ill if row["mask_side"] == side])
            for side in (*SIDES, "both")
        },
        "by_zone": {zone: _by_zone(ill, zone) for zone in ZONES},
        "wrong_lung": sum(
            {row["mask_side"], row["painted_side"]} == set(SIDES) for row in ill
        ),
        "alarms": {
            finding: _alarms([row for row in healthy if row["finding"] == finding])
            for finding in findings
        },
        "worst": _worst(ill, healthy, findings, count),
    }
    return summary | {"patterns": _patterns(summary, ill)}


def _by_extent(ill):
    order = sorted(ill, key=lambda row: (row["mask_percent"], row["name"]))
    edges = [round(len(order) * quarter / 4) for quarter in range(5)]
    groups = [order[a:b] for a, b in zip(edges, edges[1:], strict=False) if b > a]
    return [
        _group(group)
        | {
            "from_percent": group[0]["mask_percent"],
            "to_percent": group[-1]["mask_percent"],
        }
        for group in groups
    ]


def _group(rows):
    dice = np.array([row["infection_dice"] for row in rows])
    return {
        "images": len(rows),
        "dice": float(dice.mean()) if rows else None,
        "below_half": int((dice < 0.5).sum()),
        "nothing_painted": sum(not row["infection_predicted_pixels"] for row in rows),
    }


def _by_zone(ill, zone):
    """Dice within the zone, over the images with infection there."""
    counts = np.array(
        [
            [
                sum(row[f"{side}_{zone}_{kind}"] for side in SIDES)
                for kind in ("mask", "painted", "both")
            ]
            for row in ill
        ],
        float,
    ).reshape(-1, 3)
    mask, painted, both = counts[counts[:, 0] > 0].T
    return {
        "images": len(mask),
        "dice": float((2 * both / (mask + painted)).mean()) if len(mask) else None,
        "missed_share": (
            float((mask - both).sum() / mask.sum()) if len(mask) else None
        ),
    }


def _alarms(rows):
    painted = [row for row in rows if row["infection_predicted_pixels"]]
    percents = [row["painted_percent"] for row in painted]
    return {
        "images": len(rows),
        "painted": len(painted),
        "median_percent": float(np.median(percents)) if painted else None,
        "largest_percent": float(max(percents)) if painted else None,
        "zones": {z: sum(row["painted_zone"] == z for row in painted) for z in ZONES},
        "sides": {
            s: sum(row["painted_side"] == s for row in painted)
            for s in (*SIDES, "both")
        },
    }


def _worst(ill, healthy, findings, count):
    def missed_more(row):  # the pixels found are part of both
        return row["infection_mask_pixels"] >= row["infection_predicted_pixels"]

    worst = {
        "missed": [row for row in ill if missed_more(row)],
        "overpainted": [row for row in ill if not missed_more(row)],
    }
    for kind, rows in worst.items():
        worst[kind] = sorted(rows, key=lambda r: (r["infection_dice"], r["name"]))
    for finding in findings:
        worst[f"false alarm, {finding}"] = sorted(
            (
                row
                for row in healthy
                if row["finding"] == finding and row["infection_predicted_pixels"]
            ),
            key=lambda row: (-row["painted_percent"], row["name"]),
        )
    if all("lung_dice" in row for row in (*ill, *healthy)):
        worst["lung"] = sorted(
            (*ill, *healthy), key=lambda row: (row["lung_dice"], row["name"])
        )
    return {
        kind: [
            {
                "name": row["name"],
                "dice": row["lung_dice" if kind == "lung" else "infection_dice"],
                "words": _in_words(row, kind),
            }
            for row in rows[:count]
        ]
        for kind, rows in worst.items()
    }


def _in_words(row, kind):
    if kind == "lung":
        wrong = row["lung_predicted_pixels"] / max(row["lung_mask_pixels"], 1) - 1
        size = "larger" if wrong > 0 else "smaller"
        return (
            f"lung Dice {row['lung_dice']:.2f}: the lung found is "
            f"{100 * abs(wrong):.0f} % {size} than the mask"
        )
    painted = "nothing painted"
    if row["infection_predicted_pixels"]:
        place = _place(row, "painted")
        painted = f"{row['painted_percent']:.1f} % of the lung painted ({place})"
    if not row["infection_mask_pixels"]:
        return f"no infection in the mask; {painted}"
    words = (
        f"Dice {row['infection_dice']:.2f}: mask {row['mask_percent']:.1f} % of the "
        f"lung ({_place(row, 'mask')}), {100 * row['missed_share']:.0f} % of it "
        f"missed; {painted}"
    )
    if row["infection_predicted_pixels"]:
        words += f", {100 * row['false_share']:.0f} % of it outside the mask"
    return words


def _place(row, of):
    side = row[f"{of}_side"]
    lung = "both lungs" if side == "both" else f"{side} lung"
    return f"{lung}, mostly the {row[f'{of}_zone']} zone"


def _patterns(summary, ill):
    lines = []
    groups = summary["by_extent"]
    if len(groups) == 4:
        least, most = groups[0], groups[-1]
        lines.append(
            f"Size: mean Dice is {least['dice']:.2f} in the quarter of films with the "
            f"least infection (up to {least['to_percent']:.1f} % of the lung), "
            f"{most['dice']:.2f} in the quarter with the most (from "
            f"{most['from_percent']:.1f} %)."
        )
        empty = [group["nothing_painted"] for group in groups]
        lines.append(
            f"Films missed entirely: nothing is painted on {sum(empty)} of {len(ill)} "
            f"films with infection, {empty[0]} of them in the first quarter."
        )
    zones = {k: v for k, v in summary["by_zone"].items() if v["images"]}
    if zones:
        lines.append(
            "Zones: of the area infected there, the network leaves out "
            + ", ".join(
                f"{100 * v['missed_share']:.0f} % in the {zone} zone"
                for zone, v in zones.items()
            )
            + "."
        )
    sides = {k: v for k, v in summary["by_side"].items() if v["images"]}
    if sides:
        lines.append(
            "Sides: mean Dice is "
            + ", ".join(
                f"{v['dice']:.2f} with infection in "
                + ("both lungs" if side == "both" else f"the {side} lung alone")
                + f" ({v['images']} films)"
                for side, v in sides.items()
            )
            + "."
        )
    alone = sum(summary["by_side"][side]["images"] for side in SIDES)
    if alone:
        lines.append(
            f"Wrong lung: on {summary['wrong_lung']} of {alone} films with infection "
            "in one lung, the other one alone is painted."
        )
    for finding, alarm in summary["alarms"].items():
        line = f"False alarms, {finding}: {alarm['painted']} of {alarm['images']} films"
        if alarm["painted"]:
            zone = max(alarm["zones"], key=alarm["zones"].get)
            line += (
                f" are painted, over {alarm['median_percent']:.1f} % of the lung in "
                f"the median and {alarm['largest_percent']:.1f} % at most; "
                f"{alarm['zones'][zone]} of them mostly in the {zone} zone, "
                f"{alarm['sides']['both']} in both lungs"
            )
        lines.append(line + ".")
    return lines
