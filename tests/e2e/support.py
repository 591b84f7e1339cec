"""Helpers of the end-to-end tests that need no environment: waiting, processes, requests, secrets."""

import base64
import ctypes
import json
import os
import signal
import socket
import time
import urllib.error
import urllib.parse
import urllib.request


class TimedOut(AssertionError):
    """A condition did not become true in time."""


def until(what, check, within=10):
    """Calls `check` until it returns a true value, and returns that value."""
    end = time.monotonic() + within
    while True:
        seen = check()
        if seen:
            return seen
        if time.monotonic() > end:
            raise TimedOut(f"not within {within} s: {what}")
        time.sleep(0.03)


def equal(got, expected):
    assert got == expected, f"\n  got      {got!r}\n  expected {expected!r}"


def contains(text, words):
    assert words in text, f"not there: {words!r}\nin: {text!r}"


def adopt_orphans():
    """Makes this process the parent of every descendant that has lost its own (prctl(2))."""
    pr_set_child_subreaper = 36
    if ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0) != 0:
        raise OSError("this system does not let a process adopt orphans")


def parents():
    """Every process and its parent."""
    table = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as stat:
                # The second field is the program's name, in parentheses and with anything in it.
                table[int(name)] = int(stat.read().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            pass
    return table


def descendants(ancestor):
    table, found, front = parents(), [], {ancestor}
    while front:
        front = {child for child, parent in table.items() if parent in front}
        found += front
    return found


def runs(pid):
    """Whether a process still runs; one that has ended is a zombie until its parent waits for it."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def program(pid):
    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as comm:
        return comm.read().strip()


def stop_descendants():
    """Ends everything this process has started, with SIGTERM first."""
    for how, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 10)):
        for pid in descendants(os.getpid()):
            try:
                os.kill(pid, how)
                # A test may have stopped the process.
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                pass
        end = time.monotonic() + patience
        while time.monotonic() < end:
            try:
                if os.waitpid(-1, os.WNOHANG) == (0, 0):
                    time.sleep(0.02)
            except ChildProcessError:
                return
    raise TimedOut(f"cannot be stopped: {descendants(os.getpid())}")


# --- requests to the server


def fetch(url, key=None, data=None, redirect=True):
    """Sends one request; returns status, headers and body."""

    class Stay(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_):
            return None

    handlers = [urllib.request.ProxyHandler({})] + ([] if redirect else [Stay])
    request = urllib.request.Request(url, data=data)
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    try:
        with urllib.request.build_opener(*handlers).open(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as answer:
        return answer.code, answer.headers, answer.read().decode()


def post(url, key, document):
    """Sends a JSON document and returns the JSON response."""
    request = urllib.request.Request(url, data=json.dumps(document).encode())
    request.add_header("Authorization", f"Bearer {key}")
    request.add_header("Content-Type", "application/json")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        return json.load(answer)


def whoami(server, key):
    """The server's information about a key, or the HTTP status when the key is unknown."""
    status, _, body = fetch(f"{server}/api/v1/key", key)
    return json.loads(body)["data"] if status == 200 else status


def names(server, management):
    """The names of the account's keys."""
    _, _, body = fetch(f"{server}/api/v1/keys", management)
    return [row["name"] for row in json.loads(body)["data"]]


def query(address):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query))


def consent(address, decision="approve"):
    """Submits a decision to the consent page; returns the address it redirects to."""
    status, headers, body = fetch(address, data=f"decision={decision}".encode(), redirect=False)
    equal((status, body), (302, ""))
    return headers["Location"]


def port_of(address):
    """The port of the callback in an address."""
    return urllib.parse.urlsplit(query(address)["callback_url"]).port


def is_closed(port):
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) != 0


# --- secrets where they should not be


def pieces(key):
    """All runs of eight characters of a key that its mask (`sk-or-v1-0e6...1c96`) leaves out.

    Only changed cells of the screen are drawn, so a key may be in the output in parts."""
    secret = key.removeprefix("sk-or-v1-")
    return [secret[n : n + 8] for n in range(len(secret) - 7)]


def shows(output, key):
    """Whether the output contains part of a key."""
    return any(piece.encode() in output for piece in pieces(key))


def forms(secret):
    """The encodings in which a secret could be stored: plain, base64, hexadecimal, percent-encoded,
    escaped in JSON, a list of numbers."""
    raw = secret.encode()
    yield raw
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    for style in ("\\u{:04x}", "\\u{:04X}"):
        yield "".join(style.format(ord(letter)) for letter in secret).encode()
    for between in (", ", ",", " "):
        yield between.join(str(byte) for byte in raw).encode()
    yield urllib.parse.quote(secret, safe="").encode()
    for style in ("%{:02x}", "%{:02X}"):
        yield "".join(style.format(byte) for byte in raw).encode()
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        # Where the secret does not start at a multiple of three bytes, its first and last base64
        # characters depend on the bytes around it.
        for before in range(3):
            text = encode(b"\0" * before + raw).rstrip(b"=")
            yield text[4 if before else 0 : -2]


def leaks(content, secrets):
    """The names of the secrets that the content contains in any encoding."""
    return [name for name, secret in secrets.items() if any(f in content for f in forms(secret))]


def files(folder):
    """The paths and contents of all files in a folder."""
    for place, _, names_ in os.walk(folder):
        for name in names_:
            path = os.path.join(place, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    yield path, file.read()
