"""Tests of the shell installer."""

import os
import shutil
import stat

from world import VERSION, contains, equal, release, test


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
} | {f"share/keywright/credential-helpers/{helper.name}" for helper in release.HELPERS}


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
    for path in INSTALLED:
        executable = "bin/" in path or "credential-helpers/" in path
        equal((path, stat.S_IMODE((local / path).stat().st_mode)), (path, 0o755 if executable else 0o644))
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
