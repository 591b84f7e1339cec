"""The environment of one test: real programs, started privately and stopped again.

Everything a test starts is a descendant of the runner, including daemons, because the runner adopts
orphans. So `World.close` ends all descendants and needs no list of them.
"""

import json
import os
import re
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile

from browser import Browser
from pane import Pane  # noqa: F401  Tests import everything from here.
from support import (  # noqa: F401
    TimedOut, adopt_orphans, consent, contains, descendants, equal, fetch, files, forms, is_closed,
    leaks, names, parents, pieces, port_of, post, program, query, runs, shows, stop_descendants,
    until, whoami,
)

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
tests = []


def test(function):
    """Registers a test. Its name describes the behaviour it checks."""
    tests.append(function)
    return function


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
        with os.fdopen(read, encoding="ascii") as number_file:
            # The number is written once the server accepts connections.
            number = number_file.readline().strip()
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
        self.set_browser(f'exec {shlex.join(driver)} "$1" {shlex.quote(click)}')
        return self.browser

    def set_browser(self, command=":"):
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

    def screens_and_logs(self):
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
