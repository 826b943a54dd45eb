"""The page in a real Chromium: the same answers as Python, and nothing leaves.

Needs `pip install playwright` (no browser of its own) and a Chromium: that of
`$COVSEG_CHROMIUM`, or `chromium`, `chromium-browser` or `google-chrome` on the path.
"""

import base64
import functools
import json
import os
import pathlib
import re
import shutil
import urllib.parse

import cv2
import image_files
import numpy as np
import pytest

import covseg_tf
from covseg_tf.edge import Segmenter, draw_phantom
from covseg_tf.edge.guard import view_scores
from covseg_tf.imaging import as_grey, read_image
from covseg_tf.triage import triage
from covseg_tf.web import PageServer, build_site

# Milliseconds; a machine under load is slow, not wrong.
PATIENCE = 90_000
SCHEMA = pathlib.Path(covseg_tf.__file__).parent / "triage/record/worklist.schema.json"
_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--use-fake-device-for-media-stream"),
    "--use-fake-ui-for-media-stream",
)
# What the page's own modules make of a file.
_READ = """async (text) => {
  const bytes = Uint8Array.from(atob(text), (x) => x.charCodeAt(0));
  const base = location.href.replace(/[^/]*$/, '');
  const {readFile} = await import(base + 'js/decode.js');
  const {looker} = await import(base + 'js/main.js');
  const {maskToImage} = await import(base + 'js/prediction.js');
  const {shrinkToShow} = await import(base + 'js/overlay.js');
  const {Segmenter} = await import(base + 'js/segmenter.js');
  const segmenter = await (globalThis.here ??= Segmenter.load(base + 'model/'));
  const encode = (data) => {
    let text = '';
    for (let i = 0; i < data.length; i += 8192) {
      text += String.fromCharCode(...data.subarray(i, i + 8192));
    }
    return btoa(text);
  };
  try {
    const image = await readFile(new Blob([bytes]));
    const found = await segmenter.predict(image);
    const film = segmenter.correct(image);
    const same = film.data === image.data ? found : await segmenter.predict(film);
    const look = await looker.look(new Blob([bytes]), {identify: false});
    const shown = shrinkToShow(film);
    const sum = (data) => data.reduce((a, b) => (31 * a + b) % 2147483647, 0);
    if (JSON.stringify(look.found) !== JSON.stringify(same) ||
        sum(look.shown.data) !== sum(shown.data) ||
        look.shown.rows !== shown.rows || `${look.notes}` !== `${film.notes}`) {
      return {error: 'worker and page differ'};
    }
    const [lung, infection] = [found.lung, found.infection].map((mask) =>
      encode(maskToImage(found, mask, image.rows, image.columns)));
    return {
      shape: [image.rows, image.columns], grey: encode(image.data), lung, infection,
      involvement: found.involvement, extent: found.extent, zones: found.zones,
      flags: found.flags, scores: segmenter.guard.scores(image),
    };
  } catch (error) {
    return {error: error.message};
  }
}"""


@functools.cache
def site_of(model):
    return build_site(model)


@pytest.fixture(scope="module")
def chromium():
    api = pytest.importorskip("playwright.sync_api", reason="no playwright")
    found = os.environ.get("COVSEG_CHROMIUM") or next(
        filter(None, map(shutil.which, _NAMES)), None
    )
    if found is None:
        pytest.skip("no Chromium on the path (set COVSEG_CHROMIUM)")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server():
    with PageServer(site_of("xray"), port=0) as server:
        yield server


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter("xray")


class Visit:
    """A page in a fresh profile, all its requests and complaints kept."""

    def __init__(self, browser, url, **options):
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.requests, self.complaints = [], []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._listen)
        self.asked = []
        self.page.on("dialog", self._answer)
        self.url = url
        self.page.goto(url)
        self.ready()

    def ready(self):
        self.page.locator("#try-samples:enabled").wait_for(timeout=PATIENCE)

    def done(self):
        self.page.get_by_text(re.compile("^Done: ")).wait_for(timeout=PATIENCE)

    def give(self, *files):
        self.page.set_input_files(
            "#files",
            [{"name": n, "mimeType": "image/png", "buffer": b} for n, b in files],
        )
        self.done()

    def names(self):
        # Not what is drawn: a line that is not seen is not.
        return self.page.locator("#rows button").all_text_contents()

    def _answer(self, dialog):
        self.asked.append((dialog.type, dialog.message))
        dialog.accept()

    def _listen(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)


