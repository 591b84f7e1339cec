"""The environment of one test: real programs, started privately and stopped again.

Everything a test starts is a descendant of the runner, including daemons, because the runner adopts
orphans. So `World.close` ends all descendants and needs no list of them.
"""

import base64
import ctypes
import json
import os
import re
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

from browser import Browser

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
KEYWRIGHT = os.path.abspath(
    os.environ.get("KEYWRIGHT", os.path.join(ROOT, "target", "release", "keywright"))
)
SDK_PYTHON = os.environ.get("SDK_PYTHON", sys.executable)
if os.sep in SDK_PYTHON:
    # Tests run in another directory. The link is kept, because Python finds its virtual environment by it.
    SDK_PYTHON = os.path.abspath(SDK_PYTHON)
PASSWORD = "the keyring's password"
LOGIN = "/org/freedesktop/secrets/collection/login"
# The bus activates no service: only what a test starts is present, and no window asks for a password.
BUS = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <policy context="default">
    <allow user="*"/><allow own="*"/>
    <allow send_destination="*"/><allow receive_sender="*"/>
  </policy>
</busconfig>
"""
TMUX = """set -s escape-time 0
set -s set-clipboard {clipboard}
set -g default-terminal tmux-256color
set -g default-shell /bin/bash
set -g status off
set -g remain-on-exit on
"""

tests = []


def test(function):
    """Registers a test. Its name describes the behaviour it checks."""
    tests.append(function)
    return function


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


class World:
    """The home directory, the environment and the programs of one test."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="keywright-e2e-")
        self.panes = []
        self.browser = None
        self.home = self.mkdir("home")
        # Always named `keywright`, whatever the name and path of the tested file are.
        os.symlink(KEYWRIGHT, os.path.join(self.mkdir("bin"), "keywright"))
        self.env = {
            "PATH": f"{self.path('bin')}:{os.environ['PATH']}",
            "HOME": self.home,
            "LANG": "C.UTF-8",
            "TMPDIR": self.mkdir("tmp"),
            # Empty, so that no program finds a session bus here.
            "XDG_RUNTIME_DIR": self.mkdir("runtime"),
        }

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def mkdir(self, *names):
        path = self.path(*names)
        os.makedirs(path, mode=0o700, exist_ok=True)
        return path

    def write(self, name, text, mode=0o600):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)
        return path

    def read(self, name):
        try:
            with open(self.path(name), encoding="utf-8", errors="replace") as file:
                return file.read()
        except FileNotFoundError:
            return ""

    def spawn(self, argv, log, env=None, **options):
        """Starts a program in the background, with its output in a file of this world."""
        with open(self.path(log), "ab") as out:
            return subprocess.Popen(
                argv,
                env=self.env if env is None else env,
                stdin=options.pop("stdin", subprocess.DEVNULL),
                stdout=options.pop("stdout", out),
                stderr=out,
                cwd=self.home,
                start_new_session=True,
                **options,
            )

    def run(self, *argv, within=30, **env):
        """Runs a program to its end; returns its exit code, standard output and standard error."""
        ended = subprocess.run(
            argv,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=within,
            cwd=self.home,
        )
        return ended.returncode, ended.stdout, ended.stderr

    def keywright(self, *arguments, **options):
        return self.run("keywright", *arguments, **options)

    # --- the keychain

    def bus(self):
        """Starts a session bus without any service."""
        address = self.path("bus")
        config = self.write("bus.conf", BUS.format(socket=address))
        self.spawn(["dbus-daemon", "--nofork", f"--config-file={config}"], "bus.log")
        until("a session bus", lambda: os.path.exists(address))
        self.env["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={address}"

    def keyring(self, locked=False):
        """Starts a bus and gnome-keyring with a login collection; returns the daemon."""
        self.bus()
        daemon = self.provider()
        if locked:
            self.secrets("Service.Lock", f"array:objpath:{LOGIN}")
            until("a locked keyring", self.locked)
        return daemon

    def provider(self):
        """Starts gnome-keyring. A restarted one still has its stored secrets."""
        # The daemon has its own home directory, so that a test sees only what Keywright writes to the user's.
        rings = self.mkdir("keyring", "data", "keyrings")
        with open(os.path.join(rings, "default"), "w", encoding="utf-8") as default:
            default.write("login")
        env = {
            **self.env,
            "HOME": self.path("keyring"),
            "XDG_DATA_HOME": self.path("keyring", "data"),
            "XDG_RUNTIME_DIR": self.mkdir("keyring", "runtime"),
            "GSETTINGS_BACKEND": "memory",
        }
        daemon = self.spawn(
            ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"],
            "keyring.log",
            env=env,
            stdin=subprocess.PIPE,
        )
        # Without a newline, which would belong to the password.
        daemon.stdin.write(PASSWORD.encode())
        daemon.stdin.close()
        until("a keyring", lambda: LOGIN in self.secrets("Service.ReadAlias", "string:default"))
        return daemon

    def secrets(self, method, *arguments, path="/org/freedesktop/secrets"):
        interface = method if method.startswith("org.") else f"org.freedesktop.Secret.{method}"
        return self.run(
            "dbus-send", "--session", "--print-reply", "--dest=org.freedesktop.secrets", path,
            interface, *arguments,
        )[1]

    def locked_reply(self):
        """The provider's answer to whether the login collection is locked; empty without an answer."""
        return self.secrets(
            "org.freedesktop.DBus.Properties.Get", "string:org.freedesktop.Secret.Collection",
            "string:Locked", path=LOGIN,
        )

    def locked(self):
        return "boolean true" in self.locked_reply()

    def lookup(self, server, label):
        """The key stored under a label, read by another tool; empty when there is none."""
        service = "keywright/" + server.split("//")[1]
        return self.run("secret-tool", "lookup", "service", service, "username", label)[1].strip()

    def attempts(self):
        """The secrets of pending attempts in the keychain."""
        _, shown, _ = self.run("secret-tool", "search", "--all", "service", "keywright-attempts")
        return [json.loads(found) for found in re.findall(r"^secret = (\{.*\})$", shown, re.M)]

    # --- the display, the server, the browser

    def display(self):
        """Starts an X server without a screen."""
        read, write = os.pipe()
        argv = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1024x768x24", "-noreset"]
        self.spawn([*argv, "-nolisten", "tcp"], "display.log", pass_fds=(write,))
        os.close(write)
        with os.fdopen(read, encoding="ascii") as said:
            # The number is written once the server accepts connections.
            number = said.readline().strip()
        assert number, f"no X server: {self.read('display.log')}"
        self.env["DISPLAY"] = f":{number}"

    def clipboard(self):
        """The contents of the X clipboard; empty when there are none."""
        return self.run("xclip", "-out", "-selection", "clipboard")[1]

    def sandbox(self):
        """Starts `keywright sandbox`; returns its address and its management key."""
        server = self.spawn(["keywright", "sandbox"], "sandbox.log", stdout=subprocess.PIPE)
        listening, management = (server.stdout.readline().decode().strip() for _ in range(2))
        return (
            listening.removeprefix("listening on "),
            management.removeprefix("management key: "),
        )

    def chromium(self, click="#authorize"):
        """Starts a browser, and sets a `$BROWSER` that presses a button on the consent page in it."""
        self.browser = Browser(self)
        driver = [sys.executable, os.path.join(HERE, "browser.py"), self.browser.session]
        self.be_browser(f'exec {shlex.join(driver)} "$1" {shlex.quote(click)}')
        return self.browser

    def be_browser(self, command=":"):
        """Sets a `$BROWSER` that records the address it is given, and then runs `command`."""
        note = f"printf '%s\\n' \"$1\" >>{shlex.quote(self.path('opened'))}"
        script = f"#!/bin/sh\n{note}\nexec >>{self.path('browser.log')} 2>&1\n{command}\n"
        self.env["BROWSER"] = self.write("browser.sh", script, 0o700)

    def opened(self):
        """The addresses that `$BROWSER` was given."""
        return self.read("opened").split()

    # --- a command that waits for consent

    def new(self, server, *arguments, limit=None, **env):
        """Starts `keywright new … --no-open`; returns the process once it has printed its address."""

        def few_files():
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))

        before = len(self.addresses())
        started = self.spawn(
            ["keywright", "--server", server, "new", *arguments, "--no-open"],
            "new.err",
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            preexec_fn=few_files if limit else None,
        )
        until("the address on standard error", lambda: len(self.addresses()) > before)
        started.address = self.addresses()[-1]
        return started

    def create_key(self, server, label, *arguments):
        """Creates a key without a browser and returns it."""
        new = self.new(server, label, *arguments)
        equal(fetch(consent(new.address))[0], 200)
        equal(new.wait(timeout=15), 0)
        return self.lookup(server, label)

    def addresses(self):
        """The lines of standard error that are addresses."""
        return re.findall(r"^(http\S+)\n", self.read("new.err"), re.M)

    # --- the end

    def evidence(self):
        """The screens and logs, for the report of a failure."""
        parts = [f"--- the screen\n{pane.screen()}" for pane in self.panes]
        for name in ("new.err", "browser.log", "sandbox.log", "keyring.log", "display.log"):
            if self.read(name).strip():
                parts.append(f"--- {name}\n{self.read(name)[-2000:].rstrip()}")
        return "\n".join(parts)

    def close(self):
        try:
            stop_descendants()
        finally:
            shutil.rmtree(self.dir, ignore_errors=True)


