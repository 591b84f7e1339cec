"""The surroundings of one test: real programs, started privately and stopped again.

Everything a test starts is a descendant of the runner, also what turns itself into a daemon, since
the runner adopts orphans. So `World.close` needs no list of what to stop: it ends its descendants.
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
    # Tests run elsewhere. Not the real path: a virtual environment is known by its own.
    SDK_PYTHON = os.path.abspath(SDK_PYTHON)
PASSWORD = "the keyring's password"
LOGIN = "/org/freedesktop/secrets/collection/login"
# Nothing is activated: what is not started here is not there, and no window asks for a password.
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
    """Registers a test; its name is a sentence about the program."""
    tests.append(function)
    return function


class Waited(AssertionError):
    """What was waited for did not come."""


def until(what, look, within=10):
    """Looks until there is something to see, and gives it back."""
    end = time.monotonic() + within
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > end:
            raise Waited(f"not within {within} s: {what}")
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
    """Whether a process still runs; one that has ended stays a zombie until it is asked about."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def program(pid):
    with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as comm:
        return comm.read().strip()


def stop_descendants():
    """Ends everything this process has started, politely first."""
    for how, patience in ((signal.SIGTERM, 3), (signal.SIGKILL, 10)):
        for pid in descendants(os.getpid()):
            try:
                os.kill(pid, how)
                # It may have been stopped by a test.
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
    raise Waited(f"cannot be stopped: {descendants(os.getpid())}")


