"""Numbers of a prediction, on maps drawn by hand."""

import numpy as np
import pytest

from covseg_tf.edge import Prediction, Segmenter, draw_phantom

# Two lungs of 40 x 20 = 800 pixels on a 100 x 100 grid.
RIGHT = (slice(30, 70), slice(20, 40))
LEFT = (slice(30, 70), slice(60, 80))


def predict(lungs=(RIGHT, LEFT), infected=(), image_shape=(100, 100)):
    maps = np.zeros((2, 100, 100), np.uint8)
    for area in lungs:
        maps[0][area] = 255
    for area in infected:
        maps[1][area] = 255
    return Prediction(image_shape, maps[0], maps[1])


def test_percent_by_hand():
    """A quarter of the patient's right lung, on the image's left."""
    prediction = predict(infected=[(slice(30, 40), slice(20, 40))])
    assert prediction.flags == ()
    assert prediction.involvement.total == pytest.approx(12.5)
    assert prediction.involvement.right == pytest.approx(25)
    assert prediction.involvement.left == 0


def test_infection_outside_the_lungs_does_not_count():
    prediction = predict(infected=[(slice(0, 30), slice(0, 100))])
    assert prediction.involvement.total == 0
    assert not prediction.infection_mask.any()


def test_specks_are_dropped():
    speck = (slice(30, 33), slice(20, 23))  # 9 pixels; the limit is 10
    more = (slice(30, 35), slice(60, 62))  # 10 pixels
    assert predict(infected=[speck]).involvement.total == 0
    assert predict(infected=[more]).involvement.total == pytest.approx(100 * 10 / 1600)
    lung_speck = (slice(0, 7), slice(0, 7))  # 49 pixels; the limit is 50
    assert predict([RIGHT, LEFT, lung_speck]).lung_mask.sum() == 1600


def test_joined_lungs_are_not_guessed_apart():
    bridge = (slice(45, 50), slice(40, 60))
    prediction = predict([RIGHT, LEFT, bridge], [(slice(30, 40), slice(20, 40))])
    assert prediction.flags == ("lungs_not_separable",)
    assert prediction.involvement.right is prediction.involvement.left is None
    assert prediction.involvement.total == pytest.approx(100 * 200 / 1700)


@pytest.mark.parametrize(
    ("lungs", "flags"),
    [
        ([], ("no_lungs_found",)),
        ([RIGHT], ("lungs_not_separable",)),
        # one above the other
        (
            [(slice(5, 40), slice(30, 60)), (slice(50, 90), slice(30, 60))],
            ("lungs_not_separable",),
        ),
        ([(slice(40, 60), slice(20, 35)), (slice(40, 60), slice(60, 75))], "small"),
    ],
)
def test_flags(lungs, flags):
    prediction = predict(lungs)
    if flags == "small":
        flags = ("lung_area_implausible",)
        assert prediction.involvement.total is None
    assert prediction.flags == flags


def test_lungs_at_the_edge_are_scored_with_a_warning():
    """21 of the 100 pixels of the upper edge are lung; the limit is 20."""
    lungs = [(slice(0, 70), slice(20, 40)), (slice(0, 70), slice(60, 61)), LEFT]
    prediction = predict(lungs, [(slice(0, 35), slice(20, 40))])
    assert prediction.flags == ("lungs_cut_off",)
    assert prediction.involvement.right == pytest.approx(50)
    assert predict([lungs[0], LEFT]).flags == ()  # 20 of 100


def test_tilt_is_that_of_the_image_not_of_the_grid():
    """Centres 40 columns apart; 20 rows are 26.6 degrees, 18 are 24.2."""
    tilted = [RIGHT, (slice(50, 90), slice(60, 80))]
    assert predict(tilted).flags == ("film_rotated",)
    assert predict(tilted).involvement.total is None
    assert predict([RIGHT, (slice(48, 88), slice(60, 80))]).flags == ()
    # Twice as wide as high: 20 rows to 80 columns are 14 degrees.
    assert predict(tilted, image_shape=(100, 200)).flags == ()


def test_a_guarded_image_has_no_numbers():
    lungs = predict().lung_levels
    guarded = Prediction((100, 100), lungs, lungs, guard_flags=("not_a_chest_xray",))
    assert guarded.flags == ("not_a_chest_xray",)
    assert guarded.involvement.total is guarded.extent is guarded.zones is None


def test_a_flag_is_named_once():
    tilted = predict([RIGHT, (slice(50, 90), slice(60, 80))]).lung_levels
    both = Prediction((100, 100), tilted, tilted, guard_flags=("film_rotated",))
    assert both.flags == ("film_rotated",)


def test_a_slice_has_no_extent_and_no_tilt():
    tilted = predict([RIGHT, (slice(50, 90), slice(60, 80))]).lung_levels
    piece = Prediction((100, 100), tilted, tilted, modality="ct")
    assert piece.flags == ()
    assert piece.involvement.total == 100
    assert piece.extent is piece.extent_right is piece.zones is None


def test_a_lung_in_pieces_stays_on_its_side():
    piece = (slice(75, 85), slice(25, 35))
    prediction = predict([RIGHT, LEFT, piece], [piece])
    assert prediction.involvement.right == pytest.approx(100 * 100 / 900)
    assert prediction.involvement.left == 0


def test_mirrored_maps_swap_the_sides():
    prediction = predict(infected=[(slice(30, 40), slice(20, 40))])
    mirrored = Prediction(
        (100, 100),
        prediction.lung_levels[:, ::-1],
        prediction.infection_levels[:, ::-1],
    )
    assert mirrored.involvement.left == prediction.involvement.right
    assert mirrored.involvement.right == prediction.involvement.left


def test_maps_come_at_the_size_of_the_image():
    prediction = predict(image_shape=(230, 170))
    assert prediction.lung.shape == prediction.infection.shape == (230, 170)
    assert prediction.lung.dtype == np.float32
    assert prediction.lung.max() == pytest.approx(255 / 256)
    assert prediction.lung_mask.shape == (230, 170)
    assert prediction.lung_mask.mean() == pytest.approx(0.16, abs=0.005)


def test_phantoms_repeat_and_obey():
    one, same, other = (draw_phantom(s, 0.4, 128) for s in (5, 5, 6))
    np.testing.assert_array_equal(one.image, same.image)
    assert not np.array_equal(one.image, other.image)
    assert not np.any(one.infection_mask & ~one.lung_mask)
    assert one.infection_mask.sum() >= 0.4 * one.lung_mask.sum()
    assert not draw_phantom(5, 0, 128).infection_mask.any()
    with pytest.raises(ValueError, match="severity=2"):
        draw_phantom(1, 2)


def test_loading_a_model_prints_nothing(capfd):
    """LiteRT's announcement of its delegate would be mail from every cron job."""
    Segmenter("xray").predict(draw_phantom(1, size=128).image)
    assert capfd.readouterr() == ("", "")
