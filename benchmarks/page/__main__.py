"""Many films through the page: its time per quarter, long tasks, the saved report.

    python -m benchmarks.page [--films 1000] [--folder FILMS]

Films are phantoms with noise, or those of a folder. Seconds by the clock depend on what
else runs on the machine; seconds of the processor, those of the page's process with its
worker, and changes of the document hardly do. Needs Linux, playwright and a Chromium,
as `tests/web`. Time: 5 to 10 minutes.
"""

import argparse
import itertools
import os
import pathlib
import shutil
import tempfile
import time

import cv2
import numpy as np

from covseg_tf.edge import draw_phantom
from covseg_tf.web import PageServer, build_site

KINDS = 20
SUFFIXES = (".png", ".jpg", ".jpeg", ".dcm")
WATCH = """() => {
  [globalThis.times, globalThis.changes, globalThis.long] = [[], [], []];
  let work = 0;
  const count = (records) => records.reduce((sum, each) =>
    sum + 1 + each.addedNodes.length + each.removedNodes.length, 0);
  new MutationObserver((records) => {
    work += count(records);
    const isLine = (node) => node.matches?.('tr:not(.group)');
    if (records.some((each) => [...each.addedNodes].some(isLine))) {
      times.push(performance.now());
      changes.push(work);
      work = 0;
    }
  }).observe(document.getElementById('results'),
    {subtree: true, childList: true, attributes: true, characterData: true});
  new PerformanceObserver((list) =>
    long.push(...list.getEntries().map((each) => Math.round(each.duration))),
  ).observe({type: 'longtask'});
}"""


def draw_films(folder: pathlib.Path, count: int, size: int) -> list[str]:
    """Writes films and returns their paths."""
    rng = np.random.default_rng(0)
    files = []
    for seed in range(KINDS):
        film = cv2.resize(draw_phantom(seed, 0.04 * seed, 256).image, (size, size))
        noisy = np.clip(film + rng.normal(0, 2, film.shape), 0, 255).astype(np.uint8)
        files.append(cv2.imencode(".png", noisy)[1].tobytes())
    paths = [folder / f"film-{number:04}.png" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(files[number % KINDS])
    return list(map(str, paths))


def processor_seconds(browser) -> float:
    """Returns what the page's process has used, its worker's thread included."""
    session = browser.new_browser_cdp_session()
    found = session.send("SystemInfo.getProcessInfo")["processInfo"]
    pids = [each["id"] for each in found if each["type"] == "renderer"]
    ticks = 0
    for pid in pids:
        fields = (
            pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        )
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def save_report(page) -> None:
    """Saves the report of what is in the list and prints what it took."""
    start = time.perf_counter()
    with page.expect_download() as download:
        page.click("#save-report")
    path = pathlib.Path(download.value.path())
    took = time.perf_counter() - start
    cards = page.locator("#rows button").count()
    print(f"report of {cards} films: {took:.1f} s, {path.stat().st_size / 1e6:.1f} MB")


def main() -> None:
    """Runs it."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--films", type=int, default=1000)
    parser.add_argument("--first", type=int, default=183, help="saved before the rest")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--folder", help="films to give in place of phantoms")
    parser.add_argument("--model", default="xray")
    options = parser.parse_args()
    with (
        PageServer(build_site(options.model), port=0) as server,
        sync_playwright() as playwright,
        tempfile.TemporaryDirectory() as folder,
    ):
        if options.folder:
            found = sorted(pathlib.Path(options.folder).rglob("*.*"))
            paths = [str(path) for path in found if path.suffix in SUFFIXES]
            paths = paths[: options.films]
        else:
            paths = draw_films(pathlib.Path(folder), options.films, options.size)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.goto(server.url)
        page.locator("#try-samples:enabled").wait_for(timeout=90_000)
        page.evaluate(WATCH)
        marks = [(0, processor_seconds(browser))]
        for part in filter(None, (paths[: options.first], paths[options.first :])):
            page.set_input_files("#files", part)
            page.locator("#progress").wait_for(state="visible")
            while page.locator("#progress").is_visible():
                page.wait_for_timeout(1000)
                done = page.evaluate("times.length")
                if done >= len(marks) * len(paths) / 4:
                    marks.append((done, processor_seconds(browser)))
            save_report(page)
        times, changes = page.evaluate("times"), page.evaluate("changes")
        parts = np.array_split(np.arange(1, len(times)), 4)
        took = [sum(times[i] - times[i - 1] for i in part) / 1000 for part in parts]
        print("seconds per quarter:", *(f"{value:.1f}" for value in took))
        used = [
            1000 * (later[1] - before[1]) / (later[0] - before[0])
            for before, later in itertools.pairwise(marks)
        ]
        print("processor, ms per film:", *(f"{value:.0f}" for value in used))
        work = [np.median([changes[i] for i in part]) for part in parts]
        print("changes of the document per film, median:", *work)
        print("tasks over 50 ms by the clock:", page.evaluate("long"))
        browser.close()


if __name__ == "__main__":
    main()