@pytest.fixture
def visit(chromium, server):
    visits = []

    def start(**options):
        visits.append(Visit(chromium, server.url, **options))
        return visits[-1]

    yield start
    for one in visits:
        one.context.close()


@pytest.fixture(scope="module")
def reader(chromium, server):
    """Reads a file in the browser, as the page would."""
    visit = Visit(chromium, server.url)
    yield lambda data: visit.page.evaluate(_READ, base64.b64encode(data).decode())
    visit.context.close()


def unpacked(answer, name):
    data = np.frombuffer(base64.b64decode(answer[name]), np.uint8)
    return data.reshape(answer["shape"])


def assert_same(answer, grey, segmenter):
    """Pixels, masks, numbers and flags: equal to the last bit."""
    assert "error" not in answer, answer
    np.testing.assert_array_equal(unpacked(answer, "grey"), grey)
    expected = segmenter.predict(grey)
    for name in ("lung", "infection"):
        mask = getattr(expected, f"{name}_mask")
        np.testing.assert_array_equal(unpacked(answer, name) > 0, mask, err_msg=name)
    sides = ("total", "right", "left")
    numbers = {k: getattr(expected.involvement, k) for k in sides}
    assert answer["involvement"] == numbers
    scores = (expected.extent, expected.extent_right, expected.extent_left)
    assert answer["extent"] == dict(zip(sides, scores, strict=True))
    if expected.zones is None:
        assert answer["zones"] is None
    else:
        assert answer["zones"]["percents"] == expected.zones.percents
        assert answer["zones"]["threshold"] == expected.zones.threshold
        assert answer["zones"]["count"] == expected.zones.count
    views = list(view_scores(grey).values())
    np.testing.assert_allclose(answer["scores"], views, atol=1e-3)
    assert answer["flags"] == list(expected.flags)


def as_png(image):
    return cv2.imencode(".png", image)[1].tobytes()


@pytest.mark.parametrize("seed", range(5))
def test_phantoms(reader, segmenter, seed):
    image = draw_phantom(seed, severity=0.2 * seed).image
    assert_same(reader(as_png(image)), image, segmenter)


@pytest.mark.parametrize(
    "size", [(256, 256), (1024, 1024), (1000, 777), (331, 500), (200, 300), (128, 128)]
)
def test_sizes(reader, segmenter, size):
    image = cv2.resize(draw_phantom(7, 0.4).image, size[::-1])
    assert_same(reader(as_png(image)), image, segmenter)


@pytest.mark.parametrize("kind", ["blank", "noise", "one lung", "tiny"])
def test_pictures_without_two_lungs(reader, segmenter, kind):
    phantom = draw_phantom(3, 0.3).image
    images = {
        "blank": np.zeros((300, 400), np.uint8),
        "noise": np.random.default_rng(0).integers(0, 256, (64, 90), dtype=np.uint8),
        "one lung": phantom[:, :270],
        "tiny": phantom[:1, :1],
    }
    image = np.ascontiguousarray(images[kind])
    assert_same(reader(as_png(image)), image, segmenter)


def _unlike_films():
    film, rng = draw_phantom(2, 0.2).image, np.random.default_rng(1)
    turns = {f"turned {n}": np.rot90(film, n) for n in (1, 2, 3)}
    for degrees in (-40, -30, 30, 40):
        matrix = cv2.getRotationMatrix2D((255.5, 255.5), degrees, 1)
        turns[f"tilted {degrees}"] = cv2.warpAffine(film, matrix, (512, 512))
    ramp = np.tile(np.arange(256, dtype=np.uint8), (200, 1))
    blobs = cv2.resize(rng.integers(0, 256, (9, 9), dtype=np.uint8), (300, 260))
    return turns | {"inverted": 255 - film, "ramp": ramp, "blobs": blobs}


@pytest.mark.parametrize("name", _unlike_films())
def test_the_guard_says_the_same(reader, segmenter, name):
    image = np.ascontiguousarray(_unlike_films()[name])
    answer = reader(as_png(image))
    assert_same(answer, image, segmenter)
    assert answer["flags"], "none of these is a film as it is hung"


