import harness
import keras
import numpy as np
import pytest
from backend import weight_gradients
from keras import ops

from covseg_tf.losses import CombinedSegmentationLoss
from covseg_tf.models import DualFlowSegmenter, EdgeEncoder


def small(**kwargs):
    encoder = EdgeEncoder(
        (32, 32, 1), stem_filters=4, filters=(4, 6, 8), depths=(0, 0, 0)
    )
    return DualFlowSegmenter(encoder, **kwargs)


def image(seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((2, 32, 32, 1), dtype="float32")


@pytest.mark.parametrize("separable", [False, True])
@pytest.mark.parametrize("attention", ["region_fusion", "self", "none"])
def test_outputs_are_probability_maps_of_the_image(attention, separable):
    maps = small(attention=attention, separable=separable)(image())
    assert set(maps) == {"lung", "infection"}
    for value in maps.values():
        assert value.shape == (2, 32, 32, 1)
        assert 0 <= float(ops.min(value)) <= float(ops.max(value)) <= 1


def gradient_paths(model, flow):
    gradients = weight_gradients(model, lambda maps: ops.mean(maps[flow]), image())
    return {
        path
        for path, gradient in gradients.items()
        if gradient is not None and float(ops.max(ops.abs(gradient))) > 0
    }


@pytest.mark.parametrize(
    ("arguments", "outputs", "lung_flow", "steered"),
    [
        # baseline: infection flow only, attention fed ones
        ({"attention": "self", "lung_supervision": False}, {"infection"}, False, False),
        # + lung region: lung helps through the shared encoder alone
        ({"attention": "self"}, {"lung", "infection"}, True, False),
        # + region fusion attention
        ({"attention": "region_fusion"}, {"lung", "infection"}, True, True),
        # no attention
        ({"attention": "none"}, {"lung", "infection"}, True, False),
    ],
)
def test_what_differs_between_the_rows_of_the_ablation(
    arguments, outputs, lung_flow, steered
):
    model = small(**arguments)
    names = {layer.name for layer in model.layers}
    assert set(model.output_names) == outputs
    assert any(name.startswith("lung_d") for name in names) == lung_flow
    has_attention = any(name.startswith("rfa_") for name in names)
    assert has_attention == (arguments["attention"] != "none")
    reached = gradient_paths(model, "infection")
    assert any(path.startswith("lung_d") for path in reached) == steered
    assert any("stem_conv" in path for path in reached)
    if "lung" in outputs:
        from_lung = gradient_paths(model, "lung")
        assert not any(p.startswith(("infection_", "rfa_")) for p in from_lung)


def test_six_attentions_with_four_levels():
    model = DualFlowSegmenter(EdgeEncoder((64, 64, 1), 4, (4, 4, 4, 4)))
    attentions = [x.name for x in model.layers if x.name.startswith("rfa_")]
    assert attentions == [
        "rfa_d1",
        "rfa_d1_1",
        "rfa_d2",
        "rfa_d2_1",
        "rfa_d3",
        "rfa_d3_1",
    ]


def test_lung_flow_without_supervision_only_steers():
    model = small(attention="region_fusion", lung_supervision=False)
    assert set(model.output_names) == {"infection"}
    assert any(p.startswith("lung_d") for p in gradient_paths(model, "infection"))


def test_side_outputs():
    model = small(side_outputs=("scales",))
    assert set(model.output_names) == {
        "lung",
        "infection",
        *(f"{flow}_side_{n}" for flow in ("lung", "infection") for n in (1, 2)),
    }
    assert model(image())["lung_side_1"].shape == (2, 32, 32, 1)


def test_deep_supervision_trains_on_the_same_loss_and_masks():
    """Plain compile and fit; each side output weighs 0.1 and moves."""
    model = small(side_outputs=("scales",))
    model.compile("sgd", loss=CombinedSegmentationLoss(), metrics={"lung": ["mae"]})
    mask = (image(1) > 0.5).astype("float32")
    masks = {"lung": mask, "infection": 1 - mask}
    logs = model.evaluate(image(), masks, return_dict=True, verbose=0)
    sides = [v for k, v in logs.items() if "_side_" in k]
    main = logs["lung_loss"] + logs["infection_loss"]
    assert len(sides) == 4
    assert logs["loss"] == pytest.approx(main + 0.1 * sum(sides), rel=1e-4)
    # The mask of a side output is that of its flow.
    loss = CombinedSegmentationLoss()
    want = float(loss(1 - mask, model(image())["infection_side_2"]))
    assert logs["infection_side_2_loss"] == pytest.approx(want, rel=1e-3)
    before = model.get_layer("lung_side_1_logits").get_weights()[0]
    model.fit(image(), masks, verbose=0)
    assert not np.array_equal(
        before, model.get_layer("lung_side_1_logits").get_weights()[0]
    )


def test_the_presence_gate_learns_whether_there_is_a_lesion():
    """Side output of weight 0.5, whose target is 1 where a mask is not empty."""
    model = small(side_outputs=("presence",))
    model.compile("sgd", loss=CombinedSegmentationLoss())
    mask = np.zeros((2, 32, 32, 1), "float32")
    mask[1, 3, 4] = 1
    masks = {"lung": 1 - mask, "infection": mask}
    logs = model.evaluate(image(), masks, return_dict=True, verbose=0)
    said = ops.convert_to_numpy(model(image())["infection_side_presence"])
    assert said.shape == (2, 1, 1, 1)
    want = -(np.log(1 - said[0]) + np.log(said[1])).item() / 2
    assert logs["infection_side_presence_loss"] == pytest.approx(want, rel=1e-3)
    assert logs["loss"] == pytest.approx(
        logs["lung_loss"] + logs["infection_loss"] + 0.5 * want, rel=1e-3
    )


@pytest.mark.parametrize(("absence", "taken"), [(-3.0, 0.0), (0.5, 3.0)])
def test_the_gate_takes_six_logits_per_logit_of_absence(absence, taken):
    """And nothing where infection is likely; the lung map stays."""
    model = small(side_outputs=("presence",))
    head = model.get_layer("presence_absence")

    def maps(value):
        kernel, bias = head.get_weights()
        head.set_weights([kernel * 0, bias * 0 + value])
        return {k: ops.convert_to_numpy(v) for k, v in network(image()).items()}

    network = model.inference_model()
    assert set(network.output) == {"lung", "infection"}
    free, gated = maps(-1.0), maps(absence)
    np.testing.assert_array_equal(free["lung"], gated["lung"])

    def logits(p):
        return np.log(p) - np.log1p(-p)

    np.testing.assert_allclose(
        logits(free["infection"]) - logits(gated["infection"]), taken, atol=1e-3
    )


def test_deep_supervision_keeps_weights_that_are_given():
    model = small(side_outputs=("scales",))
    mask = (image(1) > 0.5).astype("float32")
    model.compile(
        loss={"lung": "mse", "infection": "mae", "infection_side_1": "mse"},
        loss_weights={"infection": 2.0, "lung_side_2": 0.0},
    )
    logs = model.evaluate(
        image(), {"lung": mask, "infection": mask}, return_dict=True, verbose=0
    )
    want = (
        logs["lung_loss"]
        + 2 * logs["infection_loss"]
        + 0.1 * logs["lung_side_1_loss"]
        + 0.2 * (logs["infection_side_1_loss"] + logs["infection_side_2_loss"])
    )
    assert logs["loss"] == pytest.approx(want, rel=1e-4)
    side = keras.ops.convert_to_numpy(model(image())["infection_side_1"])
    assert logs["infection_side_1_loss"] == pytest.approx(
        np.square(side - mask).mean(), rel=1e-3
    )


def test_deep_supervision_of_one_flow_only_and_refusals():
    model = small(side_outputs=("scales",))
    model.compile("sgd", loss={"infection": "mse"})
    mask = (image(1) > 0.5).astype("float32")
    masks = {"lung": mask, "infection": mask}
    logs = model.evaluate(image(), masks, return_dict=True, verbose=0)
    want = sum(
        weight * np.square(ops.convert_to_numpy(model(image())[name]) - mask).mean()
        for name, weight in (
            ("infection", 1),
            ("infection_side_1", 0.1),
            ("infection_side_2", 0.1),
        )
    )
    assert logs["loss"] == pytest.approx(want, rel=1e-3)
    with pytest.raises(ValueError, match="loss_weights` a dict"):
        model.compile("sgd", loss="mse", loss_weights=[1.0] * 6)
    with pytest.raises(ValueError, match="one loss or a dict"):
        model.compile("sgd", loss=["mse"] * 6)


def test_inference_model_drops_side_heads_and_shares_weights():
    model = small(side_outputs=("scales",))
    inference = model.inference_model()
    assert set(inference.output_names) == {"lung", "infection"}
    for flow, maps in inference(image()).items():
        np.testing.assert_array_equal(maps, model(image())[flow])
    assert not any("_side_" in layer.name for layer in inference.layers)


def test_any_model_with_a_list_of_features_is_an_encoder():
    inputs = keras.Input((32, 32, 3))
    a = keras.layers.Conv2D(5, 3, strides=4, padding="same")(inputs)
    b = keras.layers.Conv2D(7, 3, strides=2, padding="same")(a)
    model = DualFlowSegmenter(keras.Model(inputs, [a, b]))
    assert model(np.zeros((1, 32, 32, 3)))["lung"].shape == (1, 32, 32, 1)


def test_dynamic_size():
    encoder = EdgeEncoder((None, None, 1), 4, (4, 6, 8), (0, 0, 0))
    model = DualFlowSegmenter(encoder)
    assert model(np.zeros((1, 48, 64, 1)))["lung"].shape == (1, 48, 64, 1)


def test_one_step_of_fit_with_the_combined_loss_moves_every_flow():
    model = small()
    model.compile("sgd", loss=CombinedSegmentationLoss())
    before = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
    mask = (image(1) > 0.5).astype("float32")
    history = model.fit(image(), {"lung": mask, "infection": mask}, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    moved = [
        not np.array_equal(old, keras.ops.convert_to_numpy(new))
        for old, new in zip(before, model.trainable_variables, strict=True)
    ]
    assert all(moved)


def test_save_and_load_in_a_new_process(tmp_path):
    model = small(separable=True, decoder_filters=(6, 4))
    harness.check_in_a_new_process(model, image(), tmp_path)


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: small(attention="other"), "Received: attention='other'"),
        (lambda: small(decoder_filters=(4,)), "needs 2 positive widths"),
        (lambda: EdgeEncoder((100, 256, 1)), "100 are 96 and 128"),
        (lambda: EdgeEncoder(filters=(4, 8)), "same length"),
    ],
)
def test_errors(build, text):
    with pytest.raises(ValueError, match=text):
        build()


@pytest.mark.parametrize("side_outputs", [(), ("scales",)])
def test_a_network_without_lung_output_takes_both_masks(side_outputs):
    """One dataset for every row: the lung mask is left out, nothing else is."""
    model = small(attention="self", lung_supervision=False, side_outputs=side_outputs)
    model.compile("sgd", loss=CombinedSegmentationLoss())
    masks = {"infection": np.round(image(1))}
    alone = model.evaluate(image(), masks, verbose=0, return_dict=True)
    both = masks | {"lung": np.round(image(2))}
    together = model.evaluate(image(), both, verbose=0, return_dict=True)
    assert together["loss"] == pytest.approx(alone["loss"], rel=1e-6)
    with pytest.raises(ValueError, match="need the key 'infection'"):
        model.evaluate(image(), {"infektion": masks["infection"]}, verbose=0)
