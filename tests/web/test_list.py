"""The page's worklist in Chromium: many films, sorting, filters, folders, patients."""

import json
import pathlib

import cv2
import image_files
import pytest
from test_browser import PATIENCE, Visit, as_png, chromium, site_of

from covseg_tf.edge import Segmenter, draw_phantom
from covseg_tf.triage import triage
from covseg_tf.web import PageServer

__all__ = ["chromium"]  # a fixture
# Microseconds of the main thread; of the processor, so that other programs' work
# on the machine does not count.
LONGEST_TASK = 50_000


@pytest.fixture(scope="module")
def server():
    with PageServer(site_of("xray_nano"), port=0) as server:
        yield server


@pytest.fixture(scope="module")
def large_server():
    with PageServer(site_of("xray"), port=0) as server:
        yield server


def _visit(browser, server):
    one = Visit(browser, server.url, accept_downloads=True)
    yield one
    assert one.complaints == []
    one.context.close()


@pytest.fixture
def visit(chromium, server):
    yield from _visit(chromium, server)


@pytest.fixture
def large_visit(chromium, large_server):
    """Of the model that scores all these phantoms."""
    yield from _visit(chromium, large_server)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    pictures = [as_png(draw_phantom(n, 0.1 * n, 256).image) for n in range(6)]
    for n in range(40):
        (folder / f"film-{n:02}.png").write_bytes(pictures[n % 6])
    return folder


def test_many_films_leave_the_page_free(chromium, visit, films):
    page = visit.page
    page.evaluate(
        """() => {
          [globalThis.changes, globalThis.work] = [[], 0];
          const count = (records) => records.reduce((sum, each) =>
            sum + 1 + each.addedNodes.length + each.removedNodes.length, 0);
          new MutationObserver((records) => {
            work += count(records);
            const isLine = (node) => node.matches?.('tr:not(.group)');
            if (records.some((each) => [...each.addedNodes].some(isLine))) {
              changes.push(work);
              work = 0;
            }
          }).observe(document.getElementById('results'),
            {subtree: true, childList: true, attributes: true, characterData: true});
        }"""
    )
    chromium.start_tracing(page=page, categories=["toplevel"])
    page.set_input_files("#files", sorted(map(str, films.iterdir())))
    visit.done()
    trace = json.loads(chromium.stop_tracing())["traceEvents"]
    threads = {
        (e["pid"], e["tid"]) for e in trace if e["name"] == "thread_name"
        and e["args"]["name"] == "CrRendererMain"
    }  # fmt: skip
    tasks = [
        e["tdur"] for e in trace
        if (e["pid"], e["tid"]) in threads and e["name"].endswith("RunTask")
        and "tdur" in e
    ]  # fmt: skip
    assert len(tasks) > 40
    assert max(tasks) < LONGEST_TASK
    changes = page.evaluate("changes")
    assert len(changes) == 40
    # What a film changes does not grow with the list; first and last open the viewer.
    assert max(changes[-11:-1]) <= max(changes[1:11]) + 2
    assert max(changes[1:-1]) < 40


# Films that are scored at once, so that only the list's own work is left.
STUB = """async () => {
  const base = location.href.replace(/[^/]*$/, '');
  const {looker} = await import(base + 'js/main.js');
  const film = await (await fetch('samples/phantom-severe.png')).blob();
  const look = await looker.look(film, {identify: false});
  let count = 0;
  looker.look = async () => {
    const wait = (done) => requestAnimationFrame(() => setTimeout(done));
    if (globalThis.slowly) await new Promise(wait);
    const found = structuredClone(look.found);
    found.involvement.total = (count++ * 37) % 100;
    return {...look, found};
  };
}"""


def test_a_long_list_costs_a_film_no_more_layout(large_visit):
    page = large_visit.page
    page.evaluate(STUB)
    devtools = page.context.new_cdp_session(page)
    devtools.send("Performance.enable", {"timeDomain": "threadTicks"})

    def add(count, *, slowly):
        page.evaluate("(slowly) => { globalThis.slowly = slowly; }", slowly)
        before = spent()
        files = [(f"{count}-{n}.png", b"x") for n in range(count)]
        large_visit.give(*files)
        page.locator("#progress").wait_for(state="hidden", timeout=PATIENCE)
        return (spent() - before) / count

    def spent():
        found = devtools.send("Performance.getMetrics")["metrics"]
        values = {each["name"]: each["value"] for each in found}
        return values["LayoutDuration"] + values["RecalcStyleDuration"]

    add(60, slowly=False)
    short = add(40, slowly=True)
    add(860, slowly=False)
    assert page.locator("#rows tr:not(.group)").count() == 960
    long = add(40, slowly=True)
    # As rows of a table, counted while they came: 8 to 10 times.
    assert long < 4 * short