@pytest.mark.parametrize("interlaced", [False, True])
@pytest.mark.parametrize(
    ("kind", "depth"),
    [
        *(("grey", 1), ("grey", 2), ("grey", 4), ("grey", 8), ("grey", 16)),
        *(("colour", 8), ("colour", 16), ("palette", 4), ("palette", 8)),
        *(("grey_alpha", 8), ("grey_alpha", 16)),
        *(("colour_alpha", 8), ("colour_alpha", 16)),
    ],
)
def test_png(reader, segmenter, tmp_path, kind, depth, interlaced):
    data = image_files.png(kind, depth, interlaced=interlaced)
    path = tmp_path / "image.png"
    path.write_bytes(data)
    assert_same(reader(data), as_grey(read_image(path))[0], segmenter)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_turned(reader, segmenter, tmp_path, kind, orientation):
    if kind == "png":
        data = image_files.png("grey", 8, orientation=orientation)
    else:
        image = draw_phantom(2, 0.3, 256).image[:200]
        data = image_files.jpeg(image, orientation)
    path = tmp_path / "image"
    path.write_bytes(data)
    assert_same(reader(data), as_grey(read_image(path))[0], segmenter)


@pytest.mark.parametrize("colour", [False, True])
def test_jpeg(reader, segmenter, tmp_path, colour):
    image = draw_phantom(4, 0.4).image
    if colour:
        image = cv2.applyColorMap(image, cv2.COLORMAP_BONE)
    data = image_files.jpeg(image)
    path = tmp_path / "image.jpg"
    path.write_bytes(data)
    assert_same(reader(data), as_grey(read_image(path))[0], segmenter)


# One of each decoder and kind of pixels; headers of all kinds: test_dicom_node.py.
@pytest.mark.parametrize(
    "name",
    ["8 bit", "deflated, 12 bit", "12 bit inverted window", "signed", "run lengths"],
)
def test_dicom(reader, segmenter, tmp_path, name):
    from covseg_tf.imaging import read_film

    image = np.ascontiguousarray(draw_phantom(5, 0.4, 300).image[:, :281])
    path = tmp_path / "film.dcm"
    path.write_bytes(image_files.dicom_files(image)[name])
    assert_same(reader(path.read_bytes()), read_film(path).pixels, segmenter)


@pytest.mark.parametrize("name", image_files.PACKED)
def test_jpeg_2000_and_jpeg_ls_in_dicom(reader, segmenter, tmp_path, name):
    from covseg_tf.imaging import read_film

    for module in ("openjpeg", "jpeg_ls"):
        pytest.importorskip(module, reason=f"no {module}, which packs the files")
    image = np.ascontiguousarray(draw_phantom(5, 0.4, 300).image[:, :281])
    path = tmp_path / "film.dcm"
    data = image_files.packed(name, image)
    path.write_bytes(data)
    assert_same(reader(data), read_film(path).pixels, segmenter)
    # A cut or changed code is never scored as if it were whole.
    start = data.rindex(b"\xfe\xff\x00\xe0") + 8
    for part in (0.3, 0.6, 0.95):
        place = start + int(part * (len(data) - start))
        assert "error" in reader(data[:place])
        cut = bytearray(data)
        cut[place:] = bytes(len(data) - place)
        assert "cut short" in reader(bytes(cut))["error"]
    other = image_files.packed(name, image[:200])
    rows = other.replace(bytes([200, 0]), bytes([44, 1]), 1)
    assert "error" in reader(rows)


_CORRECT = """async (text) => {
  const bytes = Uint8Array.from(atob(text), (x) => x.charCodeAt(0));
  const base = location.href.replace(/[^/]*$/, '');
  const {readFile} = await import(base + 'js/decode.js');
  const {Segmenter} = await import(base + 'js/segmenter.js');
  const segmenter = await (globalThis.here ??= Segmenter.load(base + 'model/'));
  const film = segmenter.correct(await readFile(new Blob([bytes])));
  return {...film, data: [...film.data]};
}"""


