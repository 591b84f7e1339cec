#!/usr/bin/env python3
"""Tests of the release script, the package files and the shell installer.

    python3 tests/packaging/run.py [WORD...]

The installer runs against a release directory served on loopback, with a program that only prints its
version. Needs minisign, openssl and curl; PKGBUILD is checked where bash is, the formula where ruby is.
The last line is the summary.
"""

import functools
import http.server
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
import traceback
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


def program(world, text, mode=0o755):
    """Writes an installed program."""
    path = world.home / ".local/bin/keywright"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


INSTALLED = {
    "bin/keywright", "share/bash-completion/completions/keywright", "share/zsh/site-functions/_keywright",
    "share/fish/vendor_completions.d/keywright.fish", "share/elvish/lib/keywright.elv",
    "share/man/man1/keywright.1",
}


def installed(top):
    return {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file()}


@test
def a_release_is_installed_and_uninstalled(world):
    world.release()
    code, out, err = world.install()
    equal((code, err), (0, ""))
    contains(out, f"Keywright {VERSION} is installed")
    contains(out, "is not in PATH")
    local = world.home / ".local"
    equal(installed(local), INSTALLED)
    equal(stat.S_IMODE((local / "bin/keywright").stat().st_mode), 0o755)
    equal(list(world.tmp.iterdir()), [])
    code, out, _ = world.install("--uninstall")
    equal((code, installed(local)), (0, set()))
    contains(out, "Keys in the keychain, the inventory and the configuration stay")
    code, out, _ = world.install("--uninstall")
    equal(code, 0)
    contains(out, "is not installed")


@test
def a_directory_with_spaces_is_used(world):
    world.release()
    to = world.home / "my programs é"
    code, _, err = world.install("--to", str(to))
    equal((code, err, installed(to)), (0, "", INSTALLED))


@test
def openssl_verifies_where_minisign_is_missing(world):
    world.release()
    world.without("minisign")
    code, out, err = world.install()
    equal((code, err), (0, ""))
    contains(out, "is installed")


@test
def wget_downloads_where_curl_is_missing(world):
    if not shutil.which("wget"):
        print("        wget is not installed: not tested")
        return
    world.release()
    world.without("curl")
    equal(world.install()[0], 0)


@test
def without_a_verifier_nothing_is_installed(world):
    world.release()
    world.without("minisign", "openssl")
    world.expect_refused("neither minisign nor OpenSSL 3 is installed")


@test
def without_a_downloader_nothing_is_installed(world):
    world.release()
    world.without("curl", "wget")
    world.expect_refused("neither curl nor wget is installed")


def with_each_verifier(world, words):
    world.expect_refused(words)
    world.without("minisign")
    world.expect_refused(words)


