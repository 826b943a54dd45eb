"""The frontier's page: tables between two markers, the words around them stay."""

import dataclasses
import functools
import pathlib

from benchmarks.frontier.plot import draw
from benchmarks.frontier.results import THREADS, Entry, Results, frontier, read_results
from covseg_tf.evaluation import paired_bootstrap
from covseg_tf.options import command, option

RESULTS = pathlib.Path(__file__).resolve().parents[2] / "docs" / "results" / "frontier"

BEGIN = "<!-- Between these markers `python -m benchmarks.frontier table` writes. -->"
END = "<!-- End of what `python -m benchmarks.frontier table` writes. -->"
_NEW_PAGE = f"""\
# Dice against latency: this network and its peers

{BEGIN}
{END}
"""


def write_page(path: pathlib.Path, results: Results) -> None:
    """Writes the tables into a page; one that does not exist is begun.

    Raises:
        ValueError: If the page has not the two markers, once each and in order.
    """
    text = path.read_text("utf-8") if path.is_file() else _NEW_PAGE
    if (
        text.count(BEGIN) != 1
        or text.count(END) != 1
        or END not in text.split(BEGIN)[1]
    ):
        raise ValueError(
            f"{path}: must have the line {BEGIN!r} and, after it, the line {END!r}, "
            "once each; put them around the tables."
        )
    before, rest = text.split(BEGIN)
    tables = "\n".join(["", "", *_lines(results), ""])
    path.write_text(before + BEGIN + tables + END + rest.split(END)[1], "utf-8")


def _lines(results):
    entries = results.entries
    short = [entry for entry in entries if not entry.is_bundled]
    lines = [*_score_table(entries), "", *_speed_table(entries), ""]
    if results.cpu:
        rounds = next(e for e in entries if e.speed).speed[THREADS[0]]
        lines += [
            f"CPU: {results.cpu}. Latency: median of {rounds['rounds']} rounds, each "
            f"the median of {rounds['runs']} inferences in a fresh process; in every "
            "round each network and the convolutions of the peak take their turn.",
            "",
        ]
    for protocol, words in (("lesions", "lesions"), ("all_images", "all images")):
        best = frontier(short, protocol)
        if best:
            names = ", ".join(
                f"{e.label} ({e.latency():.1f} ms, "
                f"{e.mean_dice('infection', protocol):.4f})"
                for e in best
            )
            lines += [f"On the frontier, {words}, of the one schedule: {names}.", ""]
    return [
        *lines,
        *_difference_table(results),
        "![Dice against latency](frontier.svg)",
    ]


def _score_table(entries):
    lines = [
        "| network | encoder's start | epochs | lung Dice | infection Dice, lesions | "
        "infection Dice, all images | the same in float: lesions | all images |",
        "|---" * 8 + "|",
    ]
    for entry in entries:
        cells = [entry.label, entry.facts["start"], entry.facts["schedule"]]
        cells += [
            _dice(entry, "lung", "all_images"),
            _dice(entry, "infection", "lesions"),
            _dice(entry, "infection", "all_images"),
        ]
        for protocol in ("lesions", "all_images"):
            mean = entry.mean_dice("infection", protocol, "float")
            cells.append("–" if mean is None else f"{mean:.4f}")
        lines.append(f"| {' | '.join(cells)} |")
    images = {
        protocol: entries[0].scores["int8", "infection", protocol]["images"]
        for protocol in ("lesions", "all_images")
    }
    return [
        *lines,
        "",
        "Int8 unless it says float; mean ± standard deviation over "
        f"{images['lesions']} images (lesions) or {images['all_images']} (all images, "
        "lung).",
    ]


def _speed_table(entries):
    lines = [
        "| network | parameters | MACs | MB | ms, 1 thread | ms, 2 threads | share of "
        "the int8 peak, 1 thread | 2 threads | peak memory, MB | XNNPACK |",
        "|---" * 10 + "|",
    ]
    for entry in entries:
        facts, speed = entry.facts, entry.speed
        cells = [
            entry.label,
            _count(int(facts["parameters"])),
            _count(int(facts["macs"])),
            f"{int(facts['bytes']) / 1e6:.2f}",
            *(_cell(speed, t, lambda x: f"{float(x['latency_ms']):.2f}")
              for t in THREADS),
            *(_cell(speed, t, lambda x: f"{float(x['share_of_peak']):.0%}")
              for t in THREADS),
            _cell(speed, 1, lambda x: f"{float(x['peak_memory_mb']):.0f}"),
            _cell(speed, 1, _delegated),
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    peaks = [
        f"{float(line['int8_peak']):.0f} on {threads} thread{'s' * (threads > 1)}"
        for threads in THREADS
        for line in [next((e.speed[threads] for e in entries if e.speed), None)]
        if line
    ]
    if not peaks:
        return lines
    return [
        *lines,
        "",
        "MACs of the file itself, for one image. The int8 peak is what LiteRT reaches "
        f"here on large pointwise convolutions, in 10⁹ MACs a second: "
        f"{', '.join(peaks)}.",
    ]


def _difference_table(results: Results):
    """Infection Dice of each of ours less each peer's, paired by image."""
    short = [entry for entry in results.entries if not entry.is_bundled]
    ours = [entry for entry in short if entry.facts["kind"] == "ours"]
    peers = [entry for entry in short if entry.facts["kind"] == "peer"]
    if not ours or not peers:
        return []
    lines = [
        "Infection Dice, lesions, int8: ours less the peer's, paired by image, with "
        "the 95 % interval of 10,000 bootstrap samples of the images (other seeds of "
        "the training would add to it).",
        "",
        f"| less | {' | '.join(entry.label for entry in ours)} |",
        "|---" * (1 + len(ours)) + "|",
    ]
    for peer in peers:
        cells = []
        for own in ours:
            found = _difference(
                _lesions(own, results.lesions), _lesions(peer, results.lesions)
            )
            cells.append(f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})")
        lines.append(f"| {peer.label} | {' | '.join(cells)} |")
    return [*lines, ""]


_difference = functools.cache(paired_bootstrap)


def _lesions(entry: Entry, lesions):
    dice = entry.dice["infection"]
    return tuple(x for x, has in zip(dice, lesions, strict=True) if has)


def _dice(entry, flow, protocol):
    line = entry.scores["int8", flow, protocol]
    return f"{float(line['dice']):.4f} ± {float(line['dice_std']):.2f}"


def _cell(speed, threads, text):
    return text(speed[threads]) if threads in speed else "–"


def _delegated(line):
    pieces = int(line["partitions"])
    cut = f" in {pieces}" if pieces > 1 else ""
    return f"{line['delegated']} of {line['operators']}{cut}"


def _count(number):
    if number < 1e6:
        return f"{number / 1e3:.0f} k"
    return f"{number / 1e6:.2f} M" if number < 1e9 else f"{number / 1e9:.2f} G"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    results: pathlib.Path = option("folder of the CSV files", RESULTS)


def run(options):
    results = read_results(options.results)
    page = options.results.with_suffix(".md")
    write_page(page, results)
    draw(results, options.results.with_suffix(".svg"))
    print(page)


main = command("frontier table", __doc__, Options, run)