def doubtful_films():
    """Frames and negatives, and what is neither."""
    film = draw_phantom(3, 0.4, 200).image
    wide, narrow = (cv2.copyMakeBorder(film, n, n, n, n, 0) for n in (40, 12))
    white = cv2.copyMakeBorder(film, 60, 10, 30, 70, cv2.BORDER_CONSTANT, value=255)
    slide = cv2.copyMakeBorder(
        film[:, 20:180], 5, 90, 5, 5, cv2.BORDER_CONSTANT, value=3
    )
    soft = cv2.resize(wide, (333, 311), interpolation=cv2.INTER_LINEAR)
    return {
        "plain": film,
        "negative": 255 - film,
        "wide": wide,
        "narrow": narrow,
        "white": white,
        "slide": slide,
        "soft edge": soft,
        "negative in a frame": cv2.copyMakeBorder(
            255 - film, 50, 50, 50, 50, cv2.BORDER_CONSTANT, value=0
        ),
        "faint": film // 4 + 90,
        "grey": np.full((80, 80), 90, np.uint8),
        "black": np.zeros((50, 60), np.uint8),
    }


@pytest.mark.parametrize("name", doubtful_films())
def test_frames_and_negatives_are_undone_as_python_does(
    chromium, visit, name, tmp_path
):
    from covseg_tf.imaging import read_film
    from covseg_tf.imaging.correct.correct_film import correct_film

    path = tmp_path / "film.png"
    path.write_bytes(as_png(doubtful_films()[name]))
    expected = correct_film(read_film(path))
    page = visit().page
    found = page.evaluate(_CORRECT, base64.b64encode(path.read_bytes()).decode())
    assert (found["rows"], found["columns"]) == expected.pixels.shape
    assert found["notes"] == list(expected.notes)
    assert found["data"] == expected.pixels.ravel().tolist()


def test_dicom_with_a_jpeg_inside(reader, segmenter):
    image = draw_phantom(6, 0.4).image
    picture = image_files.jpeg(image)
    syntax = image_files.pydicom.uid.JPEGBaseline8Bit
    data = image_files.dicom(image, syntax=syntax, frames=[picture])
    grey = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert_same(reader(data), grey, segmenter)


def test_a_mirrored_dicom_is_hung_as_usual(reader, segmenter):
    image = np.ascontiguousarray(draw_phantom(5, 0.4, 300).image[:, :281])
    stored = np.ascontiguousarray(image[:, ::-1])
    data = image_files.dicom(stored, PatientOrientation=["R", "F"])
    assert_same(reader(data), image, segmenter)
    data = image_files.dicom(image, PatientOrientation=["L", "F"])
    assert_same(reader(data), image, segmenter)


def refused():
    image = draw_phantom(0, size=64).image
    good, dicom = as_png(image), image_files.dicom
    uid = image_files.pydicom.uid
    return {
        "empty": (b"", "is empty"),
        "text": (b"hello", "damaged or no image"),
        "tiff": (b"II*\0" + bytes(40), "TIFF is not read"),
        "cut": (good[:-40], "it ends early"),
        "flipped": (good[:60] + b"\xff\xff\xff" + good[63:], "damaged"),
        "header": (good[:20], "ends early"),
        "ct": (dicom(image, modality="CT"), "modality CT"),
        "lateral": (dicom(image, ViewPosition="LL"), "lateral view"),
        "lateral in words": (dicom(image, ViewPosition="LT LAT"), "lateral view"),
        "frames": (dicom(image, NumberOfFrames=3), "3 frames"),
        "short": (dicom(image, Rows=640), "too few pixels"),
        "jpeg 2000": (
            dicom(image, syntax=uid.JPEG2000Lossless, frames=[b"xx"]),
            "cut short",
        ),
        "jpeg 2000 of junk": (
            dicom(image, syntax=uid.JPEG2000Lossless, frames=[b"xx\xff\xd9"]),
            "are damaged",
        ),
        "jpeg-ls of junk": (
            dicom(image, syntax=uid.JPEGLSLossless, frames=[b"xx\xff\xd9"]),
            "are damaged",
        ),
        "lossless jpeg": (
            dicom(image, syntax=uid.JPEGLosslessSV1, frames=[b"xx"]),
            "Convert it",
        ),
        "dicom cut": (dicom(image)[:200], "cannot be read|no pixels|rows"),
    }


@pytest.mark.parametrize("name", refused())
def test_refusals_in_words(reader, name):
    data, words = refused()[name]
    answer = reader(data)
    assert re.search(words, answer.get("error", "")), answer


