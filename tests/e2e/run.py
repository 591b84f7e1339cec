#!/usr/bin/env python3
"""End-to-end tests with real components: a keychain, a display, a terminal, a browser.

    cargo build --release
    python3 tests/e2e/run.py [WORD...]

Runs every test whose name contains one of the words, or all tests. `KEYWRIGHT` names another
program to test; `SDK_PYTHON` a Python that has OpenRouter's official SDK (`pip install
openrouter`). Needs PyYAML and the Debian packages that `.ci/run` installs. The last line is the summary.
"""

import importlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import traceback

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import rig  # noqa: E402

PROGRAMS = (
    "age", "bash", "chromedriver", "chromium", "dbus-daemon", "dbus-monitor", "dbus-send", "direnv",
    "docker-credential-pass", "fish", "git", "gnome-keyring-daemon", "hyperfine", "man", "node", "openssl", "pass", "rg", "secret-tool", "ssh",
    "ssh-keygen", "strace", "tmux", "xclip", "Xvfb", "zsh",
)
SDK = "the official SDK works with the sandbox as OpenRouter documents it"


def run(function):
    """Runs one test; returns whether it passed."""
    name = function.__name__.replace("_", " ")
    began = time.monotonic()
    world = rig.World()
    failure = None
    try:
        function(world)
    except Exception:  # The summary must be printed whatever a test raises.
        failure = f"{traceback.format_exc()}{world.screens_and_logs()}"
    finally:
        world.close()
    took = time.monotonic() - began
    print(f"{'FAILED' if failure else 'ok    '}  {name} ({took:.1f} s)", flush=True)
    if failure:
        print(failure, flush=True)
    return failure is None


def run_sdk():
    """Runs the checks of `sdk.py`; returns how many passed and how many failed."""
    world = rig.World()
    try:
        server, management = world.sandbox()
        ended = subprocess.run(
            [rig.SDK_PYTHON, os.path.join(rig.HERE, "sdk.py"), server, management],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=120,
        )
    finally:
        world.close()
    tally = re.search(r"^(\d+) passed, (\d+) failed\n\Z", ended.stdout, re.M)
    passed, failed = (int(tally[1]), int(tally[2])) if tally else (0, 1)
    if ended.returncode != 0:
        failed = max(failed, 1)
    print(f"{'FAILED' if failed else 'ok    '}  {SDK}: {passed} checks", flush=True)
    if failed:
        print(ended.stdout, flush=True)
    return passed, failed


def main():
    missing = [name for name in (*PROGRAMS, rig.KEYWRIGHT) if shutil.which(name) is None]
    if missing:
        sys.exit(f"not found: {', '.join(missing)}")
    for name in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda number, _: sys.exit(128 + number))
    rig.adopt_orphans()
    for file in sorted(os.listdir(rig.HERE)):
        if file.startswith("test_"):
            importlib.import_module(file.removesuffix(".py"))
    words = sys.argv[1:]

    def is_selected(name):
        return not words or any(word in name for word in words)

    chosen = [function for function in rig.tests if is_selected(function.__name__.replace("_", " "))]
    results = [run(function) for function in chosen]
    passed, failed = results.count(True), results.count(False)
    if is_selected(SDK):
        more = run_sdk()
        passed, failed = passed + more[0], failed + more[1]
    # A run without tests counts as a failure.
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
