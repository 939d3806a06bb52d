"""The report in a real browser: it asks nothing of the network and fits a narrow screen."""

import base64
import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager

import pytest

from wardgate.papers.report import render

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
)


class Page:
    """One tab, driven over the browser's debugging pipe; no port is opened."""

    def __init__(self, to_browser, from_browser):
        self._to, self._from, self._buffer, self._count, self._session = to_browser, from_browser, b"", 0, None
        self.requests, self.stopped = {}, set()
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Network.enable")

    def call(self, method, **params):
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer
                return answer["result"]

    def open(self, path, *, width=1280, height=900, dark=False):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", media="", features=scheme)
        self.requests.clear()
        self.stopped.clear()
        self.call("Page.navigate", url=path.resolve().as_uri())
        deadline = time.monotonic() + 60
        while self.evaluate("document.readyState") != "complete":
            assert time.monotonic() < deadline, "the page did not load within a minute"
            time.sleep(0.05)
        time.sleep(0.3)
        self.evaluate("1")
        return self

    def evaluate(self, expression):
        return self.call("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def screenshot(self, path, *, clip=None):
        more = {"clip": {**clip, "scale": 1}} if clip else {}
        answer = self.call("Page.captureScreenshot", captureBeyondViewport=True, **more)
        path.write_bytes(base64.b64decode(answer["data"]))

    def _read(self):
        while b"\0" not in self._buffer:
            chunk = os.read(self._from, 1 << 16)
            assert chunk, "the browser ended early"
            self._buffer += chunk
        line, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(line)
        told = message.get("params", {})
        if message.get("method") == "Network.requestWillBeSent":
            self.requests[told["requestId"]] = told["request"]["url"]
        if message.get("method") == "Network.loadingFailed" and told.get("blockedReason") == "csp":
            self.stopped.add(self.requests.pop(told["requestId"]))
        return message


@contextmanager
def browser(profile):
    """Start one browser and yield its page. The browser reads descriptor 3 and writes descriptor 4."""
    read_there, write_here = os.pipe()
    read_here, write_there = os.pipe()
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}"]
    shell = f'exec "$0" "$@" 3<&{read_there} 4>&{write_there}'
    process = subprocess.Popen(
        ["bash", "-c", shell, *command],
        pass_fds=(read_there, write_there),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(read_there)
    os.close(write_there)
    try:
        yield Page(write_here, read_here)
    finally:
        os.close(write_here)
        os.close(read_here)
        process.terminate()
        process.wait(timeout=20)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def _written(tmp_path, html):
    path = tmp_path / "report.html"
    path.write_text(html, encoding="utf-8")
    return path


@needs_browser
def test_the_page_makes_no_network_request(page, tmp_path, six_hospitals):
    page.open(_written(tmp_path, render(six_hospitals)))
    assert [url for url in page.requests.values() if not url.startswith(("file:", "data:"))] == []
    assert not page.stopped
    assert page.evaluate("document.querySelector('h1').textContent") == six_hospitals.title


@needs_browser
def test_a_page_that_calls_out_is_caught_and_the_policy_of_the_report_stops_it(page, tmp_path, six_hospitals):
    html = render(six_hospitals)
    caller = '<img alt="" src="http://127.0.0.1:9/pixel.png"></body>'
    policy = html[html.index('<meta http-equiv="Content') : html.index('<meta name="viewport"')]
    for twin, caught in (
        (html.replace(policy, "").replace("</body>", caller), True),
        (html.replace("</body>", caller), False),
    ):
        page.open(_written(tmp_path, twin))
        assert any(url.startswith("http://127.0.0.1:9/") for url in page.requests.values()) is caught
        assert bool(page.stopped) is not caught


@needs_browser
@pytest.mark.parametrize(
    ("which", "width"),
    [("six_hospitals", 360), ("six_hospitals", 390), ("six_hospitals", 1280), ("many_hospitals", 390)],
)
def test_the_page_never_scrolls_sideways(page, tmp_path, request, which, width):
    page.open(_written(tmp_path, render(request.getfixturevalue(which))), width=width)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@needs_browser
def test_every_box_that_scrolls_can_be_reached_by_keyboard(page, tmp_path, six_hospitals):
    page.open(_written(tmp_path, render(six_hospitals)), width=390)
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    stuck = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(one => one.scrollWidth > one.clientWidth + 1"
        " && ['auto', 'scroll'].includes(getComputedStyle(one).overflowX) && one.tabIndex < 0).length"
    )
    assert stuck == 0