def test_a_worker_that_dies_costs_one_film(chromium, server):
    context = chromium.new_context()
    context.add_init_script(
        """globalThis.born = 0;
        globalThis.Worker = class extends Worker {
          constructor(...args) {
            super(...args);
            globalThis.born += 1;
          }
          postMessage(message) {
            super.postMessage(message);
            const size = message.args[0]?.size;
            const isDeadly = size === 9 || (size === 8 && !globalThis.spared);
            if (size === 8) globalThis.spared = true;
            if (isDeadly) this.terminate();
          }
        };"""
    )
    page = context.new_page()
    page.goto(server.url)
    page.locator("#try-samples:enabled").wait_for(timeout=PATIENCE)
    film = as_png(draw_phantom(3, 0.3, 256).image)
    files = {"a": film, "b": b"123456789", "c": b"12345678", "d": film}
    page.set_input_files(
        "#files",
        [{"name": n, "mimeType": "image/png", "buffer": x} for n, x in files.items()],
    )
    page.get_by_text("Done: 4 images").wait_for(timeout=PATIENCE)
    lines = {
        line.split("\n")[0].strip(): line
        for line in page.locator(
            "#rows tr:not(.group) td:nth-child(2)"
        ).all_inner_texts()
    }
    told = "The browser ended the work on it, twice"
    # "c" was not to blame for its worker's end, and is read by the next.
    assert {name for name, line in lines.items() if told in line} == {"b"}
    assert set(lines) == set(files)
    # The first; one after each of the two ends of "b", one after that of "c".
    assert page.evaluate("born") == 4
    context.close()


def test_time_left_is_told(visit, films):
    visit.page.evaluate(
        """() => {
          globalThis.told = [];
          new MutationObserver(() =>
            told.push(document.getElementById('status').textContent),
          ).observe(document.getElementById('status'), {childList: true});
          const {now} = performance;
          performance.now = () => 100 * now.call(performance);  // a slow machine
        }"""
    )
    visit.page.set_input_files("#files", sorted(map(str, films.iterdir()))[:8])
    visit.done()
    told = visit.page.evaluate("told")
    assert told[0] == "Looking at image 1 of 8…"
    assert any(" left." in text for text in told[1:-1])


def test_without_a_worker_the_page_looks_itself(chromium, server):
    context = chromium.new_context()
    context.add_init_script("delete globalThis.Worker;")
    page = context.new_page()
    page.goto(server.url)
    page.locator("#try-samples:enabled").wait_for(timeout=PATIENCE)
    page.click("#try-samples")
    page.get_by_text("Done: 3 images").wait_for(timeout=PATIENCE)
    assert page.locator("#rows button").count() == 3
    context.close()


def test_the_list_sorts_and_filters(large_visit):
    visit = large_visit
    page = visit.page
    severe, mild = (as_png(draw_phantom(3, x).image) for x in (0.6, 0.05))
    visit.give(("b.png", severe), ("a.png", mild), ("c.png", b"x"), ("d.png", severe))
    assert visit.names() == ["c.png", "b.png", "d.png", "a.png"]

    def shown():
        return [name for name in visit.names() if name]

    def sort(name):
        page.locator("#worklist thead").get_by_role("button", name=name).click()

    sort("Involved")  # falling: what is not scored stays on top
    assert page.get_attribute("[data-column=involved]", "aria-sort") == "descending"
    assert shown() == ["c.png", "b.png", "d.png", "a.png"]
    page.focus("[data-column=involved] button")
    page.keyboard.press("Enter")
    assert page.get_attribute("[data-column=involved]", "aria-sort") == "ascending"
    assert shown() == ["c.png", "a.png", "b.png", "d.png"]
    assert page.locator("#worklist [aria-sort]").count() == 1
    groups = page.locator("#rows .group").all_inner_texts()
    assert groups == ["Needs a reader: not scored (1)", "Scored (3)"]
    sort("Image")
    assert shown() == ["a.png", "b.png", "c.png", "d.png"]
    assert page.locator("#rows .group").count() == 0
    # The viewer walks what is shown, in its order.
    page.get_by_role("button", name="b.png").click()
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#viewer-title") == "3. c.png"
    parts = {"scored": ["a.png", "b.png", "d.png"], "unscored": ["c.png"]}
    for part, names in parts.items():
        page.click(f"[data-part={part}]")
        assert page.get_attribute(f"[data-part={part}]", "aria-pressed") == "true"
        assert page.locator("#rows button:visible").all_inner_texts() == names
        assert page.inner_text("#viewer-title") == f"1. {names[0]}"
    page.click("[data-part=all]")
    page.focus("#previous")
    page.keyboard.press("/")
    page.keyboard.type("D.p")
    assert page.locator("#rows button:visible").all_inner_texts() == ["d.png"]
    assert page.inner_text("#viewer-title") == "1. d.png"
    # A film that comes goes to its place, and is hidden if the filter says so.
    visit.give(("aa.png", mild), ("dd.png", b"x"))
    page.fill("#words", "")
    assert shown() == ["a.png", "aa.png", "b.png", "c.png", "d.png", "dd.png"]
    page.fill("#words", "nothing is called so")
    assert page.locator("#nothing").is_visible()


