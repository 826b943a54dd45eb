"""The bundle that `covseg_tf.edge` reads, and the card in it."""

from covseg_tf.deploy.bundle.card import XRAY_LIMITS, hospitals_card, render_model_card
from covseg_tf.deploy.bundle.card_sections import protocol_table, render_sections
from covseg_tf.deploy.bundle.write import (
    CT_LICENSE,
    XRAY_LICENSE,
    write_bundle,
)

__all__ = [
    "CT_LICENSE",
    "XRAY_LICENSE",
    "XRAY_LIMITS",
    "hospitals_card",
    "protocol_table",
    "render_model_card",
    "render_sections",
    "write_bundle",
]
