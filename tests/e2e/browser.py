"""Chromium without a window, driven over plain WebDriver (W3C) through chromedriver.

Also a program: `browser.py SESSION ADDRESS CSS` opens the address in a running browser and presses
the button, which makes it fit to be `$BROWSER`.
"""

import json
import os
import re
import sys
import time
import urllib.error
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
FLAGS = [
    "--headless",
    # Root has no use for the sandbox, and Chromium refuses to start with it.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    # Whatever a page asks for, nothing leaves this machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


class Refused(Exception):
    """The browser could not do it."""


def call(method, url, body=None):
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as answer:
        problem = json.load(answer)["value"]
        raise Refused(f"{problem['error']}: {problem['message'].splitlines()[0]}") from None
    except urllib.error.URLError as problem:
        raise Refused(f"chromedriver does not answer: {problem.reason}") from None


def patiently(action, within=15):
    """Tries until it succeeds: a page takes its time."""
    end = time.monotonic() + within
    while True:
        try:
            return action()
        except Refused:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


class Browser:
    """A Chromium of its own; it ends with the world it lives in."""

    def __init__(self, world):
        env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        env.update(HOME=world.mkdir("chromium"), TMPDIR=world.env["TMPDIR"])
        driver = world.spawn(["chromedriver", "--port=0"], "chromedriver.log", env=env)
        end = time.monotonic() + 15
        while True:
            port = re.search(r"started successfully on port (\d+)", world.read("chromedriver.log"))
            if port:
                break
            if driver.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"no chromedriver: {world.read('chromedriver.log')}")
            time.sleep(0.05)
        base = f"http://127.0.0.1:{port[1]}"
        arguments = [*FLAGS, f"--user-data-dir={world.mkdir('profile')}"]
        wanted = {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}}}
        session = call("POST", f"{base}/session", {"capabilities": wanted})
        self.session = f"{base}/session/{session['sessionId']}"

    def consent(self, address, css):
        """Opens a consent page and presses a button; the text of the page that follows."""
        return press(self.session, address, css)

    def url(self):
        return call("GET", f"{self.session}/url")

    def text(self):
        script = {"script": "return document.body.innerText", "args": []}
        return call("POST", f"{self.session}/execute/sync", script)

    def element(self, css):
        """The text of one element."""
        found = find(self.session, css)
        return call("GET", f"{self.session}/element/{found}/text")


def find(session, css):
    asked = {"using": "css selector", "value": css}
    return patiently(lambda: call("POST", f"{session}/element", asked))[ELEMENT]


def left(session, element, within=15):
    """Waits until the page that an element belonged to has made room for another."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            call("GET", f"{session}/element/{element}/name")
        except Refused:
            return
        time.sleep(0.02)
    raise AssertionError(f"still on the same page after {within} s")


def press(session, address, css):
    call("POST", f"{session}/url", {"url": address})
    button = find(session, css)
    call("POST", f"{session}/element/{button}/click", {})
    left(session, button)
    script = {"script": "return document.body.innerText", "args": []}
    return call("POST", f"{session}/execute/sync", script)


if __name__ == "__main__":
    print(press(*sys.argv[1:4]))
