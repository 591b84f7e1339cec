"""A private Wine prefix in which programs for Windows run."""

import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
GCC = "x86_64-w64-mingw32-gcc"


def find(name):
    """Returns Debian's program itself: the script on PATH asks for a Wine of 32 bits each time."""
    path = f"/usr/lib/wine/{name}"
    return path if os.path.exists(path) else name


WINE, SERVER = find("wine64"), find("wineserver")


class Prefix:
    """A fresh prefix; its files and its server end with it."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="keywright-wine-")
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": self.dir,
            "LANG": "C.UTF-8",
            "WINEPREFIX": self.path("prefix"),
            "WINELOADER": WINE,
            "WINEDEBUG": "-all",
            # Neither .NET nor an HTML engine is installed into it. Without a display the clipboard would
            # wait for the desktop of explorer.exe.
            "WINEDLLOVERRIDES": "mscoree,mshtml,explorer.exe=",
        }
        subprocess.run([WINE, "wineboot", "-i"], env=self.env, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=180, check=True)
        # Keeps the server between the programs: starting it takes longer than most of them.
        subprocess.run([SERVER, "-p600"], env=self.env, stderr=subprocess.DEVNULL, check=False)
        system = self.path("prefix", "drive_c", "windows", "system32")
        compile_c("prng.c", os.path.join(system, "bcryptprimitives.dll"), "-shared", "-ladvapi32")

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def run(self, *argv, within=60, text=None, cwd=None, **env):
        """Runs a program to its end; returns its exit code (of 8 bits), its output and its errors."""
        ended = subprocess.run([WINE, *argv], env={**self.env, **env}, cwd=cwd or self.dir,
                               input="" if text is None else text, capture_output=True,
                               encoding="utf-8", errors="replace", timeout=within, check=False)
        return ended.returncode, ended.stdout, ended.stderr

    def start(self, *argv, **options):
        """Starts a program."""
        env = {**self.env, **options.pop("env", {})}
        pipes = {name: subprocess.PIPE for name in ("stdin", "stdout", "stderr")}
        return subprocess.Popen([WINE, *argv], env=env, cwd=self.dir, encoding="utf-8",
                                errors="replace", **{**pipes, **options})

    def close(self):
        subprocess.run([SERVER, "-k"], env=self.env, stderr=subprocess.DEVNULL, check=False)
        subprocess.run([SERVER, "-w"], env=self.env, stderr=subprocess.DEVNULL, timeout=30,
                       check=False)
        subprocess.run(["rm", "-rf", self.dir], check=False)


def compile_c(source, program, *options):
    """Builds a program or a library for Windows from a file of this directory."""
    subprocess.run([GCC, "-municode", "-Wall", "-O1", "-o", program, os.path.join(HERE, source), *options]
                   if "-shared" not in options else
                   [GCC, "-Wall", "-O1", "-o", program, os.path.join(HERE, source), *options], check=True)


if __name__ == "__main__":
    # For trying things by hand: python3 tests/wine/prefix.py PROGRAM.exe …
    prefix = Prefix()
    try:
        sys.exit(subprocess.run([WINE, *sys.argv[1:]], env=prefix.env, check=False).returncode)
    finally:
        prefix.close()
