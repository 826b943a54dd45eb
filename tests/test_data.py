import cv2
import keras
import numpy as np
import pytest

from covseg_tf.data import (
    Sample,
    chest_augmentation,
    keras_cv_augmentation,
    load_sample,
    make_dataset,
    read_covid_qu_ex,
    split_samples,
    strong_chest_augmentation,
)
from covseg_tf.edge import PreprocessingSpec

SPEC = PreprocessingSpec(64, 64)


def test_reader_lists_the_layout(phantom_data):
    samples = read_covid_qu_ex(phantom_data, "Train")
    assert len(samples) == 12
    assert samples[0].name == "Train/COVID-19/phantom_0"
    assert {s.finding for s in samples} == {"COVID-19", "Non-COVID", "Normal"}
    inner = phantom_data / "Infection Segmentation Data"
    assert read_covid_qu_ex(inner, "Train") == samples


@pytest.mark.data
def test_reader_on_the_real_download(covid_qu_ex):
    count = {s: len(read_covid_qu_ex(covid_qu_ex, s)) for s in ("Train", "Val")}
    assert count == {"Train": 2518, "Val": 429}
    sample = read_covid_qu_ex(covid_qu_ex, "Val")[0]
    image, lung, infection = load_sample(sample, PreprocessingSpec())
    assert image.shape == (256, 256)
    assert lung.sum() > infection.sum() > 0
    assert not np.any(infection & ~lung & 1)


def test_reader_errors(phantom_data, tmp_path):
    with pytest.raises(ValueError, match="Expected the layout"):
        read_covid_qu_ex(phantom_data, "Test")
    (tmp_path / "Train").mkdir()
    with pytest.raises(ValueError, match="no image in COVID-19/images"):
        read_covid_qu_ex(tmp_path, "Train")


def write(path, plane):
    path.write_bytes(cv2.imencode(".png", plane)[1].tobytes())
    return path


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        (np.zeros((5, 6), np.uint8), "mask is 6x5 pixels but its image is 8x8"),
        (np.full((8, 8), 7, np.uint8), r"0 and 255 only; found values \[7\]"),
    ],
)
def test_bad_masks_are_named(tmp_path, mask, text):
    good = write(tmp_path / "good.png", np.zeros((8, 8), np.uint8))
    bad = write(tmp_path / "bad.png", mask)
    with pytest.raises(ValueError, match=text) as caught:
        load_sample(Sample("a", good, good, bad, "COVID-19"), SPEC)
    assert str(bad) in str(caught.value)


def test_split_is_disjoint_stratified_and_repeatable(phantom_data):
    samples = read_covid_qu_ex(phantom_data, "Train")
    rest, held = split_samples(samples, 0.25, seed=3)
    assert sorted(s.name for s in rest + held) == sorted(s.name for s in samples)
    assert [s.finding for s in held] == ["COVID-19", "Non-COVID", "Normal"]
    assert split_samples(samples[::-1], 0.25, seed=3) == (rest, held)


@pytest.mark.parametrize("make", [chest_augmentation, strong_chest_augmentation])
def test_augmentation_moves_image_and_masks_together(make):
    """The image is its own mask, so after any geometry both must agree."""
    rng = np.random.default_rng(0)
    blobs = cv2.GaussianBlur(rng.standard_normal((8, 96, 96)).astype("f"), (0, 0), 1)
    masks = np.stack([cv2.GaussianBlur(b, (0, 0), 12) > 0 for b in blobs]).astype(
        "float32"
    )[..., None]
    geometry = make(seed=1)
    # Leave out brightness and contrast, which are to change images alone.
    layers = geometry.layers[:4]
    data = {
        "images": masks,
        "segmentation_masks": np.concatenate([masks, 1 - masks], -1),
    }
    for layer in layers:
        data = layer(data, training=True)
    moved, both = np.array(data["images"]), np.array(data["segmentation_masks"])
    assert set(np.unique(both)) == {0.0, 1.0}
    sure = np.abs(moved - 0.5) > 0.45  # away from edges, where bilinear mixes
    agreement = (moved > 0.5)[sure] == (both[..., :1] > 0.5)[sure]
    assert agreement.mean() > 0.995
    assert (moved != masks).any(axis=(1, 2, 3)).all()


