"""Photographs of films: found, straightened, flagged; and plain films left alone."""

import dataclasses
import functools

import cv2
import numpy as np
import pytest
from conftest import data_root
from photographs import photograph as _photograph

from covseg_tf.edge import Segmenter, draw_phantom
from covseg_tf.imaging import bytes_sources
from covseg_tf.imaging.correct.find_quadrilateral import find_quadrilateral
from covseg_tf.imaging.correct.glare import find_glare
from covseg_tf.imaging.correct.photograph import is_camera_picture, straighten
from covseg_tf.serving.repository import bundle_servable
from covseg_tf.serving.repository.bundle_servable import BundleServable
from covseg_tf.triage.score import describe, predict_film, with_numbers


@pytest.fixture(scope="module")
def film():
    return draw_phantom(seed=5, severity=0.6, size=256).image


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter("xray")


@functools.cache
def _taken(kind, seed, film, shape):
    film = np.frombuffer(film, np.uint8).reshape(shape)
    return _photograph(film, kind, seed)


def photograph(film, kind, seed):
    return _taken(kind, seed, film.tobytes(), film.shape)


def encoded(image, suffix=".png"):
    return cv2.imencode(suffix, image)[1].tobytes()


def read(image, suffix=".png", correct=True):
    (source,) = bytes_sources("a", encoded(image, suffix), correct)
    return source.read()


def grey(picture):
    return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)


@pytest.mark.parametrize("kind", ["screen", "lightbox"])
@pytest.mark.parametrize("seed", [0, 1])
def test_corners_are_found_within_pixels(film, kind, seed):
    picture, corners = photograph(film, kind, seed)
    found = find_quadrilateral(grey(picture))
    # Of 1,350 pixels a side.
    np.testing.assert_allclose(found.corners, corners, atol=4)


@pytest.mark.parametrize("kind", ["screen", "lightbox"])
def test_straightened_it_is_the_film(film, kind):
    photo = straighten(grey(photograph(film, kind, 0)[0]))
    straight = cv2.resize(photo.pixels, film.shape[::-1], interpolation=cv2.INTER_AREA)
    off = straight.astype(float) - film
    assert np.abs(off).mean() < 4  # the lens blurs and the light fades it
    # The light fell off by a third from corner to corner.
    smooth = cv2.GaussianBlur(off, (0, 0), 30)
    assert np.ptp(smooth) < 8


def test_there_and_back(film):
    photo = straighten(grey(photograph(film, "lightbox", 2)[0]))
    picture = photo.to_picture(np.ones(photo.pixels.shape, bool))
    assert picture.shape == photo.shape
    expected = cv2.contourArea(photo.corners)
    assert picture.sum() == pytest.approx(expected, rel=0.01)
    centre = photo.corners.mean(axis=0).astype(int)
    assert picture[centre[1], centre[0]]
    assert not picture[:60].any()
    assert not picture[-60:].any()
    maps = photo.to_picture(np.full(photo.pixels.shape, 0.25, np.float32))
    assert maps[centre[1], centre[0]] == pytest.approx(0.25, abs=1e-5)


@pytest.mark.parametrize("kind", ["screen", "lightbox"])
def test_percent_of_a_photograph_is_that_of_the_film(film, kind, segmenter):
    picture = photograph(film, kind, 1)[0]
    plain, found = segmenter.predict(film), segmenter.predict(picture)
    assert plain.flags == ()
    assert found.flags == ("photograph",)
    total = plain.involvement.total
    assert total > 5
    assert found.involvement.total == pytest.approx(total, abs=5)
    assert found.lung_mask.shape == found.lung.shape == picture.shape[:2]
    # The masks lie in the picture as the film does.
    share = plain.lung_mask.mean() * cv2.contourArea(found.photograph.corners)
    assert found.lung_mask.sum() == pytest.approx(share, rel=0.05)