def test_triage_of_several_files(visit):
    one = visit(accept_downloads=True)
    mild, severe = (draw_phantom(3, severity).image for severity in (0.05, 0.6))
    evil = "<img src=x onerror=alert(1)>\"'.png"
    one.give(("b.png", as_png(mild)), (evil, as_png(severe)), ("broken.png", b"x"))
    page = one.page
    assert one.names() == ["broken.png", evil, "b.png"]
    assert page.locator("img").count() == 1  # the icon: a name is no element
    assert page.inner_text("#viewer-title") == "1. broken.png"
    page.get_by_role("button", name="onerror").click()
    assert page.inner_text("#viewer-title") == f"2. {evil}"
    assert "could not be read" in page.inner_text("#status")
    page.get_by_role("button", name="broken.png").click()
    assert "no image" in page.inner_text("#failure")
    assert page.locator("#picture").is_hidden()
    found = Segmenter("xray").predict(severe).involvement
    _check_downloads(page, evil, found)
    assert one.complaints == []


def _check_downloads(page, name, found):
    saved = {}
    for kind in ("report", "csv", "json"):
        with page.expect_download() as download:
            page.click(f"#save-{kind}")
        saved[kind] = pathlib.Path(download.value.path()).read_text("utf-8")
    document = json.loads(saved["json"])
    _check_schema(document)
    assert document["images"][0]["error"]
    assert document["images"][1]["file"] == name
    assert document["images"][1]["involved_percent"] == round(found.total, 2)
    assert len(saved["csv"].splitlines()) == 4
    report = saved["report"]
    assert "<img src=x" not in report
    assert "&lt;img src=x onerror=alert(1)&gt;&#34;&#39;.png" in report
    assert report.count("data:image/jpeg;base64,") == 2
    assert report.count("data:image/png;base64,") == 2
    assert f"{found.total:.0f} %" in report
    assert "<script" not in report


def test_a_turned_film_has_no_sides(visit):
    one, film = visit(), draw_phantom(2, 0.2).image
    one.give(("turned.png", as_png(np.rot90(film))), ("upright.png", as_png(film)))
    page = one.page
    assert one.names() == ["turned.png", "upright.png"]
    assert page.locator(".side:visible").count() == 0
    plain = """() => {
      const {width, height} = document.getElementById('paint');
      const context = document.getElementById('paint').getContext('2d');
      return context.getImageData(0, 0, width, height).data.every((x) => x === 0);
    }"""
    assert page.evaluate(plain), "what is not scored is shown plain"
    page.click("#next")
    assert page.locator(".side:visible").count() == 2
    top, bottom = (page.locator(x).bounding_box() for x in (".side >> nth=0", "#film"))
    assert top["y"] + top["height"] <= bottom["y"], "beside the picture, not on it"
    assert not page.evaluate(plain)
    page.click("#previous")
    assert "turned or tilted" in page.inner_text("#notes")
    assert page.inner_text("#total") == "–"
    label = page.get_attribute("#film", "aria-label")
    assert label == "Film turned.png: not scored."


def _check_schema(document):
    """The fields of `covseg triage`'s own report.json, no more and no fewer."""
    schema = json.loads(SCHEMA.read_text("utf-8"))
    assert set(document) == set(schema["required"])
    constant = schema["properties"]["format_version"]["const"]
    assert document["format_version"] == constant
    row = schema["$defs"]["row"]
    for image in document["images"]:
        assert set(image) == set(row["required"])


def test_nothing_leaves_and_it_works_without_a_network(chromium):
    files = site_of("xray_nano")
    image = draw_phantom(8, 0.5).image
    with PageServer(files, port=0) as server:
        visit = Visit(chromium, server.url)
        visit.page.get_by_text("works offline").wait_for(timeout=PATIENCE)
        visit.page.click("#try-samples")
        visit.done()
    # The server is gone, and so is every network.
    visit.context.set_offline(True)
    page = visit.page
    page.reload()
    visit.ready()
    page.get_by_text("works offline").wait_for()
    visit.give(("later.png", as_png(image)))
    answer = page.evaluate(_READ, base64.b64encode(as_png(image)).decode())
    assert_same(answer, image, Segmenter("xray_nano"))
    page.click("#clear")
    page.click("#try-samples")
    visit.done()
    assert len(visit.names()) == 3
    hosts = {urllib.parse.urlsplit(url).hostname for url in visit.requests}
    assert hosts == {"127.0.0.1"}
    assert visit.complaints == []
    visit.context.close()


