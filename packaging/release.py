#!/usr/bin/env python3
"""The steps of a release. `just --list` shows the recipes that use them.

    release.py check [--dry-run]         version, changelog section, clean tree, free tag
    release.py check --tag TAG           the same in a checkout of the tag
    release.py stage BINARY              target/package: manual page and changelog for .deb and .rpm
    release.py archive TARGET BINARY OUT the archive of one target, the same bytes each time
    release.py sums OUT                  OUT/SHA256SUMS
    release.py fill OUT PUBLIC_KEY_FILE [--partial]
                                         installers and package files with the checksums of OUT
    release.py notes OUT                 OUT/NOTES.md from the changelog

Runs on Linux, macOS and Windows with Python alone.
"""

import gzip
import hashlib
import io
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from datetime import datetime, timezone
from email.utils import format_datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEMPLATES = ROOT / "packaging" / "templates"
STAGE = ROOT / "target" / "package"
COMPLETIONS = ("bash", "zsh", "fish", "elv", "ps1")
HELPERS = sorted((ROOT / "assets" / "credential-helpers").iterdir())


class Failure(Exception):
    """A reason why there is no release, with what to do."""


def version():
    return tomllib.loads((ROOT / "Cargo.toml").read_text("utf-8"))["package"]["version"]


def git(*arguments):
    ended = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)
    return ended.stdout.strip()


def release_time():
    """The time of the commit, or SOURCE_DATE_EPOCH: the same input gives the same archives."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct"))


def changelog_section(text, name):
    """Returns the text below `## [NAME]`, or None where there is no such section."""
    found = re.search(rf"^## \[{re.escape(name)}\].*\n([\s\S]*?)(?=^## \[|\Z)", text, re.M)
    return found and found[1].strip()


def notes():
    """Returns the changelog's section of this version, or else the unreleased one."""
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    return changelog_section(text, version()) or changelog_section(text, "Unreleased") or ""


def check(dry_run=False, tag=None):
    name = version()
    faults = []
    if not changelog_section((ROOT / "CHANGELOG.md").read_text("utf-8"), name):
        faults.append(f"CHANGELOG.md has no section [{name}]: rename [Unreleased] to "
                      f"[{name}] - {datetime.now(timezone.utc):%Y-%m-%d} and start a new one")
    if f'name = "keywright"\nversion = "{name}"' not in (ROOT / "Cargo.lock").read_text("utf-8"):
        faults.append("Cargo.lock has another version: run `cargo check` and commit Cargo.lock")
    if git("status", "--porcelain", "--untracked-files=no"):
        faults.append("there are changes that are not committed: commit them first")
    if tag and tag != f"v{name}":
        faults.append(f"the tag {tag} is not v{name}: raise `version` in Cargo.toml, or tag again")
    if not tag and git("tag", "--list", f"v{name}"):
        faults.append(f"the tag v{name} exists: raise `version` in Cargo.toml")
    if not (ROOT / "packaging" / "minisign.pub").exists():
        faults.append("packaging/minisign.pub is missing: commit the public key that verifies releases")
    if faults and not dry_run:
        raise Failure("\n".join(faults))
    for fault in faults:
        print(f"would stop a release: {fault}")
    print(f"version {name}")


def stage(binary):
    STAGE.mkdir(parents=True, exist_ok=True)
    manual = subprocess.run([binary, "man"], capture_output=True, check=True).stdout
    (STAGE / "keywright.1").write_bytes(manual)
    (STAGE / "keywright.1.gz").write_bytes(gzip.compress(manual, mtime=0))
    date = format_datetime(datetime.fromtimestamp(release_time(), timezone.utc))
    (STAGE / "changelog.debian").write_text(
        f"keywright ({version()}) unstable; urgency=medium\n\n"
        "  * See https://github.com/keywright/keywright/blob/main/CHANGELOG.md\n\n"
        f" -- The Keywright authors <keywright@users.noreply.github.com>  {date}\n", "utf-8")