def test_triage_gives_the_same_and_says_where_the_film_lies(film, segmenter):
    picture, corners = photograph(film, "screen", 1)
    image = read(picture)
    assert image.notes == ("colour", "photograph")
    assert image.shape == picture.shape[:2]
    row = describe("a", image, "xray")
    row = with_numbers(row, predict_film(image, segmenter))
    assert row.flags == ("photograph",)
    assert row.involved_percent == segmenter.predict(picture).involvement.total
    x, y = np.rint(image.photograph.corners[0]).astype(int)
    assert row.notes[-1].startswith("The film's corners in the photograph")
    assert f"({x}, {y})" in row.notes[-1]
    np.testing.assert_allclose((x, y), corners[0], atol=4)
    mask = image.mask_to_file(np.ones(image.pixels.shape, bool))
    assert mask.shape == image.shape
    assert mask.sum() == pytest.approx(cv2.contourArea(corners), rel=0.02)


def test_a_negative_on_a_light_box_is_straightened_and_inverted(film):
    image = read(photograph(255 - film, "lightbox", 0)[0])
    assert image.notes == ("colour", "photograph", "inverted")
    straight = cv2.resize(image.pixels, film.shape[::-1], interpolation=cv2.INTER_AREA)
    assert np.corrcoef(straight.ravel(), film.ravel())[0, 1] > 0.98


def test_a_camera_picture_without_an_outline_is_told(film, segmenter):
    picture = np.repeat(film[..., None], 3, axis=2) * np.array([0.9, 1, 1])
    picture = picture.astype(np.uint8)
    image = read(picture)
    assert image.notes == ("colour", "no_outline")
    np.testing.assert_array_equal(image.pixels, grey(picture))
    row = with_numbers(describe("a", image, "xray"), segmenter.predict(image.pixels))
    assert row.flags == ("photograph",)


def letters(film):
    """A film within black, turned a little, with coloured letters."""
    turn = cv2.getRotationMatrix2D((150, 150), 4, 0.8)
    canvas = np.repeat(cv2.warpAffine(film, turn, (300, 300))[..., None], 3, axis=2)
    cv2.putText(canvas, "L", (250, 40), 0, 1, (0, 255, 255), 2)
    cv2.putText(canvas, "PORTABLE", (20, 280), 0, 1, (0, 0, 255), 2)
    return canvas


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_plain_films_stay_as_they_are(film, suffix):
    framed = cv2.copyMakeBorder(film, 30, 20, 25, 30, 0, value=0)
    collimated = letters(film)
    for image in (film, framed, grey(collimated), collimated):
        assert not is_camera_picture(image)
        decoded = read(image, suffix, correct=False)
        corrected = read(image, suffix)
        assert not {"photograph", "no_outline"} & set(corrected.notes)
        assert corrected.photograph is None
        top, left = corrected.box
        rows, columns = corrected.pixels.shape
        before = decoded.pixels[top : top + rows, left : left + columns]
        np.testing.assert_array_equal(corrected.pixels, before)
    assert not is_camera_picture(np.full((100, 100, 3), (0, 0, 200), np.uint8))
    deep = np.repeat(film.astype(np.uint16)[..., None] * 257, 3, axis=2)
    assert not is_camera_picture(deep)


def test_what_has_no_wall_or_nothing_straight_is_not_cut():
    rng = np.random.default_rng(0)
    disc = cv2.circle(np.full((400, 400), 60, np.uint8), (200, 200), 120, 200, -1)
    noise = rng.integers(0, 256, (400, 400)).astype(np.uint8)
    for image in (disc, noise, np.zeros((400, 400), np.uint8), noise[:1, :1]):
        assert find_quadrilateral(image) is None


@pytest.mark.parametrize("seed", [0, 1])
def test_a_light_is_found_where_it_is_and_taken_out(seed):
    film = draw_phantom(seed, severity=0, size=256).image
    y, x = np.mgrid[:256, :256].astype(np.float32)
    light = 130 * np.exp(-(((x - 165) / 30) ** 2) - ((y - 90) / 40) ** 2)
    glared = np.clip(film + light, 0, 255).astype(np.uint8)
    assert find_glare(film) is None
    found = find_glare(glared)
    row, column = np.unravel_index(found.light.argmax(), found.light.shape)
    assert np.hypot(row - 90, column - 165) < 12
    assert found.hidden[90, 165]
    left = glared - found.light - film
    assert np.abs(left).mean() < 0.6 * light.mean()