def test_after_a_clear_nothing_of_the_last_films_is_left(visit):
    """At any moment of a run: no row, no word, no pixel, and none that comes late."""
    one = visit()
    films = [(f"secret-{n}.png", as_png(draw_phantom(n, 0.4).image)) for n in range(3)]
    payload = [{"name": n, "mimeType": "image/png", "buffer": b} for n, b in films]
    rng = np.random.default_rng(0)
    for _ in range(8):
        one.page.set_input_files("#files", payload)
        one.page.locator("#clear").wait_for(timeout=PATIENCE)
        one.page.wait_for_timeout(float(rng.uniform(0, 600)))
        one.page.click("#clear")
        one.page.locator("#progress").wait_for(state="hidden", timeout=PATIENCE)
        assert one.names() == []
        assert "secret" not in one.page.content()
        sizes = one.page.eval_on_selector_all("canvas", "x => x.map((c) => c.width)")
        assert set(sizes) == {0}
        assert not one.page.locator("#results").is_visible()
    assert {kind for kind, _ in one.asked} == {"confirm"}
    one.give(*films)  # the page works on
    assert len(one.names()) == 3
    assert one.complaints == []


def test_work_is_not_lost_without_a_question(visit):
    one = visit()
    one.page.reload()
    assert one.asked == []  # nothing to lose
    one.ready()
    one.give(("film.png", as_png(draw_phantom(1, 0.4).image)))
    one.page.locator("#results").click()  # a page that was used may ask
    one.page.reload()
    assert [kind for kind, _ in one.asked] == ["beforeunload"]
    for link in one.page.locator("footer a").all():
        assert link.get_attribute("target") == "_blank"


@pytest.mark.parametrize("size", [(1366, 768), (820, 1180), (2560, 1440)])
def test_film_and_numbers_are_seen_without_scrolling(visit, size):
    one = visit(viewport=dict(zip(("width", "height"), size, strict=True)))
    one.give(("film.png", as_png(draw_phantom(1, 0.4, 256).image)))
    film, extent = (one.page.locator(x).bounding_box() for x in ("#film", "#extent"))
    for box in (film, extent):
        assert box["y"] + box["height"] <= size[1]
    # Larger than its 256 pixels, and of the film's own shape.
    assert film["height"] >= 0.48 * min(size)
    assert film["width"] == pytest.approx(film["height"], rel=0.01)


def test_the_viewer_zooms_moves_inverts_and_walks(visit):
    one = visit()
    one.give(*((f"{n}.png", as_png(draw_phantom(n, 0.4).image)) for n in range(2)))
    page = one.page

    def style(name, of):
        return page.eval_on_selector(f"#{name}", f"x => x.style.{of}")

    page.keyboard.press("i")
    assert "invert(1)" in style("film", "filter")
    page.keyboard.press("o")
    assert not page.locator("#show-overlay").is_checked()
    box = page.locator("#film").bounding_box()
    x, y = box["x"] + box["width"] / 4, box["y"] + box["height"] / 4
    page.mouse.move(x, y)
    page.mouse.wheel(0, -100)
    assert "scale(1.25)" in style("layers", "transform")
    # What is under the pointer stays there: a quarter of the film off the corner.
    moved = page.locator("#film").bounding_box()
    assert moved["x"] + moved["width"] / 4 == pytest.approx(x, abs=2)
    assert moved["y"] + moved["height"] / 4 == pytest.approx(y, abs=2)
    page.mouse.down()
    page.mouse.move(x + 30, y + 20)
    page.mouse.up()
    again = page.locator("#film").bounding_box()
    assert again["x"] - moved["x"] == pytest.approx(30, abs=1)
    page.mouse.down(button="right")
    page.mouse.move(x + 80, y - 20)
    page.mouse.up(button="right")
    level, window = re.findall(r"\(([\d.]+)\)", style("film", "filter"))[:2]
    assert float(level) < 1
    assert float(window) < 1
    assert page.locator("#viewer-title").inner_text().startswith("1. ")
    page.keyboard.press("ArrowDown")
    assert page.locator("#viewer-title").inner_text().startswith("2. ")
    assert style("layers", "transform") == "translate(0px, 0px) scale(1)"
    assert "invert" not in style("film", "filter")
    page.keyboard.press("ArrowDown")  # there is no third
    assert page.locator("#viewer-title").inner_text().startswith("2. ")
    page.locator("#rows button").nth(1).focus()
    page.keyboard.press("PageUp")
    assert page.evaluate("document.activeElement.textContent") == one.names()[0]
    assert one.complaints == []


