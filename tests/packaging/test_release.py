"""Tests of the release script and of the package files."""

import json
import re
import shutil
import subprocess

from world import ROOT, VERSION, contains, equal, release, test


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