def test_what_glare_hides_is_not_counted(film, segmenter):
    hidden = np.zeros(film.shape, bool)
    hidden[:, 128:] = True  # the patient's left
    whole = segmenter.predict(film)
    half = segmenter.predict(film, hidden)
    assert half.flags == ("glare",)
    assert half.involvement.right == pytest.approx(whole.involvement.right, abs=0.5)
    assert half.involvement.total == pytest.approx(half.involvement.right, abs=1)
    assert not half.infection_mask[:, 130:].any()


@pytest.mark.data
def test_real_films_are_no_photographs():
    """Grey files cannot be; were they in colour, their outline would rarely pass."""
    count = tinted = outlined = 0
    for path in sorted((data_root() / "ralo/images").glob("*.png"))[::10]:
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        count += 1
        tinted += is_camera_picture(image)
        outlined += find_quadrilateral(image) is not None
    assert count > 100
    assert tinted == 0
    assert outlined <= 0.02 * count


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "correlation", "points"),
    # What glare hides and what it looks like is not made good: docs/results.
    [("screen", 0.97, 5), ("lightbox", 0.97, 5), ("glare", 0.93, 10)],
)
def test_photographs_of_real_films_score_as_the_films(
    kind, correlation, points, segmenter
):
    paths = sorted((data_root() / "cohen/images").glob("*.png"))[::6][:30]
    pairs, lost = [], 0
    for seed, path in enumerate(paths):
        film = cv2.imread(str(path), 0)
        total = segmenter.predict(film).involvement.total
        found = segmenter.predict(_photograph(film, kind, seed)[0])
        assert "photograph" in found.flags
        if total is not None and found.involvement.total is not None:
            pairs.append((total, found.involvement.total))
        lost += total is not None and found.involvement.total is None
    plain, photographed = np.array(pairs).T
    assert lost <= 0.05 * len(pairs)
    off = np.abs(plain - photographed).mean()
    together = np.corrcoef(plain, photographed)[0, 1]
    print(
        f"{kind}: {len(pairs)} scored, {lost} not, {off:.1f} points, r {together:.3f}"
    )
    assert off < points
    assert together >= correlation


@pytest.mark.data
@pytest.mark.slow
def test_what_is_no_film_stays_refused(segmenter):
    refused = {True: 0, False: 0}
    paths = sorted((data_root() / "guard/images").glob("*.png"))
    paths = [path for path in paths if "CXR" not in path.name][1::6]
    for seed, path in enumerate(paths):
        image = cv2.imread(str(path), 0)
        kind = ("screen", "lightbox", "glare")[seed % 3]
        picture = _photograph(image, kind, seed)[0]
        for photographed, shown in ((False, image), (True, picture)):
            found = segmenter.predict(shown)
            refused[photographed] += found.involvement.total is None
    print(f"of {len(paths)} refused: {refused}")
    assert refused[True] >= refused[False]


def test_a_server_gives_maps_as_the_film_lies_in_the_photograph(film, segmenter):
    picture = photograph(film, "screen", 1)[0]
    data = np.array([encoded(picture)], object)
    served = BundleServable("xray").predict("encoded_image", {"image_bytes": data})
    expected = segmenter.predict(picture)
    found = cv2.resize(served["lung"][0, ..., 0], picture.shape[1::-1]) > 0.5
    both = np.count_nonzero(found & expected.lung_mask)
    assert 2 * both / (found.sum() + expected.lung_mask.sum()) > 0.98
    total = expected.involvement.total
    assert served["involved_percent"][0] == pytest.approx(total, abs=2)


def test_a_server_leaves_out_what_glare_hides(segmenter, monkeypatch):
    film = draw_phantom(seed=5, severity=0.3, size=256).image
    picture = photograph(film, "screen", 1)[0]
    photo = straighten(cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY))
    assert photo.resized(64, 48).glare is None
    whole = segmenter.predict(photo.pixels)
    hidden = cv2.dilate(whole.infection_mask.astype(np.uint8), np.ones((9, 9))) > 0
    lit = dataclasses.replace(photo, glare=hidden)
    small = lit.resized(64, 48).glare
    assert small.shape == (64, 48)
    assert small.mean() == pytest.approx(hidden.mean(), abs=0.01)
    monkeypatch.setattr(bundle_servable, "straighten", lambda grey: lit)
    data = np.array([encoded(picture)], object)
    served = BundleServable("xray").predict("encoded_image", {"image_bytes": data})
    assert whole.involvement.total > 15
    assert served["involved_percent"][0] < 3
