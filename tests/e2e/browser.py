"""Headless Chromium, controlled over WebDriver (W3C) through chromedriver.

Also a program for `$BROWSER`: `browser.py SESSION URL CSS` opens the URL in a running browser and
clicks the button.
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
    # Chromium does not start as root with its sandbox.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
    # No page may connect to another machine.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]


class WebDriverError(Exception):
    """An error of chromedriver or the browser."""


def call(method, url, body=None):
    request = urllib.request.Request(
        url,
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=60) as response:
            return json.load(response)["value"]
    except urllib.error.HTTPError as response:
        error = json.load(response)["value"]
        raise WebDriverError(f"{error['error']}: {error['message'].splitlines()[0]}") from None
    except urllib.error.URLError as error:
        raise WebDriverError(f"chromedriver does not respond: {error.reason}") from None


def retry(action, within=15):
    """Repeats an action until it succeeds, because a page takes time to load."""
    end = time.monotonic() + within
    while True:
        try:
            return action()
        except WebDriverError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def start_driver(world, env):
    """Starts chromedriver and returns its port. It takes a free port of IPv4 and then the same of
    IPv6, which another program may have: then it ends, and is started again."""
    for log in ("chromedriver.log", "chromedriver2.log", "chromedriver3.log"):
        driver = world.spawn(["chromedriver", "--port=0"], log, env=env)
        end = time.monotonic() + 15
        while driver.poll() is None and time.monotonic() < end:
            port = re.search(r"started successfully on port (\d+)", world.read(log))
            if port:
                return port[1]
            time.sleep(0.05)
    raise AssertionError(f"no chromedriver: {world.read(log)}")


class Browser:
    """A separate Chromium process, which ends with its world."""

    def __init__(self, world):
        env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        env.update(HOME=world.mkdir("chromium"), TMPDIR=world.env["TMPDIR"])
        base = f"http://127.0.0.1:{start_driver(world, env)}"
        arguments = [*FLAGS, f"--user-data-dir={world.mkdir('profile')}"]
        capabilities = {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}}}
        session = call("POST", f"{base}/session", {"capabilities": capabilities})
        self.session = f"{base}/session/{session['sessionId']}"

    def consent(self, url, css):
        """Opens a consent page, clicks a button and returns the text of the next page."""
        return click(self.session, url, css)

    def url(self):
        return call("GET", f"{self.session}/url")

    def text(self):
        script = {"script": "return document.body.innerText", "args": []}
        return call("POST", f"{self.session}/execute/sync", script)

    def element(self, css):
        """Returns the text of an element."""
        found = find(self.session, css)
        return call("GET", f"{self.session}/element/{found}/text")


def find(session, css):
    query = {"using": "css selector", "value": css}
    return retry(lambda: call("POST", f"{session}/element", query))[ELEMENT]


def wait_for_next_page(session, element, within=15):
    """Waits until the page with the element has been replaced."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            call("GET", f"{session}/element/{element}/name")
        except WebDriverError:
            return
        time.sleep(0.02)
    raise AssertionError(f"still on the same page after {within} s")


def click(session, url, css):
    call("POST", f"{session}/url", {"url": url})
    button = find(session, css)
    call("POST", f"{session}/element/{button}/click", {})
    wait_for_next_page(session, button)
    script = {"script": "return document.body.innerText", "args": []}
    return call("POST", f"{session}/execute/sync", script)


if __name__ == "__main__":
    print(click(*sys.argv[1:4]))