class World:
    """One test's home, its environment and its programs."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="keywright-e2e-")
        self.panes = []
        self.browser = None
        self.home = self.mkdir("home")
        # Under its own name, whatever the file is called and however long its path is.
        os.symlink(KEYWRIGHT, os.path.join(self.mkdir("bin"), "keywright"))
        self.env = {
            "PATH": f"{self.path('bin')}:{os.environ['PATH']}",
            "HOME": self.home,
            "LANG": "C.UTF-8",
            "TMPDIR": self.mkdir("tmp"),
            # Empty: whoever looks for a session bus here finds none.
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
        """A program in the background, its output in a file of the world."""
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
        """A program to its end: its exit code, what it printed, what it complained."""
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
        """A session bus on which nobody offers anything."""
        address = self.path("bus")
        config = self.write("bus.conf", BUS.format(socket=address))
        self.spawn(["dbus-daemon", "--nofork", f"--config-file={config}"], "bus.log")
        until("a session bus", lambda: os.path.exists(address))
        self.env["DBUS_SESSION_BUS_ADDRESS"] = f"unix:path={address}"

    def keyring(self, locked=False):
        """A bus and on it gnome-keyring, with a login collection; returns the daemon."""
        self.bus()
        daemon = self.provider()
        if locked:
            self.secrets("Service.Lock", f"array:objpath:{LOGIN}")
            until("a locked keyring", self.locked)
        return daemon

    def provider(self):
        """Starts gnome-keyring, again perhaps: what it held it still holds."""
        # The daemon's home is its own, so that a test sees what Keywright writes to the person's.
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

    def locked(self):
        return "boolean true" in self.secrets(
            "org.freedesktop.DBus.Properties.Get", "string:org.freedesktop.Secret.Collection",
            "string:Locked", path=LOGIN,
        )

    def lookup(self, server, label):
        """The key under a label, as any other tool reads it; empty when there is none."""
        service = "keywright/" + server.removeprefix("http://")
        return self.run("secret-tool", "lookup", "service", service, "username", label)[1].strip()

    def attempts(self):
        """The secrets of the attempts under way, as the keychain holds them."""
        _, shown, _ = self.run("secret-tool", "search", "--all", "service", "keywright-attempts")
        return [json.loads(found) for found in re.findall(r"^secret = (\{.*\})$", shown, re.M)]

    # --- the display, the server, the browser

    def display(self):
        """An X server without a screen."""
        read, write = os.pipe()
        argv = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1024x768x24", "-noreset"]
        self.spawn([*argv, "-nolisten", "tcp"], "display.log", pass_fds=(write,))
        os.close(write)
        with os.fdopen(read, encoding="ascii") as said:
            # The number is written once the server takes connections.
            number = said.readline().strip()
        assert number, f"no X server: {self.read('display.log')}"
        self.env["DISPLAY"] = f":{number}"

    def clipboard(self):
        """What the X clipboard holds; empty when it holds nothing."""
        return self.run("xclip", "-out", "-selection", "clipboard")[1]

    def sandbox(self):
        """Starts `keywright sandbox`; its address and its management key."""
        server = self.spawn(["keywright", "sandbox"], "sandbox.log", stdout=subprocess.PIPE)
        listening, management = (server.stdout.readline().decode().strip() for _ in range(2))
        return (
            listening.removeprefix("listening on "),
            management.removeprefix("management key: "),
        )

    def chromium(self, click="#authorize"):
        """A browser, and a `$BROWSER` that has it press a button on the consent page."""
        self.browser = Browser(self)
        driver = [sys.executable, os.path.join(HERE, "browser.py"), self.browser.session]
        self.be_browser(f'exec {shlex.join(driver)} "$1" {shlex.quote(click)}')
        return self.browser

    def be_browser(self, command=":"):
        """Makes a `$BROWSER` that notes what it is told to open, and then does `command`."""
        note = f"printf '%s\\n' \"$1\" >>{shlex.quote(self.path('opened'))}"
        script = f"#!/bin/sh\n{note}\nexec >>{self.path('browser.log')} 2>&1\n{command}\n"
        self.env["BROWSER"] = self.write("browser.sh", script, 0o700)

    def opened(self):
        """The addresses that `$BROWSER` was told to open."""
        return self.read("opened").split()

    # --- a command that waits for consent

    def new(self, server, *arguments, limit=None, **env):
        """Starts `keywright new … --no-open`; the process, once its address is known."""

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

    def cut(self, server, label, *arguments):
        """Cuts a key without a browser; the key."""
        new = self.new(server, label, *arguments)
        equal(fetch(consent(new.address))[0], 200)
        equal(new.wait(timeout=15), 0)
        return self.lookup(server, label)

    def addresses(self):
        """The addresses that stand on lines of their own on standard error."""
        return re.findall(r"^(http\S+)\n", self.read("new.err"), re.M)

    # --- the end

    def evidence(self):
        """What can be seen now, for the report of a failure."""
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
        # Or the shell would switch bracketed paste on and off as well.
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
        # Before anything is started, so that every byte written to the terminal is in it.
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
        """The screen as running text, wherever its lines were broken."""
        return " ".join(self.screen().split())

    def written(self):
        """Every byte that was written to the terminal."""
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
        """Waits until the shell is at its prompt again."""
        self.wait(r"^\$$", within)

    def wait_gone(self, words, within=10):
        until(f"{words!r} gone", lambda: words not in self.words(), within)

    def type(self, text):
        self.tmux("send-keys", "-l", "--", text)

    def press(self, *keys):
        """Keys by the names that tmux gives them."""
        self.tmux("send-keys", "--", *keys)

    def paste(self, text):
        """A paste as a terminal makes one, bracketed where the program asked for that."""
        self.tmux("set-buffer", "-b", "pasted", "--", text)
        self.tmux("paste-buffer", "-p", "-d", "-b", "pasted")

    def command(self, line):
        # What is typed before the prompt would be shown twice.
        self.wait_shell()
        self.type(line)
        self.press("Enter")

    def dashboard(self, *arguments):
        """Starts the dashboard and waits for its first screen."""
        self.command(shlex.join(["keywright", *arguments]))
        self.wait(r"^ Keywright · (keys|\d+ keys? stored)")

    def pid(self):
        """The process of the program in the foreground."""
        shell = int(self.ask("#{pane_pid}"))
        children = [pid for pid, parent in parents().items() if parent == shell]
        found = [pid for pid in children if program(pid) == "keywright"]
        assert len(found) == 1, f"in the pane run {[program(pid) for pid in children]}"
        return found[0]

    def fill(self, label, limit="", reset="", expires=""):
        """Opens the form, types what a person would, and submits."""
        self.press("n")
        self.wait("a new key")
        # What a field is prefilled with stays where nothing is typed.
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
        """What lies in the buffers of this tmux."""
        names = self.tmux("list-buffers", "-F", "#{buffer_name}", check=False).split()
        return [self.tmux("show-buffer", "-b", name) for name in names]


# --- the server, as anybody asks it


def fetch(url, key=None, data=None, redirect=True):
    """One request: its status, its headers, its body."""

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
    """What comes back for a JSON document that is sent."""
    request = urllib.request.Request(url, data=json.dumps(document).encode())
    request.add_header("Authorization", f"Bearer {key}")
    request.add_header("Content-Type", "application/json")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        return json.load(answer)


def whoami(server, key):
    """What the server says of a key, or its status when it does not know it."""
    status, _, body = fetch(f"{server}/api/v1/key", key)
    return json.loads(body)["data"] if status == 200 else status


def names(server, management):
    """The names of the keys on the account."""
    _, _, body = fetch(f"{server}/api/v1/keys", management)
    return [row["name"] for row in json.loads(body)["data"]]


def query(address):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query))


def consent(address, decision="approve"):
    """What the consent page answers to a decision: where it leads back to."""
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
    """Every run of eight characters of a key that its mask (`sk-or-v1-0e6...1c96`) leaves out.

    The screen is drawn where it differs from what stood there, so a key that was shown may be in
    the output in parts."""
    secret = key.removeprefix("sk-or-v1-")
    return [secret[n : n + 8] for n in range(len(secret) - 7)]


def shows(output, key):
    """Whether part of a key can be read in it."""
    return any(piece.encode() in output for piece in pieces(key))


def forms(secret):
    """A secret as it could lie somewhere: as it is, in base64, in hexadecimal, percent-encoded,
    escaped as JSON may be, as a list of numbers."""
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
        # Where it does not begin at a multiple of three, its first and last characters depend on
        # what stands beside it.
        for before in range(3):
            text = encode(b"\0" * before + raw).rstrip(b"=")
            yield text[4 if before else 0 : -2]


def leaks(content, secrets):
    """Which of these named secrets can be found in it, in whatever form."""
    return [name for name, secret in secrets.items() if any(f in content for f in forms(secret))]


def files(folder):
    """The content of every file below."""
    for place, _, names_ in os.walk(folder):
        for name in names_:
            path = os.path.join(place, name)
            if os.path.isfile(path):
                with open(path, "rb") as file:
                    yield path, file.read()
