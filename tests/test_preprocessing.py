import cv2
import numpy as np
import pytest

from covseg_tf.edge import PreprocessingSpec, read_image
from covseg_tf.imaging import to_grey


def test_eight_bit_grey_of_the_right_size_is_untouched():
    image = np.random.default_rng().integers(0, 256, (256, 256), np.uint8)
    np.testing.assert_array_equal(PreprocessingSpec().apply(image), image)


def test_sixteen_bit_is_stretched_by_hand():
    image = np.array([[1000, 2000], [3000, 6000]], np.uint16)
    np.testing.assert_array_equal(to_grey(image), [[0, 51], [102, 255]])


def test_colour_becomes_luma():
    image = np.zeros((2, 2, 3), np.uint8)
    image[0, 0] = (0, 0, 255)  # red, in BGR
    image[1, 1] = (255, 255, 255)
    np.testing.assert_array_equal(to_grey(image), [[76, 0], [0, 255]])


def test_grey_stored_as_colour_equals_grey():
    grey = np.random.default_rng().integers(0, 256, (40, 30), np.uint8)
    for channels in (1, 3, 4):
        image = np.repeat(grey[..., None], channels, axis=-1)
        np.testing.assert_array_equal(to_grey(image), grey)


def test_shrinking_averages_areas():
    image = np.array([[0, 100, 8, 8], [100, 200, 8, 8]], np.uint8)
    np.testing.assert_array_equal(PreprocessingSpec(1, 2).apply(image), [[100, 8]])


def test_masks_get_no_new_label():
    mask = (np.random.default_rng().random((50, 70)) > 0.5).astype(np.uint8)
    assert set(np.unique(PreprocessingSpec(33, 47).resize_mask(mask))) == {0, 1}


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (np.zeros((0, 4)), "non-empty"),
        (np.zeros((4, 4, 2)), "Received shape"),
        (np.full((4, 4), np.nan), "NaN"),
        (np.array([["a"]]), "integers or floats"),
    ],
)
def test_no_image(image, text):
    with pytest.raises(ValueError, match=text):
        to_grey(image)


def test_spec_round_trip_and_errors():
    spec = PreprocessingSpec(64, 32)
    assert PreprocessingSpec.from_dict(spec.to_dict()) == spec
    with pytest.raises(ValueError, match="exactly the fields"):
        PreprocessingSpec.from_dict({"height": 3})
    with pytest.raises(ValueError, match="height=0"):
        PreprocessingSpec(0, 3)


@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_read_image_keeps_the_depth(tmp_path, depth):
    image = (np.arange(12).reshape(3, 4) * 20).astype(depth)
    path = tmp_path / "röntgen.png"
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    got = read_image(path)
    assert got.dtype == depth
    np.testing.assert_array_equal(got, image)


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, "No such file"), (b"", "empty"), (b"\x89PNG\r\n\x1a\nxx", "cannot be")],
)
def test_unreadable_files_say_why(tmp_path, content, text):
    path = tmp_path / "x.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=text):
        read_image(path)
