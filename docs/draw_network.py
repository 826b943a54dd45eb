#!/usr/bin/env python
"""Draw a dual-flow network as SVG, from the Keras model itself.

    python docs/draw_network.py co_era_net > docs/co_era_net.svg

Every box, size and arrow is read off the layers of the preset's model, so the
picture cannot say what the code does not do.
"""

import html
import sys

from covseg_tf.layers import RegionFusionAttention
from covseg_tf.models import DualFlowSegmenter

WIDTH, HEIGHT = 104, 54  # of a box
STEP = 132  # from one column to the next
ROWS = {"lung": 150, "rfa": 244, "infection": 338}
COLOURS = {"encoder": "#64748b", "lung": "#0891b2", "infection": "#d97706"}
STYLE = """
svg { font: 13px system-ui, sans-serif; }
text { fill: #0f172a; text-anchor: middle; }
.small { font-size: 11px; fill: #475569; }
.title { font-size: 17px; font-weight: 600; text-anchor: start; }
.note { font-size: 12px; text-anchor: start; fill: #475569; }
.arrow { stroke: #334155; stroke-width: 1.5; fill: none; marker-end: url(#tip); }
.skip { stroke: #64748b; stroke-width: 1.5; stroke-dasharray: 5 4; fill: none;
  marker-end: url(#tip); }
"""


class Canvas:
    """Collects SVG elements; `x`, `y` are centres of boxes."""

    def __init__(self):
        self.parts = []

    def box(self, x, y, title, detail, colour):
        self.parts.append(
            f'<rect x="{x - WIDTH / 2:g}" y="{y - HEIGHT / 2:g}" width="{WIDTH}" '
            f'height="{HEIGHT}" rx="6" fill="{colour}22" stroke="{colour}" '
            'stroke-width="1.5"/>'
        )
        self.text(x, y - 4, title)
        self.text(x, y + 14, detail, "small")

    def text(self, x, y, text, kind=""):
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" class="{kind}">{html.escape(text)}</text>'
        )

    def line(self, points, kind="arrow"):
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" class="{kind}"/>')

    def render(self, width, height):
        marker = (
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" '
            'markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0 8 4 0 8z" fill="#334155"/></marker></defs>'
        )
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            f'role="img" aria-label="Diagram of a dual-flow network">'
            f"<style>{STYLE}</style>{marker}\n"
            '<rect width="100%" height="100%" fill="#fff"/>\n'
            + "\n".join(self.parts)
            + "\n</svg>\n"
        )


def size_of(layer):
    _, height, width, channels = layer.output.shape
    return f"{height}×{width}×{channels}"


def draw(preset="co_era_net", input_shape=(256, 256, 1)):
    """Returns the SVG text of a preset's network."""
    model = DualFlowSegmenter.from_preset(preset, input_shape)
    layers = {layer.name: layer for layer in model.layers}
    pyramid = list(model.encoder.outputs)
    scales = len(pyramid) - 1
    canvas = Canvas()
    canvas.text(20, 30, f"{preset}: {model.count_params() / 1e6:.1f} M parameters")
    canvas.parts[-1] = canvas.parts[-1].replace('class=""', 'class="title"')

    # The encoder, fine to coarse, in the first columns of the row below.
    floor = 450
    x0 = 20 + WIDTH / 2
    height, width, channels = input_shape
    canvas.box(x0, floor, "image", f"{height}×{width}×{channels}", "#334155")
    columns = []
    for index, level in enumerate(pyramid):
        x = x0 + STEP * (index + 1)
        _, height, width, channels = level.shape
        canvas.box(
            x,
            floor,
            f"P{index + 2}",
            f"{height}×{width}×{channels}",
            COLOURS["encoder"],
        )
        canvas.line([(x - STEP + WIDTH / 2, floor), (x - WIDTH / 2, floor)])
        columns.append(x)

    steps = [f"d{i}{tail}" for i in range(1, scales + 1) for tail in ("", "_1")]
    flows = [flow for flow in ("lung", "infection") if f"{flow}_d1_conv" in layers]
    start = x0
    for number, step in enumerate(steps):
        x = start + STEP * number
        for flow in flows:
            conv = layers[f"{flow}_{step}_conv"]
            title = step.upper() + " 3×3"
            canvas.box(x, ROWS[flow], title, size_of(conv), COLOURS[flow])
            if number:
                canvas.line(
                    [(x - STEP + WIDTH / 2, ROWS[flow]), (x - WIDTH / 2, ROWS[flow])]
                )
        attention = layers.get(f"rfa_{step}")
        if isinstance(attention, RegionFusionAttention):
            steered = model.attention == "region_fusion"
            detail = "lung → infection" if steered else "fed ones"
            canvas.box(x, ROWS["rfa"], "RFA", detail, "#7c3aed")
            if steered:
                canvas.line(
                    [(x, ROWS["lung"] + HEIGHT / 2), (x, ROWS["rfa"] - HEIGHT / 2)]
                )
            canvas.line(
                [(x, ROWS["rfa"] + HEIGHT / 2), (x, ROWS["infection"] - HEIGHT / 2)]
            )
        if step.endswith("_1"):
            skip = scales + 1 - int(step[1:-2])
            canvas.text(
                x - STEP / 2, ROWS["lung"] - HEIGHT, f"up ×2, join P{skip + 1}", "small"
            )
            canvas.line(
                [
                    (x - STEP / 2, ROWS["lung"] - HEIGHT + 6),
                    (x - STEP / 2, ROWS["lung"] - 8),
                ],
                "skip",
            )
            side = f"infection_side_{step[1:-2]}"
            if side in layers:
                canvas.text(x, ROWS["lung"] - HEIGHT / 2 - 8, "+ side heads", "small")
    last = start + STEP * len(steps)
    for flow in flows:
        if flow in model.output_names:
            canvas.box(last, ROWS[flow], flow, size_of(layers[flow]), COLOURS[flow])
            canvas.line(
                [(last - STEP + WIDTH / 2, ROWS[flow]), (last - WIDTH / 2, ROWS[flow])]
            )
    # P5 opens both flows.
    canvas.line(
        [
            (columns[-1], floor - HEIGHT / 2),
            (columns[-1], floor - HEIGHT / 2 - 18),
            (8, floor - HEIGHT / 2 - 18),
            (8, ROWS["lung"]),
            (start - WIDTH / 2, ROWS["lung"]),
        ]
    )
    canvas.line([(8, ROWS["infection"]), (start - WIDTH / 2, ROWS["infection"])])
    for number, note in enumerate(
        (
            "Dn 3×3: convolution, batch norm, ReLU. RFA: Region Fusion Attention.",
            "Both flows join the same skips. Head: 1×1, sigmoid, at the image size.",
        )
    ):
        canvas.text(20, floor + 54 + 18 * number, note, "note")
    return canvas.render(int(last + WIDTH / 2 + 20), floor + 90)


if __name__ == "__main__":
    sys.stdout.write(draw(*sys.argv[1:2]))