def archive(target, binary, out):
    """Packs binary, manual page, completions and documents of one target."""
    windows = "windows" in target
    name = f"keywright-{version()}-{target}"
    files = {"keywright.exe" if windows else "keywright": Path(binary)}
    for document in ("LICENSE-MIT", "LICENSE-APACHE", "README.md", "CHANGELOG.md"):
        files[document] = ROOT / document
    for shell in COMPLETIONS:
        files[f"completions/keywright.{shell}"] = ROOT / "assets" / "completions" / f"keywright.{shell}"
    files["keywright.1"] = STAGE / "keywright.1"
    if not windows:  # They are shell scripts.
        files |= {f"credential-helpers/{helper.name}": helper for helper in HELPERS}
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    when = release_time()
    if windows:
        path = out / f"{name}.zip"
        stamp = datetime.fromtimestamp(when, timezone.utc).timetuple()[:6]
        with zipfile.ZipFile(path, "w") as packed:
            for inside, file in sorted(files.items()):
                entry = zipfile.ZipInfo(f"{name}/{inside}", stamp)
                packed.writestr(entry, file.read_bytes(), zipfile.ZIP_DEFLATED)
    else:
        path = out / f"{name}.tar.gz"
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as packed:
            for inside, file in sorted(files.items()):
                content = file.read_bytes()
                entry = tarfile.TarInfo(f"{name}/{inside}")
                entry.size, entry.mtime = len(content), when
                entry.mode = 0o755 if file == Path(binary) or file in HELPERS else 0o644
                packed.addfile(entry, io.BytesIO(content))
        path.write_bytes(gzip.compress(tar.getvalue(), mtime=0))
    print(path)


def sums(out):
    """Writes the checksums of the files that are published, in the format of sha256sum."""
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
             for file in sorted(Path(out).iterdir())
             if file.is_file() and file.suffix in (".gz", ".zip", ".deb", ".rpm", ".json", ".exe")]
    if not lines:
        raise Failure(f"{out} has no artefacts")
    (Path(out) / "SHA256SUMS").write_text("".join(lines), "utf-8", newline="\n")


def parse_sums(text):
    """Returns the checksum of each file name."""
    checksums = {}
    for line in text.splitlines():
        found = re.fullmatch(r"([0-9a-f]{64})  ([\w.+-]+)", line)
        if not found or found[2] in checksums:
            raise Failure(f"SHA256SUMS: not a line of checksum and name: {line!r}")
        checksums[found[2]] = found[1]
    return checksums


def parse_public_key(text):
    """Returns the key of a minisign public key file: its last line."""
    key = text.split("\n")[-2 if text.endswith("\n") else -1].strip()
    if not re.fullmatch(r"RW[\w+/]{54}", key):
        raise Failure("this is not a minisign public key file")
    return key


def fill_template(text, name, checksums, public_key):
    """Replaces `@VERSION@`, `@PUBLIC_KEY@` and `@SHA256:SUFFIX@`, where SUFFIX ends the name of an
    artefact: `x86_64-apple-darwin.tar.gz`."""
    def replace(found):
        kind, suffix = found[1], found[2]
        if kind == "VERSION":
            return name
        if kind == "PUBLIC_KEY":
            return public_key
        artefact = f"keywright-{name}-{suffix}"
        if artefact not in checksums:
            raise Failure(f"SHA256SUMS has no {artefact}")
        return checksums[artefact]

    return re.sub(r"@(VERSION|PUBLIC_KEY|SHA256):?([\w.-]*)@", replace, text)


def fill(out, public_key_file, partial=False):
    """Writes the installers and package files. With `partial`, those whose artefacts were not built
    here are named and left out."""
    out = Path(out)
    checksums = parse_sums((out / "SHA256SUMS").read_text("utf-8"))
    public_key = parse_public_key(Path(public_key_file).read_text("utf-8"))
    sources = [(ROOT / "packaging" / file, out / file) for file in ("install.sh", "install.ps1")]
    sources += [(file, out / "packages" / file.relative_to(TEMPLATES))
                for file in sorted(TEMPLATES.rglob("*")) if file.is_file()]
    for source, destination in sources:
        try:
            text = fill_template(source.read_text("utf-8"), version(), checksums, public_key)
        except Failure as failure:
            if not partial:
                raise
            print(f"left out: {destination.name}: {failure}")
            continue
        destination.parent.mkdir(parents=True, exist_ok=True)
        destination.write_text(text, "utf-8", newline="\n")
        destination.chmod(0o755 if destination.suffix == ".sh" else 0o644)


def main(arguments):
    match arguments:
        case ["check"]:
            check()
        case ["check", "--dry-run"]:
            check(dry_run=True)
        case ["check", "--tag", tag]:
            check(tag=tag)
        case ["stage", binary]:
            stage(binary)
        case ["archive", target, binary, out]:
            archive(target, binary, out)
        case ["sums", out]:
            sums(out)
        case ["fill", out, public_key_file, *options]:
            fill(out, public_key_file, "--partial" in options)
        case ["notes", out]:
            (Path(out) / "NOTES.md").write_text(notes() + "\n", "utf-8")
        case _:
            raise Failure(__doc__)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Failure as failure:
        sys.exit(f"error: {failure}")
