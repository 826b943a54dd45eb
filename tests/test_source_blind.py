"""What takes the hospital out of a film, and what a telephone makes of one."""

import cv2
import numpy as np
import pytest

from covseg_tf.data import photograph_augmentation, source_blind_augmentation
from covseg_tf.data.source_blind import match_histogram, swap_low_frequencies
from covseg_tf.edge import draw_phantom


@pytest.fixture(scope="module")
def films():
    return [cv2.resize(draw_phantom(i, 0.3).image, (128, 128)) for i in (1, 2)]


def test_histogram_of_another_film_rank_by_rank():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    other = (np.arange(256).reshape(16, 16) // 2).astype(np.uint8)
    matched = match_histogram(image, other)
    # Uniform on 0..255 to uniform on 0..127: half the level, and order kept.
    np.testing.assert_allclose(matched, image / 2, atol=1)
    assert (np.diff(matched.ravel().astype(int)) >= 0).all()


def test_low_frequencies_of_another_film(films):
    image, other = films
    zero = swap_low_frequencies(image, other, 0)
    assert abs(zero.mean() - other.mean()) < 1.5  # its brightness, no more
    own = swap_low_frequencies(image, image, 3)
    np.testing.assert_allclose(own.astype(int), image, atol=1)


@pytest.mark.parametrize("seed", range(20))
def test_every_operation_keeps_shape_and_type(films, seed):
    image, other = films
    before = image.copy()
    changed = source_blind_augmentation(image, other, np.random.default_rng(seed), 1.0)
    assert changed.shape == image.shape
    assert changed.dtype == np.uint8
    assert (changed != image).any()
    assert (image == before).all()
    again = source_blind_augmentation(image, other, np.random.default_rng(seed), 1.0)
    assert (changed == again).all()


def test_nothing_by_chance_zero(films):
    image, other = films
    same = source_blind_augmentation(image, other, np.random.default_rng(0), 0.0)
    assert (same == image).all()


def test_bad_input_is_named(films):
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="Expected uint8"):
        source_blind_augmentation(films[0] / 255, None, rng)
    with pytest.raises(ValueError, match="resize it"):
        source_blind_augmentation(films[0], films[1][:64], rng)
    with pytest.raises(ValueError, match=r"in \[0, 1\]"):
        source_blind_augmentation(films[0], None, rng, 2)
    with pytest.raises(ValueError, match="one size"):
        photograph_augmentation(films[0], np.zeros((4, 4, 1), np.uint8), rng)


@pytest.mark.parametrize("seed", range(10))
def test_masks_move_with_the_photographed_film(films, seed):
    # A bright disc is its own mask: after the photograph they still overlap.
    disc = np.zeros((128, 128), np.uint8)
    cv2.circle(disc, (70, 60), 30, 255, -1)
    masks = np.stack([disc // 255, 2 * (disc // 255)], axis=-1)
    image, moved = photograph_augmentation(disc, masks, np.random.default_rng(seed))
    assert image.shape == disc.shape
    assert moved.shape == masks.shape
    assert set(np.unique(moved[..., 1])) == {0, 2}  # no label that was not there
    inside = moved[..., 0] > 0
    assert image[inside].mean() > image[~inside].mean() + 30