def test_the_page_cannot_reach_another_host(visit):
    one = visit()
    outcome = one.page.evaluate(
        "() => fetch('http://localhost:9/').then(() => 'sent', (e) => e.message)"
    )
    assert outcome != "sent"
    assert any("Content Security Policy" in text for text in one.complaints)


def test_a_new_version_takes_over(chromium):
    with PageServer(site_of("xray_nano"), port=0) as server:
        visit = Visit(chromium, server.url)
        visit.page.get_by_text("works offline").wait_for(timeout=PATIENCE)
        assert visit.page.inner_text("#model-name") == "xray_nano"
        server._server.files = site_of("xray")
        # The old one answers; it finds the new one and, being idle, gives way.
        visit.page.reload()
        name = visit.page.locator("#model-name", has_text=re.compile("^xray$"))
        name.wait_for(timeout=PATIENCE)
        visit.ready()
        visit.page.click("#try-samples")
        visit.done()
        # With a worklist to lose, it asks.
        server._server.files = site_of("xray_nano")
        visit.page.evaluate(
            "async () => (await navigator.serviceWorker.ready).update().then(() => 1)"
        )
        button = visit.page.get_by_role("button", name="Reload with it")
        button.wait_for(timeout=PATIENCE)
        assert len(visit.names()) == 3
        button.click()
        visit.page.locator("#model-name", has_text="xray_nano").wait_for(
            timeout=PATIENCE
        )
        visit.context.close()


def test_a_damaged_model_is_refused(chromium):
    files = site_of("xray_nano")
    data = bytearray(files["model/model.tflite"])
    data[1000] ^= 1
    with PageServer(files | {"model/model.tflite": bytes(data)}, port=0) as server:
        page = chromium.new_page()
        page.goto(server.url)
        page.get_by_text("The model is damaged").wait_for(timeout=PATIENCE)
        assert page.locator("#choose").is_disabled()
        page.context.close()


def test_keyboard_alone(visit):
    one = visit()
    page = one.page
    focused = "() => document.activeElement.id || document.activeElement.textContent"
    order = []
    for _ in range(6):
        page.keyboard.press("Tab")
        order.append(page.evaluate(focused))
    adders = ["choose", "choose-folder", "open-camera", "try-samples"]
    assert order[:5] == ["Skip to the worklist", *adders]
    page.focus("#try-samples")
    page.keyboard.press("Enter")
    one.done()
    page.focus("#show-overlay")
    page.keyboard.press("Space")
    assert page.locator("#paint").is_hidden()
    page.keyboard.press("Space")
    page.focus("#opacity")
    page.keyboard.press("ArrowLeft")
    assert (
        page.evaluate("() => document.getElementById('paint').style.opacity") == "0.9"
    )
    page.focus("#rows tr:nth-child(2) button")
    page.keyboard.press("Enter")
    assert page.evaluate(focused) == "phantom-mild.png"
    assert page.inner_text("#viewer-title") == "2. phantom-mild.png"
    ring = "() => getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(ring) == "solid"


def test_names_for_screen_readers(visit):
    one = visit()
    one.page.click("#try-samples")
    one.done()
    nameless = one.page.evaluate(
        """() => [
          ...document.querySelectorAll('button, input, canvas, video, progress')
        ].filter((x) => x.id !== 'paint' && !x.getAttribute('aria-label') &&
            !x.textContent.trim() && !(x.labels?.length))
          .map((x) => x.outerHTML)"""
    )
    assert nameless == []
    label = one.page.get_attribute("#film", "aria-label")
    assert re.fullmatch(
        r"Film phantom-severe\.png: extent \d / 8, \d+ % of the lungs involved, "
        r"right \d+ %, left \d+ %\.",
        label,
    )
    assert one.page.locator("html[lang=en] h1").count() == 1
    assert one.page.get_attribute("#status", "role") == "status"
    assert one.page.locator("#rows [aria-current=true]").count() == 1
    ids = one.page.evaluate(
        "() => [...document.querySelectorAll('[id]')].map(x => x.id)"
    )
    assert len(ids) == len(set(ids))


