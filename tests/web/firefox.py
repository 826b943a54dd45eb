"""A headless Firefox for tests, driven by WebDriver BiDi over its own socket."""

import asyncio
import itertools
import json
import os
import queue
import re
import shutil
import subprocess
import threading

import pytest

PATIENCE = 120  # seconds; a machine under load is slow, not wrong
_LISTENS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
_NAMES = ("firefox-esr", "firefox")


class Firefox:
    """A browser with one page; `call` runs a function in it.

    Args:
        profile: An empty folder, for this browser alone.
    """

    def __init__(self, profile):
        websocket = pytest.importorskip("tornado.websocket", reason="no tornado")
        found = os.environ.get("COVSEG_FIREFOX") or next(
            filter(None, map(shutil.which, _NAMES)), None
        )
        if found is None:
            pytest.skip("no Firefox on the path (set COVSEG_FIREFOX)")
        command = [found, "--headless", "--no-remote", "--profile", str(profile)]
        self._process = subprocess.Popen(
            [*command, "--remote-debugging-port", "0"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"HOME": str(profile)},
        )
        self._loop, self._numbers = asyncio.new_event_loop(), itertools.count(1)
        self._socket = None
        try:
            address = f"{self._address()}/session"
            self._socket = self._wait(websocket.websocket_connect, address)
            self._send("session.new", capabilities={})
            tree = self._send("browsingContext.getTree")
            self._page = tree["contexts"][0]["context"]
        except BaseException:
            self.close()  # nobody else can: there is no browser to hand out
            raise

    def go(self, url):
        self._send(
            "browsingContext.navigate", context=self._page, url=url, wait="complete"
        )

    def call(self, function, *words):
        """Runs a JavaScript function on strings; its result comes as JSON."""
        answer = self._send(
            "script.callFunction",
            functionDeclaration=f"async (...words) => "
            f"JSON.stringify(await ({function})(...words))",
            arguments=[{"type": "string", "value": word} for word in words],
            target={"context": self._page},
            awaitPromise=True,
        )
        assert answer["type"] == "success", answer
        return json.loads(answer["result"]["value"])

    def close(self):
        if self._socket is not None:
            self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(PATIENCE)  # it ends with the pipe
        self._process.stderr.close()
        self._loop.close()

    def _address(self):
        lines: queue.Queue = queue.Queue()

        def read():
            for line in self._process.stderr:
                lines.put(line)
            lines.put(None)  # it is gone

        # Read on to the end: a full pipe would stop the browser.
        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()
        while True:
            line = lines.get(timeout=PATIENCE)
            if line is None:
                raise RuntimeError("Firefox ended before it listened.")
            found = _LISTENS.search(line)
            if found:
                return found[1]

    def _send(self, method, **params):
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": params}
        self._wait(self._socket.write_message, json.dumps(message))
        while True:
            answer = json.loads(self._wait(self._socket.read_message))
            if answer.get("id") == number:
                assert answer["type"] == "success", answer
                return answer["result"]

    def _wait(self, function, *args):
        async def wait():  # called in the loop: what it gives belongs to that
            return await asyncio.wait_for(function(*args), PATIENCE)

        return self._loop.run_until_complete(wait())