class Pane:
    """A shell in a terminal of 80 by 24, inside a private tmux."""

    def __init__(self, world, size=(80, 24), clipboard="on", inside_tmux=False, **env):
        self.world = world
        self.name = f"tmux{len(world.panes)}"
        self.log = f"{self.name}.typed"
        config = world.write(f"{self.name}.conf", TMUX.format(clipboard=clipboard))
        # Otherwise the shell would turn bracketed paste on and off as well.
        quiet = world.write("inputrc", "set enable-bracketed-paste off\n")
        self.env = {**world.env, "HISTFILE": "", "INPUTRC": quiet, **env}
        shell = "export PS1='$ '; exec bash --norc --noprofile -i"
        if not inside_tmux:
            shell = f"unset TMUX TMUX_PANE; export TERM=xterm-256color; {shell}"
        self.tmux(
            "-f", config, "new-session", "-d", "-x", str(size[0]), "-y", str(size[1]),
            "-c", world.home, shell,
        )
        world.panes.append(self)
        # Started first, so that it contains every byte written to the terminal.
        self.tmux("pipe-pane", f"cat >>{shlex.quote(world.path(self.log))}")
        self.wait_shell()

    def tmux(self, *arguments, check=True):
        ended = subprocess.run(
            ["tmux", "-u", "-S", self.world.path(self.name), *arguments],
            env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10,
        )
        if check and ended.returncode != 0:
            raise AssertionError(f"tmux {arguments[0]}: {ended.stderr.strip()}")
        return ended.stdout

    def ask(self, format):
        return self.tmux("display-message", "-p", format).strip()

    def screen(self):
        return self.tmux("capture-pane", "-p", check=False).rstrip()

    def words(self):
        """The text of the screen with line breaks removed."""
        return " ".join(self.screen().split())

    def written(self):
        """All bytes written to the terminal."""
        with open(self.world.path(self.log), "rb") as log:
            return log.read()

    def wait(self, pattern, within=10):
        """Waits until the screen matches."""
        return until(
            f"{pattern} on the screen", lambda: re.search(pattern, self.screen(), re.M), within
        )

    def wait_words(self, words, within=10):
        until(f"{words!r} on the screen", lambda: words in self.words(), within)

    def wait_shell(self, within=10):
        """Waits until the shell shows its prompt."""
        self.wait(r"^\$$", within)

    def wait_gone(self, words, within=10):
        until(f"{words!r} gone", lambda: words not in self.words(), within)

    def type(self, text):
        self.tmux("send-keys", "-l", "--", text)

    def press(self, *keys):
        """Presses keys, given by tmux's names."""
        self.tmux("send-keys", "--", *keys)

    def paste(self, text):
        """Pastes text as a terminal does, bracketed where the program enabled that."""
        self.tmux("set-buffer", "-b", "pasted", "--", text)
        self.tmux("paste-buffer", "-p", "-d", "-b", "pasted")

    def command(self, line):
        # The terminal would show text twice that is typed before the prompt.
        self.wait_shell()
        self.type(line)
        self.press("Enter")

    def dashboard(self, *arguments):
        """Starts the dashboard and waits for its first screen."""
        self.command(shlex.join(["keywright", *arguments]))
        self.wait(r"^ Keywright · (keys|\d+ keys? stored)")

    def pid(self):
        """The process id of the dashboard in this pane."""
        shell = int(self.ask("#{pane_pid}"))
        children = [pid for pid, parent in parents().items() if parent == shell]
        found = [pid for pid in children if program(pid) == "keywright"]
        assert len(found) == 1, f"in the pane run {[program(pid) for pid in children]}"
        return found[0]

    def fill(self, label, limit="", reset="", expires=""):
        """Opens the form, fills in its fields, and submits it."""
        self.press("n")
        self.wait("a new key")
        # A field keeps its default where nothing is typed.
        for text in (label, limit, reset, expires):
            if text:
                self.type(text)
            self.press("Enter")

    def address(self):
        """The address on the waiting screen: whole lines from the first column on."""
        self.wait(r"^https?://")
        lines = self.screen().split("\n")
        first = next(n for n, line in enumerate(lines) if re.match("https?://", line))
        last = first
        while len(lines[last]) == 80:
            last += 1
        return "".join(lines[first : last + 1])

    def buffers(self):
        """The contents of the buffers of this tmux."""
        names = self.tmux("list-buffers", "-F", "#{buffer_name}", check=False).split()
        return [self.tmux("show-buffer", "-b", name) for name in names]


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
