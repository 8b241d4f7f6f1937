# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven by the W3C WebDriver protocol: HTTP with JSON."""
import base64
import http.client
import json
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import time

DEADLINE = 30
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


class Failed(Exception):
    pass


def start_driver(place):
    """(process, port). A driver takes a free port of IPv4, and exits if that of IPv6 is taken: then another one may do better."""
    log = place / "driver.log"
    for _ in range(10):
        with open(log, "w") as output:
            driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=output, stderr=output, start_new_session=True,
                                      env={**os.environ, "HOME": str(place)})
        until = time.monotonic() + DEADLINE
        while driver.poll() is None and time.monotonic() < until:
            found = re.search(r"successfully on port (\d+)", log.read_text())
            if found:
                return driver, int(found.group(1))
            select.select([], [], [], 0.02)
        end(driver)
    raise Failed("chromedriver does not start: " + log.read_text())


def end(driver):
    """With what it has started."""
    try:
        os.killpg(driver.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    driver.wait()


class Browser:
    def __init__(self, place):
        self.place = pathlib.Path(place)
        self.driver, self.port = start_driver(self.place)
        self.session = None
        try:
            arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--user-data-dir={place}/profile",
                         "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
            options = {"binary": CHROMIUM, "args": arguments}
            self.session = self.ask("POST", "", {"capabilities": {"alwaysMatch": {
                "browserName": "chrome", "goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}}})["sessionId"]
        except BaseException:
            self.close()
            raise

    def ask(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE)
        try:
            connection.request(method, "/session" + (f"/{self.session}" if self.session else "") + path,
                               None if body is None else json.dumps(body), {"Content-Type": "application/json"})
            value = json.loads(connection.getresponse().read())["value"]
        finally:
            connection.close()
        if isinstance(value, dict) and "error" in value:
            raise Failed(value["error"] + ": " + value["message"])
        return value

    def close(self):
        try:
            if self.session:
                self.ask("DELETE", "")
        finally:
            end(self.driver)

    def open(self, address):
        self.ask("POST", "/url", {"url": address})

    def run(self, script, *arguments):
        return self.ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def developer(self, command, **parameters):
        return self.ask("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def find(self, selector):
        return self.ask("POST", "/element", {"using": "css selector", "value": selector})[ELEMENT]

    def click(self, selector):
        self.ask("POST", f"/element/{self.find(selector)}/click", {})

    def write(self, selector, text):
        element = self.find(selector)
        self.ask("POST", f"/element/{element}/clear", {})
        self.ask("POST", f"/element/{element}/value", {"text": text})

    def press(self, *keys):
        actions = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.ask("POST", "/actions", {"actions": [{"type": "key", "id": "keys", "actions": actions}]})

    def text(self, selector):
        return self.run("const e = document.querySelector(arguments[0]); return e && !e.closest('[hidden]') ? e.innerText : null", selector)

    def until(self, check, what):
        """Polls, as the page tells of nothing."""
        until = time.monotonic() + DEADLINE
        while True:
            found = check()
            if found:
                return found
            assert time.monotonic() < until, f"waited for {what()}"
            select.select([], [], [], 0.02)

    def wait(self, selector, pattern):
        """The match of the pattern in the element's text, once it is there."""
        return self.until(lambda: re.search(pattern, self.text(selector) or ""),
                          lambda: f"{pattern!r} in {selector}: {self.text(selector)!r}")

    def wait_gone(self, selector):
        self.until(lambda: self.text(selector) is None, lambda: f"the end of {selector}")

    def screen(self, width, height, dark=False):
        self.developer("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500)
        self.developer("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}])

    def shoot(self, path):
        """A picture of the whole page."""
        size = self.run("return [innerWidth, document.documentElement.scrollHeight]")
        picture = self.developer("Page.captureScreenshot", format="png", captureBeyondViewport=True,
                                 clip={"x": 0, "y": 0, "width": size[0], "height": min(size[1], 4000), "scale": 1})["data"]
        pathlib.Path(path).write_bytes(base64.b64decode(picture))

    def complaints(self):
        """What the browser has complained of since this was last asked: errors of the script, breaches of the policy."""
        return [entry["message"] for entry in self.ask("POST", "/se/log", {"type": "browser"})
                if entry["level"] in ("SEVERE", "WARNING")]