def test_no_augmentation_is_in_the_network_that_is_exported():
    from covseg_tf.models import DualFlowSegmenter

    network = DualFlowSegmenter.from_preset("xray", (64, 64, 1))
    kinds = {type(x).__name__ for x in network.inference_model()._flatten_layers()}
    assert {"Conv2D", "ReLU"} <= kinds
    assert not [kind for kind in kinds if kind.startswith("Random")]


@pytest.mark.parametrize("make", [chest_augmentation, strong_chest_augmentation])
def test_photometric_layers_leave_masks_alone(make):
    rng = np.random.default_rng(0)
    images = rng.random((4, 32, 32, 1)).astype("float32")
    masks = (images > 0.5).astype("float32")
    for layer in make(seed=1).layers[4:]:
        data = layer({"images": images, "segmentation_masks": masks}, training=True)
        assert not np.array_equal(data["images"], images)
        np.testing.assert_array_equal(data["segmentation_masks"], masks)


def test_dataset_without_training_is_the_files(phantom_data):
    samples = read_covid_qu_ex(phantom_data, "Val")
    images, masks = next(iter(make_dataset(samples, SPEC, batch_size=5)))
    assert images.shape == masks["lung"].shape == (5, 64, 64, 1)
    pixels, lung, infection = load_sample(samples[3], SPEC)
    np.testing.assert_allclose(images[3, :, :, 0], pixels / 255, atol=1e-6)
    np.testing.assert_array_equal(masks["lung"][3, :, :, 0], lung)
    np.testing.assert_array_equal(masks["infection"][3, :, :, 0], infection)


def test_training_dataset_differs_between_epochs_and_keeps_labels(phantom_data):
    samples = read_covid_qu_ex(phantom_data, "Train")
    dataset = make_dataset(samples, SPEC, batch_size=8, training=True)
    first, second = (list(dataset) for _ in range(2))
    assert len(first) == 1  # the partial batch is dropped
    assert not np.array_equal(first[0][0], second[0][0])
    for images, masks in first + second:
        assert 0 <= images.numpy().min() <= images.numpy().max() <= 1
        for mask in masks.values():
            assert set(np.unique(mask)) <= {0.0, 1.0}


def test_a_training_batch_is_a_function_of_seed_epoch_and_number(phantom_data):
    samples = read_covid_qu_ex(phantom_data, "Train")

    def epochs(count, **arguments):
        data = make_dataset(samples, SPEC, 3, training=True, **arguments)
        return [[(i.numpy(), m["lung"].numpy()) for i, m in data] for _ in range(count)]

    def same(one, other):
        return all(
            np.array_equal(a, b)
            for first, second in zip(one, other, strict=True)
            for a, b in zip(first, second, strict=True)
        )

    whole = epochs(4, seed=5)
    resumed = epochs(2, seed=5, first_epoch=2)
    assert [len(epoch) for epoch in whole] == [4] * 4
    assert same(whole[2], resumed[0])
    assert same(whole[3], resumed[1])
    assert not same(whole[0], whole[1])
    assert not same(whole[0], epochs(1, seed=6)[0])


@pytest.mark.parametrize("make", [chest_augmentation, strong_chest_augmentation])
def test_one_pipeline_serves_two_datasets_and_stays_as_it_is(phantom_data, make):
    samples = read_covid_qu_ex(phantom_data, "Train")
    pipeline = make(seed=1)
    arguments = {"training": True, "seed": 5, "augmentation": pipeline}
    alone = next(iter(make_dataset(samples, SPEC, 4, **arguments)))[0].numpy()
    first = make_dataset(samples, SPEC, 4, **arguments)
    make_dataset(samples, SPEC, 4, **(arguments | {"seed": 6}))
    np.testing.assert_array_equal(next(iter(first))[0], alone)
    assert "get_random_transformation" not in vars(pipeline.layers[0])


