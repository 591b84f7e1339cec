"""What the tests of the packages share: a home, a release directory served on loopback, checks."""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(ROOT / "packaging"))

import release  # noqa: E402

TARGETS = ("x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl", "x86_64-apple-darwin",
           "aarch64-apple-darwin", "x86_64-pc-windows-msvc")
VERSION = release.version()
NEVER_CHANGED = "nothing was installed or changed"
tests = []


def test(function):
    """Registers a test. Its name describes the behaviour it checks."""
    tests.append(function)
    return function


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class World:
    """A release with its keys, a server on loopback and a home directory."""

    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="keywright-packaging-"))
        self.home = self.mkdir("home")
        self.tmp = self.mkdir("tmp")
        self.dist = self.mkdir("dist")
        self.env = {"PATH": os.environ["PATH"], "HOME": str(self.home), "TMPDIR": str(self.tmp)}
        handler = functools.partial(QuietHandler, directory=self.dist)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.key = self.new_key("key")

    def mkdir(self, name):
        path = self.dir / name
        path.mkdir()
        return path

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        subprocess.run(["chmod", "-R", "u+w", self.dir], check=True)
        shutil.rmtree(self.dir)

    def new_key(self, name):
        """Makes a signing key without a password; returns its public and its secret file."""
        public, secret = self.dir / f"{name}.pub", self.dir / name
        subprocess.run(["minisign", "-G", "-W", "-p", public, "-s", secret], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        return public, secret

    def release(self, printed=None):
        """Writes a signed release of all targets and fills the installers and package files."""
        binary = self.dir / "program"
        binary.write_text(f"#!/bin/sh\necho 'keywright {printed or VERSION}'\n")
        release.STAGE = self.dir / "stage"
        release.STAGE.mkdir(exist_ok=True)
        (release.STAGE / "keywright.1").write_text(".TH keywright 1\n")
        for target in TARGETS:
            with open(os.devnull, "w", encoding="utf-8") as quiet:
                standard, sys.stdout = sys.stdout, quiet
                try:
                    release.archive(target, binary, self.dist)
                finally:
                    sys.stdout = standard
        release.sums(self.dist)
        self.sign(self.key[1], f"keywright {VERSION}")
        release.fill(self.dist, self.key[0])

    def sign(self, secret, trusted):
        subprocess.run(["minisign", "-S", "-W", "-s", secret, "-t", trusted, "-m", self.dist / "SHA256SUMS"],
                       check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def archive(self):
        machine = "aarch64" if os.uname().machine in ("aarch64", "arm64") else "x86_64"
        return self.dist / f"keywright-{VERSION}-{machine}-unknown-linux-musl.tar.gz"

    def without(self, *names):
        """Limits PATH to links to every program but the named ones."""
        path = self.dir / f"path-{'-'.join(names)}"
        path.mkdir(exist_ok=True)
        for directory in reversed(self.env["PATH"].split(":")):
            for program in os.listdir(directory) if os.path.isdir(directory) else ():
                link = path / program
                if program not in names and not link.is_symlink():
                    link.symlink_to(os.path.join(directory, program))
        self.env["PATH"] = str(path)

    def install(self, *options, url=None, user=None):
        command = ["sh", self.dist / "install.sh", "--url", url or self.url, *options]
        ended = subprocess.run(command, env=self.env, stdin=subprocess.DEVNULL, capture_output=True,
                               text=True, timeout=60, check=False, user=user)
        return ended.returncode, ended.stdout, ended.stderr

    def files(self):
        """Everything in the home and the temporary directory, with its content."""
        return {path: path.read_bytes() if path.is_file() else None
                for top in (self.home, self.tmp) for path in top.rglob("*")}

    def expect_refused(self, words, *options, **how):
        before = self.files()
        code, out, err = self.install(*options, **how)
        equal((code, out), (1, ""))
        contains(err, words)
        contains(err, NEVER_CHANGED)
        equal(self.files(), before)


def equal(got, expected):
    assert got == expected, f"\n  got      {got!r}\n  expected {expected!r}"


def contains(text, words):
    assert words in text, f"not there: {words!r}\nin: {text!r}"
