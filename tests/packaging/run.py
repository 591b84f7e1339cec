#!/usr/bin/env python3
"""Tests of the release script, the package files and the shell installer.

    python3 tests/packaging/run.py [WORD...]

The installer runs against a release directory served on loopback, with a program that only prints its
version. Needs minisign, openssl, curl and tree-sitter-powershell (PyPI); PKGBUILD is checked where bash is, the formula where ruby is.
The last line is the summary.
"""

import shutil
import sys
import traceback

from world import World, tests
import test_installer  # noqa: F401  registers its tests
import test_powershell  # noqa: F401  registers its tests
import test_release  # noqa: F401  registers its tests


def run(function):
    """Runs one test; returns whether it passed."""
    world, failure = World(), None
    try:
        function(world)
    except Exception:  # The summary must be printed whatever a test raises.
        failure = traceback.format_exc()
    finally:
        world.close()
    print(f"{'FAILED' if failure else 'ok    '}  {function.__name__.replace('_', ' ')}", flush=True)
    if failure:
        print(failure, flush=True)
    return failure is None


def main():
    missing = [name for name in ("bash", "curl", "minisign", "openssl") if shutil.which(name) is None]
    if missing:
        sys.exit(f"not found: {', '.join(missing)}")
    words = sys.argv[1:]
    results = [run(function) for function in tests
               if not words or any(word in function.__name__ for word in words)]
    print(f"{results.count(True)} passed, {results.count(False)} failed")
    sys.exit(0 if results and all(results) else 1)


main()