def test_every_training_image_comes_once_an_epoch(phantom_data):
    samples = read_covid_qu_ex(phantom_data, "Train")
    data = make_dataset(samples, SPEC, 4, training=True, augmentation=lambda d: d)
    seen = {i.tobytes() for images, _ in data for i in (images.numpy() * 255).round()}
    assert len(data) == 3
    assert len(seen) == len(samples) == 12


def test_another_augmentation_takes_the_place_of_the_own(phantom_data):
    samples = read_covid_qu_ex(phantom_data, "Train")

    def negative(data):
        masks = data["segmentation_masks"]
        return {"images": 1 - data["images"], "segmentation_masks": masks}

    def first(augmentation):
        data = make_dataset(samples, SPEC, 4, training=True, augmentation=augmentation)
        return next(iter(data))[0].numpy()

    plain = first(lambda data: data)
    np.testing.assert_allclose(first(negative), 1 - plain, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["RandomShear", "RandomCropAndResize", "CutMix", "Mosaic", "RandomFlip"]
)
# keras-cv maps over the batch and says so; its module predates Keras 3.
@pytest.mark.filterwarnings("ignore")
def test_keras_cv_layers_move_masks_with_the_image(name):
    """The image is its own mask: flat blocks, so that only edges can differ."""
    rng = np.random.default_rng(0)
    masks = np.kron(rng.random((4, 8, 8, 2)) > 0.5, np.ones((1, 8, 8, 1)))
    masks = masks.astype("float32")
    data = {"images": masks[..., :1] * 0.5 + 0.25, "segmentation_masks": masks}
    augment = keras_cv_augmentation([name], (64, 64), seed=1)
    moved = augment({k: keras.ops.convert_to_tensor(v) for k, v in data.items()})
    images, both = (np.array(moved[k]) for k in ("images", "segmentation_masks"))
    assert both.shape == masks.shape
    assert set(np.unique(both)) == {0.0, 1.0}
    disagreement = (images[..., 0] > 0.5) != (both[..., 0] > 0.5)
    filled = images[..., 0] > 0.01  # what came from outside the image is black
    assert disagreement[filled].mean() < 0.02
    assert not np.array_equal(images, data["images"])


def test_keras_cv_layers_that_harm_masks_are_refused():
    with pytest.raises(ValueError, match=r"'AugMix' \(it corrupts masks\)"):
        keras_cv_augmentation(["AugMix"])
    with pytest.raises(ValueError, match="not tried"):
        keras_cv_augmentation(["GridMask"])


def test_findings_can_weigh_differently_in_the_infection_flow(phantom_data):
    samples = read_covid_qu_ex(phantom_data, "Train")
    kinds = {"Normal": 2.0, "Non-COVID": 0.25}
    data = make_dataset(samples, SPEC, 12, training=True, finding_weights=kinds)
    ((_, masks, weights),) = data
    filled = masks["infection"].numpy().any(axis=(1, 2, 3))
    assert sorted(weights["infection"].numpy()) == [0.25] * 4 + [1] * 4 + [2] * 4
    np.testing.assert_array_equal(weights["infection"].numpy() == 1, filled)
    assert set(weights["lung"].numpy()) == {1.0}


def test_dataset_errors(phantom_data):
    samples = read_covid_qu_ex(phantom_data, "Val")
    with pytest.raises(ValueError, match="at least 0"):
        make_dataset(samples, SPEC, finding_weights={"Normal": -1})
    with pytest.raises(ValueError, match="at least one batch"):
        make_dataset([], SPEC)