@test
def a_wrong_checksum_is_refused(world):
    world.release()
    content = bytearray(world.archive().read_bytes())
    content[len(content) // 2] ^= 1
    world.archive().write_bytes(content)
    world.expect_refused("the checksum of")


@test
def a_truncated_archive_is_refused(world):
    world.release()
    world.archive().write_bytes(world.archive().read_bytes()[:-100])
    world.expect_refused("the checksum of")


@test
def checksums_changed_with_the_archive_are_refused(world):
    world.release()
    world.archive().write_bytes(b"another program")
    release.sums(world.dist)
    with_each_verifier(world, "the signature of SHA256SUMS is not Keywright's")


@test
def the_signature_of_another_key_is_refused(world):
    world.release()
    world.sign(world.new_key("other")[1], f"keywright {VERSION}")
    with_each_verifier(world, "the signature of SHA256SUMS is not Keywright's")


@test
def a_changed_trusted_comment_is_refused(world):
    world.release()
    signature = world.dist / "SHA256SUMS.minisig"
    signature.write_text(signature.read_text().replace(f"keywright {VERSION}", "keywright 99.0.0"))
    with_each_verifier(world, "the signature of SHA256SUMS is not Keywright's")


@test
def a_truncated_signature_is_refused(world):
    world.release()
    signature = world.dist / "SHA256SUMS.minisig"
    whole = signature.read_bytes()
    for length in (0, 40, 120, len(whole) - 30):
        signature.write_bytes(whole[:length])
        world.expect_refused("the signature of SHA256SUMS is not Keywright's")
    world.without("minisign")
    for length in (0, 40, 120, len(whole) - 30):
        signature.write_bytes(whole[:length])
        world.expect_refused("the signature of SHA256SUMS is not Keywright's")


@test
def truncated_checksums_are_refused(world):
    world.release()
    sums = world.dist / "SHA256SUMS"
    sums.write_bytes(sums.read_bytes()[:100])
    with_each_verifier(world, "the signature of SHA256SUMS is not Keywright's")


@test
def a_missing_file_is_refused(world):
    world.release()
    for name in (world.archive().name, "SHA256SUMS.minisig", "SHA256SUMS"):
        (world.dist / name).unlink()
        world.expect_refused(f"/{name} could not be downloaded")


@test
def without_a_network_nothing_is_installed(world):
    world.release()
    world.expect_refused("could not be downloaded", url="http://127.0.0.1:1")


@test
def an_address_without_https_is_refused(world):
    world.release()
    for address in ("http://example.invalid", "ftp://127.0.0.1:1", "file:///tmp", "http://127.0.0.1.invalid:1"):
        world.expect_refused("is not an https address", url=address)


@test
def an_old_version_is_replaced(world):
    world.release()
    program(world, "#!/bin/sh\necho 'keywright 0.0.9'\n")
    code, out, _ = world.install()
    equal(code, 0)
    contains(out, f"Keywright {VERSION} replaces 0.0.9")
    equal(installed(world.home / ".local"), INSTALLED)


@test
def an_old_version_stays_when_the_release_is_refused(world):
    world.release()
    program(world, "#!/bin/sh\necho 'keywright 0.0.9'\n")
    world.archive().write_bytes(b"another program")
    world.expect_refused("the checksum of")


@test
def an_older_release_is_installed_only_by_its_version(world):
    world.release()
    program(world, "#!/bin/sh\necho 'keywright 99.10.0'\n")
    world.expect_refused(f"the release {VERSION} is older than the installed 99.10.0")
    world.expect_refused("not 1.2.3", "--version", "1.2.3")
    equal(world.install("--version", VERSION)[0], 0)


@test
def a_read_only_directory_is_refused(world):
    world.release()
    local = world.home / ".local"
    (local / "share").mkdir(parents=True)
    (local / "share").chmod(0o555)
    for path in (world.dir, world.home, world.tmp, world.dist, local):
        os.chown(path, 65534, -1) if os.getuid() == 0 else None
    world.dir.chmod(0o755)
    # Root can write everywhere, so the installer runs as nobody.
    user = 65534 if os.getuid() == 0 else None
    world.expect_refused("cannot be written to", user=user)


@test
def a_directory_that_is_a_file_is_refused(world):
    world.release()
    (world.home / ".local").write_text("a file")
    world.expect_refused("cannot be written to")


@test
def a_program_that_does_not_run_is_refused(world):
    world.release(printed="0.0.1")
    world.expect_refused("the program of this release does not run here")


@test
def a_truncated_installer_does_nothing(world):
    world.release()
    script = world.dist / "install.sh"
    lines = script.read_text().splitlines(keepends=True)
    before = world.files()
    for count in range(1, len(lines), 7):
        script.write_text("".join(lines[:count]))
        world.install()
        equal(world.files(), before)


# --- the release script


@test
def package_files_contain_the_checksums(world):
    world.release()
    checksums = release.parse_sums((world.dist / "SHA256SUMS").read_text())
    packages = world.dist / "packages"
    texts = {str(path.relative_to(packages)): path.read_text() for path in packages.rglob("*") if path.is_file()}
    for name, text in texts.items():
        assert not re.search(r"@[A-Z0-9_]+(:|@)", text), f"a placeholder is left in {name}"
        contains(text, VERSION)
    for file, target in (("aur/PKGBUILD", "aarch64-unknown-linux-musl.tar.gz"),
                         ("homebrew/keywright.rb", "aarch64-apple-darwin.tar.gz"),
                         ("scoop/keywright.json", "x86_64-pc-windows-msvc.zip"),
                         ("winget/Keywright.Keywright.installer.yaml", "x86_64-pc-windows-msvc.zip")):
        contains(texts[file], checksums[f"keywright-{VERSION}-{target}"])
    scoop = json.loads(texts["scoop/keywright.json"])
    equal(scoop["version"], VERSION)
    subprocess.run(["bash", "-n", packages / "aur/PKGBUILD"], check=True)
    if shutil.which("ruby"):
        subprocess.run(["ruby", "-c", packages / "homebrew/keywright.rb"], check=True, capture_output=True)


@test
def archives_have_the_same_bytes_each_time(world):
    world.release()
    first = world.archive().read_bytes()
    world.archive().unlink()
    world.release()
    equal(world.archive().read_bytes() == first, True)


@test
def a_missing_artefact_stops_the_release(world):
    world.release()
    (world.dist / f"keywright-{VERSION}-x86_64-apple-darwin.tar.gz").unlink()
    release.sums(world.dist)
    try:
        release.fill(world.dist, world.key[0])
    except release.Failure as failure:
        contains(str(failure), "SHA256SUMS has no keywright-")
    else:
        raise AssertionError("it was filled")


@test
def only_a_public_key_is_taken_as_one(world):
    good = world.key[0].read_text()
    assert release.parse_public_key(good).startswith("RW")
    for text in (world.key[1].read_text(), "", good[:-5]):
        try:
            release.parse_public_key(text)
        except release.Failure:
            continue
        raise AssertionError(text)


@test
def notes_are_the_section_of_the_version(_world):
    text = "# Changelog\n\n## [Unreleased]\n\n- next\n\n## [1.2.0] - 2026-01-01\n\n- new\n\n## [1.1.0]\n\n- old\n"
    equal(release.changelog_section(text, "1.2.0"), "- new")
    equal(release.changelog_section(text, "1.1.0"), "- old")
    equal(release.changelog_section(text, "1.3.0"), None)


def check_repository(world, **how):
    """Runs the checks of a release in a small repository; returns the faults."""
    root, release.ROOT = release.ROOT, world.dir / "repository"
    try:
        release.check(**how)
    except release.Failure as failure:
        return str(failure)
    finally:
        release.ROOT = root
    return ""


@test
def a_release_needs_a_section_a_free_tag_and_committed_files(world):
    root = world.mkdir("repository")
    files = {"Cargo.toml": '[package]\nname = "keywright"\nversion = "1.2.0"\n',
             "Cargo.lock": '[[package]]\nname = "keywright"\nversion = "1.2.0"\n',
             "CHANGELOG.md": "## [Unreleased]\n\n- new\n", "packaging/minisign.pub": "a key\n"}
    for name, text in files.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)

    def git(*arguments):
        who = ("-c", "user.name=t", "-c", "user.email=t@example.invalid")
        subprocess.run(["git", *who, *arguments], cwd=root, check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    contains(check_repository(world), "CHANGELOG.md has no section [1.2.0]")
    (root / "CHANGELOG.md").write_text("## [1.2.0]\n\n- new\n")
    contains(check_repository(world), "changes that are not committed")
    git("commit", "-qam", "second")
    equal(check_repository(world), "")
    git("tag", "v1.2.0")
    contains(check_repository(world), "the tag v1.2.0 exists")
    equal(check_repository(world, tag="v1.2.0"), "")
    contains(check_repository(world, tag="v1.3.0"), "the tag v1.3.0 is not v1.2.0")
    (root / "Cargo.toml").write_text(files["Cargo.toml"].replace("1.2.0", "1.3.0"))
    git("commit", "-qam", "third")
    faults = check_repository(world)
    contains(faults, "Cargo.lock has another version")
    contains(faults, "no section [1.3.0]")


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
