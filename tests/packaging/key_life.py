#!/usr/bin/env python3
"""A key from creation to removal in the keychain of this system, against the sandbox.

    python3 tests/packaging/key_life.py PROGRAM

Runs on Linux, macOS and Windows. On Linux it starts a private D-Bus session with gnome-keyring, on
macOS it uses a new keychain as the default one for the run. Each key is also read back by a
program of the system (secret-tool, security, cmdkey).
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.parse
import urllib.request

LABEL = "key life a"
MAC_KEYCHAIN = "keywright-test.keychain-db"


class StayHere(urllib.request.HTTPRedirectHandler):
    """Returns a redirect instead of following it."""

    def redirect_request(self, *_):
        return None


def open_page(address, data=None):
    handlers = [urllib.request.ProxyHandler({}), StayHere]
    try:
        with urllib.request.build_opener(*handlers).open(address, data=data, timeout=10) as page:
            return page.status, page.headers
    except urllib.error.HTTPError as page:
        return page.code, page.headers


def approve(address):
    """Approves on the sandbox's consent page and follows the redirect to the callback."""
    status, headers = open_page(address, b"decision=approve")
    assert status == 302, status
    status, _ = open_page(headers["Location"])
    assert status == 200, status


def check(what, got, expected):
    assert got == expected, f"{what}: got {got!r}, expected {expected!r}"
    print(f"ok      {what}", flush=True)


class KeyLife:
    def __init__(self, program, directory):
        self.program = program
        self.directory = directory
        self.env = {name: value for name, value in os.environ.items()
                    if not name.startswith(("KEYWRIGHT_", "OPENROUTER_"))}

    def start(self, *arguments):
        return subprocess.Popen([self.program, "--data-dir", self.directory, *arguments],
                                env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True, encoding="utf-8")

    def run(self, *arguments, code=0):
        ended = subprocess.run([self.program, "--data-dir", self.directory, *arguments],
                               env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
                               text=True, encoding="utf-8", timeout=60, check=False)
        assert ended.returncode == code, f"{arguments}: exit code {ended.returncode}\n{ended.stderr}"
        return ended.stdout

    def read_with_system(self, service):
        """Reads the key with a program of the system; on Windows cmdkey only lists its name."""
        if sys.platform == "darwin":
            command = ["security", "find-generic-password", "-s", service, "-a", LABEL]
        elif sys.platform == "win32":
            command = ["cmdkey", "/list"]
        else:
            command = ["secret-tool", "lookup", "service", service, "username", LABEL]
        ended = subprocess.run(command, env=self.env, stdin=subprocess.DEVNULL,
                               capture_output=True, text=True, timeout=30, check=False)
        return ended.returncode, ended.stdout

    def go(self):
        sandbox = self.start("sandbox")
        try:
            server = re.search(r"http://\S+", sandbox.stdout.readline())[0]
            self.walk(server)
        finally:
            sandbox.kill()
            sandbox.wait()

    def walk(self, server):
        service = f"keywright/{urllib.parse.urlsplit(server).netloc}"
        options = ("--server", server)
        new = self.start("new", LABEL, "--no-open", *options)
        seen = ""
        while not (address := re.search(r"^\s*(http://\S+/auth\S+)\s*$", seen, re.M)):
            line = new.stderr.readline()
            assert line, f"no address in: {seen}"
            seen += line
        approve(address[1])
        _, rest = new.communicate(timeout=60)
        check("new stores a key", (new.returncode, rest if new.returncode else ""), (0, ""))

        key = self.run("get", LABEL, *options).strip()
        check("another process reads it", key.startswith("sk-or-v1-"), True)
        code, text = self.read_with_system(service)
        expected = key if sys.platform.startswith("linux") else LABEL
        check("a program of the system finds it", (code, expected in text), (0, True))
        child = (sys.executable, "-c", "import os; print(os.environ['OPENROUTER_API_KEY'])")
        check("run passes it to a program", self.run("run", LABEL, *options, "--", *child).strip(), key)
        self.run("run", LABEL, *options, "--", sys.executable, "-c", "raise SystemExit(9)", code=9)
        check("run ends with the program's exit code", True, True)
        check("list names it", LABEL in self.run("list", *options), True)
        self.run("rm", LABEL, "--yes", *options)
        self.run("get", LABEL, *options, code=3)
        code, text = self.read_with_system(service)
        check("rm removes it from the keychain", key in text or LABEL in text, False)


def in_linux_session():
    """Runs this script again inside a private session with an unlocked keyring."""
    with tempfile.TemporaryDirectory() as home:
        env = dict(os.environ, KEYWRIGHT_KEY_LIFE_BUS="1", XDG_DATA_HOME=home, XDG_RUNTIME_DIR=home)
        script = 'printf "%s" password | gnome-keyring-daemon --unlock --components=secrets >/dev/null && exec "$@"'
        sys.exit(subprocess.run(["dbus-run-session", "--", "sh", "-c", script, "sh", sys.executable,
                                 *sys.argv], env=env, check=False).returncode)


def in_mac_keychain(run):
    """Runs with an unlocked keychain of its own as the default one."""
    def security(*arguments):
        return subprocess.run(["security", *arguments], check=True, capture_output=True, text=True).stdout

    before = security("default-keychain").strip().strip('"')
    searched = re.findall(r'"(.+)"', security("list-keychains", "-d", "user"))
    security("create-keychain", "-p", "password", MAC_KEYCHAIN)
    try:
        security("unlock-keychain", "-p", "password", MAC_KEYCHAIN)
        security("list-keychains", "-d", "user", "-s", MAC_KEYCHAIN, *searched)
        security("default-keychain", "-s", MAC_KEYCHAIN)
        run()
    finally:
        security("default-keychain", "-s", before)
        security("delete-keychain", MAC_KEYCHAIN)
        security("list-keychains", "-d", "user", "-s", *searched)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    program = shutil.which(sys.argv[1]) or sys.exit(f"not found: {sys.argv[1]}")
    if sys.platform.startswith("linux") and "KEYWRIGHT_KEY_LIFE_BUS" not in os.environ:
        in_linux_session()
    with tempfile.TemporaryDirectory() as directory:
        key_life = KeyLife(os.path.abspath(program), directory)
        if sys.platform == "darwin":
            in_mac_keychain(key_life.go)
        else:
            key_life.go()


main()
