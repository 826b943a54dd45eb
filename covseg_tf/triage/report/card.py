"""One image of the HTML report."""

import base64
import html
import pathlib

from covseg_tf.edge.printable import printable
from covseg_tf.triage.record.output import LAYERS
from covseg_tf.triage.record.row import TriageRow
from covseg_tf.triage.report.words import UNSURE_SIDES, note_of, percent, remarks_of

_STEPS = (("off", "Off"), ("third", "⅓"), ("most", "⅔"), ("full", "Full"))


def safe(text: str) -> str:
    """Returns text from outside as HTML: printable, escaped.

    Args:
        text: Any text.
    """
    return html.escape(printable(text), quote=True)


def titled(file: str) -> str:
    """Returns a file's name as HTML, its folder small and after it.

    Args:
        file: `TriageRow.file`.
    """
    folder, slash, name = file.rstrip("/").rpartition("/")
    if not slash:
        return safe(file)
    return f'{safe(name)} <small class="soft">in {safe(folder or "/")}</small>'


def bar(value: float | None) -> str:
    """Returns a bar of a percentage, nothing for no number.

    Args:
        value: Percent, or `None`.
    """
    if value is None:
        return ""
    return f'<span class="track"><i style="width:{min(value, 100.0):.1f}%"></i></span>'


def card(number: int, row: TriageRow, out: pathlib.Path) -> str:
    """Returns the card of an image.

    Args:
        number: Its place in the worklist, from 1.
        row: Its row; it has an overlay.
        out: The output folder, where the pictures are.
    """
    note = note_of(row)
    parts = [
        f'<article class="{_style(row)}" id="image-{number}" '
        f'aria-labelledby="name-{number}">',
        f'<h3 id="name-{number}">{number}. {titled(row.file)}</h3>',
        _steps(number, row) if _is_painted(row) else "",
        _films(row, out),
        f'<p class="warn">{safe(note)}</p>' if note else "",
        _numbers(row),
        _scores(row),
        _remarks(row),
        "</article>",
    ]
    return "\n".join(filter(None, parts))


def _style(row):
    return "card" if row.involved_percent is not None else "card unscored"


def _steps(number, row):
    # What was found in an image that is none of a chest is there on request only.
    chosen = "off" if row.involved_percent is None else "full"
    buttons = "".join(
        f'<input type="radio" class="{key}" name="paint-{number}" '
        f'id="{key}-{number}"{" checked" if key == chosen else ""}>'
        f'<label for="{key}-{number}">{text}</label>'
        for key, text in _STEPS
    )
    return f'<fieldset class="steps"><legend>Overlay</legend>{buttons}</fieldset>'


def _films(row, out):
    name = pathlib.PurePath(row.overlay).stem
    film = _data(out / LAYERS / f"{name}.jpg", "jpeg")
    what = f"slice {row.shown_slice} of {safe(row.file)}" if row.shown_slice else ""
    what = what or safe(row.file)
    sides = '<span class="r" aria-hidden="true">R</span>' if _has_sides(row) else ""
    sides += '<span class="l" aria-hidden="true">L</span>' if sides else ""
    if not _is_painted(row):
        return (
            f'<figure class="films"><img loading="lazy" alt="{what}" src="{film}">'
            f"{sides}</figure>"
        )
    paint = _data(out / LAYERS / f"{name}.png", "png")
    found = f"Lungs and infection as found in {what}"
    return (
        f'<figure class="films"><img loading="lazy" alt="{what}" src="{film}">'
        f'<img class="paint" loading="lazy" alt="{found}" src="{paint}">'
        f"{sides}</figure>"
    )


def _numbers(row):
    lines = [("Involved", row.involved_percent, "all")]
    if row.involved_percent_right is not None or row.involved_percent_left is not None:
        lines.append(("Right lung", row.involved_percent_right, ""))
        lines.append(("Left lung", row.involved_percent_left, ""))
    if row.involved_percent is None:
        return '<p class="soft">Not scored.</p>'
    cells = "".join(
        f'<tr class="{style}"><th scope="row">{name}</th><td>{bar(value)}</td>'
        f'<td class="n">{percent(value)}</td></tr>'
        for name, value, style in lines
    )
    return f'<table class="numbers"><tbody>{cells}</tbody></table>'


def _scores(row):
    parts = []
    if row.extent is not None:
        boxes = "".join(
            f'<i class="{"on" if number < row.extent else ""}"></i>'
            for number in range(8)
        )
        parts.append(
            f"<div><p>Extent <b>{row.extent}</b> of 8</p>"
            f'<div class="scale" aria-hidden="true">{boxes}</div>'
            f'<p class="soft">right {row.extent_right}, left {row.extent_left} of 4'
            "</p></div>"
        )
    if row.zone_percents is not None:
        parts.append(_zones(row))
    if row.slices is not None:
        parts.append(f"<div>{_volume(row)}</div>")
    return f'<div class="scores">{"".join(parts)}</div>' if parts else ""


def _zones(row):
    lines = ""
    for third in ("upper", "middle", "lower"):
        cells = ""
        for side in ("right", "left"):
            value = row.zone_percents[f"{side}_{third}"]
            on = ' class="on"' if value > row.zone_threshold else ""
            cells += f"<td{on}>{value:.0f} %</td>"
        lines += f'<tr><th scope="row">{third}</th>{cells}</tr>'
    return (
        f'<table class="zones"><caption>Zones <b>{row.zones}</b> of 6 '
        f'<span class="soft">(over {row.zone_threshold:g} %)</span></caption>'
        '<thead><tr><td style="border:0"></td><th scope="col">right</th>'
        f'<th scope="col">left</th></tr></thead><tbody>{lines}</tbody></table>'
    )


def _volume(row):
    lines = []
    if row.lung_ml is not None and row.infection_ml is not None:
        lines.append(f"Lung {row.lung_ml:.0f} ml, infection {row.infection_ml:.0f} ml")
    shown = "" if row.shown_slice is None else f", shown: slice {row.shown_slice}"
    lines.append(f"{row.slices} slices{shown}")
    return "".join(f"<p>{line}</p>" for line in lines)


def _remarks(row):
    told = "".join(f"<li>{safe(text)}</li>" for text in remarks_of(row))
    return f'<ul class="soft">{told}</ul>' if told else ""


def _is_painted(row):
    return bool(row.lung_mask)


def _has_sides(row):
    return not UNSURE_SIDES & set(row.flags)


def _data(path, kind):
    return f"data:image/{kind};base64," + base64.b64encode(path.read_bytes()).decode()