def test_camera(visit):
    one = visit(permissions=["camera"])
    # A camera that is slow to start: what is pressed before its picture is not lost.
    one.page.evaluate(
        """() => {
          const {play} = HTMLMediaElement.prototype;
          HTMLMediaElement.prototype.play = async function() {
            await new Promise((done) => setTimeout(done, 1000));
            return play.call(this);
          };
        }"""
    )
    one.page.click("#open-camera")
    one.page.click("#take")
    one.done()
    assert "photograph" in one.page.text_content("#rows")
    assert one.page.locator("#camera").is_hidden()


def test_without_a_camera(visit):
    one = visit()
    one.page.evaluate(
        "() => { navigator.mediaDevices.getUserMedia = () => "
        "Promise.reject(new DOMException('', 'NotFoundError')); }"
    )
    one.page.click("#open-camera")
    one.page.get_by_text("There is no camera.").wait_for()


def test_dropped_files(visit):
    one = visit()
    one.page.evaluate(
        """(text) => {
          const bytes = Uint8Array.from(atob(text), (x) => x.charCodeAt(0));
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([bytes], 'dropped.png'));
          document.body.dispatchEvent(
            new DragEvent('drop', {dataTransfer, bubbles: true, cancelable: true}));
        }""",
        base64.b64encode(as_png(draw_phantom(1, 0.3).image)).decode(),
    )
    one.done()
    assert one.names() == ["dropped.png"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_looks(visit, scheme, width):
    one = visit(viewport={"width": width, "height": 800}, color_scheme=scheme)
    one.page.click("#try-samples")
    one.done()
    wide = one.page.evaluate("() => document.documentElement.scrollWidth")
    assert wide <= width
    # WCAG AA: 4.5 between text and its ground.
    for name in ("#status", ".notice", "#total", "#rows button", ".legend", "#choose"):
        assert _contrast(one.page, name) >= 4.5, name
    folder = os.environ.get("COVSEG_SCREENSHOTS")
    if folder:
        path = pathlib.Path(folder) / f"{scheme}-{width}.png"
        one.page.screenshot(path=path, full_page=True)


def test_the_report_of_the_command_line_fits_a_phone_and_paper(chromium, tmp_path):
    films = {"a" * 60: 0.5, "healthy": 0.0}
    for name, severity in films.items():
        (tmp_path / f"{name}.png").write_bytes(as_png(draw_phantom(3, severity).image))
    (tmp_path / "broken.png").write_bytes(b"x")
    triage([tmp_path], tmp_path / "out", Segmenter("xray_nano"))
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    page.goto((tmp_path / "out/report.html").as_uri())
    assert page.evaluate("() => document.documentElement.scrollWidth") == 390
    assert page.locator(".running").is_hidden()
    page.click("#line-2 a")
    page.click("#image-2 .back a")
    assert page.url.endswith("#line-2")
    page.emulate_media(media="print")
    style = "(name) => getComputedStyle(document.querySelector(name)).display"
    # What browsers repeat on each page of a table.
    assert page.evaluate(style, ".running") == "table-header-group"
    assert page.evaluate(style, ".back") == "none"
    page.context.close()


def _contrast(page, name):
    colours = page.evaluate(
        """(name) => {
          let element = document.querySelector(name);
          const ink = getComputedStyle(element).color;
          let ground = 'rgba(0, 0, 0, 0)';
          while (ground === 'rgba(0, 0, 0, 0)') {
            ground = getComputedStyle(element).backgroundColor;
            element = element.parentElement;
          }
          return [ink, ground];
        }""",
        name,
    )
    lights = []
    for colour in colours:
        parts = np.array(re.findall(r"[\d.]+", colour)[:3], float) / 255
        linear = np.where(
            parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4
        )
        lights.append(linear @ (0.2126, 0.7152, 0.0722))
    return (max(lights) + 0.05) / (min(lights) + 0.05)