def test_a_folder_keeps_its_paths(visit, tmp_path):
    film = as_png(draw_phantom(3, 0.3, 256).image)
    (tmp_path / "study/one").mkdir(parents=True)
    (tmp_path / "study/one/film.png").write_bytes(film)
    (tmp_path / "study/film.png").write_bytes(film)
    (tmp_path / "study/IM0001").write_bytes(image_files.dicom(
        draw_phantom(3, 0.3, 256).image))  # fmt: skip
    for name in ("notes.txt", "._film.png", "DICOMDIR", "unknown"):
        (tmp_path / "study" / name).write_bytes(b"text")
    visit.page.set_input_files("#folder", str(tmp_path / "study"))
    visit.done()
    expected = ["study/IM0001", "study/film.png", "study/one/film.png"]
    assert sorted(visit.names()) == expected
    assert "4 other files of the folder were left out" in visit.page.inner_text(
        "#status"
    )
    with visit.page.expect_download() as download:
        visit.page.click("#save-json")
    document = json.loads(pathlib.Path(download.value.path()).read_text("utf-8"))
    reasons = {"no images": 2, "files of macOS": 1, "lists of DICOM media": 1}
    assert document["left_out"] == reasons


def patient(seed, severity, date, **other):
    image = cv2.resize(draw_phantom(seed, severity).image, (300, 300))
    who = {"PatientID": "7", "PatientName": "Doé^Ann", "AccessionNumber": "A1"}
    view = {"SpecificCharacterSet": "ISO_IR 192", "ViewPosition": "PA"}
    return image_files.dicom(image, **who | view | {"StudyDate": date} | other)


def test_page_and_command_line_say_whose_film_it_is(large_visit, tmp_path):
    visit = large_visit
    films = {
        "new.dcm": patient(3, 0.05, "20200301"),
        "old.dcm": patient(3, 0.6, "20200131"),
        "other.dcm": patient(4, 0.4, "20200301", PatientName="Roe^Ann"),
    }
    for name, data in films.items():
        (tmp_path / name).write_bytes(data)
    page, paths = visit.page, [str(tmp_path / name) for name in films]
    page.set_input_files("#files", paths)
    visit.done()
    assert "Ann" not in page.content()
    page.click("#clear")
    page.check("#identify")
    page.set_input_files("#files", paths)
    visit.done()
    assert "Doé^Ann, patient 7, 2020-03-01, PA, accession A1" in page.text_content(
        "#rows"
    )
    # Together, oldest first, though the newer is less involved and so less urgent.
    names = visit.names()
    assert names.index("new.dcm") == names.index("old.dcm") + 1
    assert "% of the lung since the film before" in page.text_content("#rows")
    saved = {}
    for kind in ("report", "csv", "json"):
        with page.expect_download() as download:
            page.click(f"#save-{kind}")
        saved[kind] = pathlib.Path(download.value.path()).read_text("utf-8")
    triage(paths, tmp_path / "out", Segmenter("xray"), identify=True)
    theirs = json.loads(saved["json"])["images"]
    ours = json.loads((tmp_path / "out/report.json").read_text("utf-8"))["images"]
    for key in ("identity", "change_percent", "involved_percent"):
        assert [row[key] for row in theirs] == [row[key] for row in ours], key
    names = [pathlib.Path(row["file"]).name for row in ours]
    assert names.index("new.dcm") == names.index("old.dcm") + 1
    by_name = dict(zip(names, ours, strict=True))
    change = by_name["new.dcm"]["change_percent"]
    expected = [by_name[f"{x}.dcm"]["involved_percent"] for x in ("new", "old")]
    assert change == pytest.approx(expected[0] - expected[1], abs=0.011)
    assert change < -1
    assert by_name["old.dcm"]["change_percent"] is None
    for report in (saved["report"], (tmp_path / "out/report.html").read_text("utf-8")):
        assert "Doé^Ann, patient 7, 2020-01-31, PA, accession A1" in report
        assert "% of the lung since the film before" in report
    for table in (saved["csv"], (tmp_path / "out/report.csv").read_text("utf-8")):
        assert "Roe^Ann" in table
        assert "accession_number,change_percent" in table.splitlines()[0]
