"""Credential helpers as the store: those of this repository, and Docker's own over pass."""

import json
import os
import re

from rig import ROOT, consent, contains, equal, fetch, test

HELPERS = os.path.join(ROOT, "assets", "credential-helpers")


def add_helpers(world):
    for name in os.listdir(HELPERS):
        os.symlink(os.path.join(HELPERS, name), world.path("bin", name))


def add_pass(world):
    """Creates a password store with a key of GnuPG that has no passphrase."""
    world.env["GNUPGHOME"] = world.mkdir("gpg")
    batch = ["gpg", "--batch", "--quiet", "--passphrase", ""]
    equal(world.run(*batch, "--quick-generate-key", "keys@example.com", "rsa2048", "encrypt", "never")[0], 0)
    equal(world.run("pass", "init", "keys@example.com")[0], 0)


def check_store(world, program, label="my key"):
    """Creates, reads, renames, moves and removes keys with the helper; returns server and key."""
    store = f"exec:{program}"
    world.keyring()
    server, _ = world.sandbox()
    options = ("--server", server, "--store", store)

    def run(*command, code=0):
        ended, out, err = world.keywright(*command, *options)
        equal((command, ended, err if ended != code else ""), (command, code, ""))
        return out

    new = world.new(server, label, "--store", store)
    equal(fetch(consent(new.address))[0], 200)
    equal(new.wait(timeout=30), 0)
    key = run("get", label).strip()
    contains(key, "sk-or-v1-")
    equal(json.loads(run("show", label, "--json"))["store"], store)
    # Without the option a key is looked for where the inventory says.
    equal(world.keywright("get", label, "--server", server), (0, f"{key}\n", ""))
    # The keychain has neither the key nor a secret of the attempt.
    equal((world.lookup(server, label), world.attempts()), ("", []))
    run("rename", label, "other")
    equal(run("get", "other").strip(), key)
    run("get", label, code=3)
    out = world.keywright("store", "move", "--to", "os", "--server", server)
    equal((out[0], out[2]), (0, ""))
    equal(world.lookup(server, "other"), key)
    run("get", "other", code=3)
    # No argument of any program has the key.
    traced = world.path("exec.trace")
    move = ("keywright", "store", "move", "--to", store, "other", "--server", server)
    ended = world.run("strace", "-f", "-qqq", "-s", "4096", "-e", "trace=execve", "-o", traced, *move)
    equal((ended[0], ended[2]), (0, ""))
    equal([line for line in world.read("exec.trace").splitlines() if key in line], [])
    equal(world.lookup(server, "other"), "")
    equal(run("get", "other").strip(), key)
    run("rm", "other", "--yes")
    run("get", "other", code=3)
    run("trash", "restore", "other")
    equal(run("get", "other").strip(), key)
    return server, key


@test
def pass_stores_keys_through_the_script(world):
    add_helpers(world)
    add_pass(world)
    server, key = check_store(world, "docker-credential-keywright-pass", label="it's; mine $HOME/..")
    entry = server.replace("://", "/")
    shown = world.run("pass", "show", f"keywright/{entry}/keywright/default/other")
    equal((shown[0], shown[1].splitlines()[0]), (0, key))
    code, out, _ = world.run("docker-credential-keywright-pass", "list")
    equal((code, json.loads(out)), (0, {f"{server}/keywright/default/other": "other"}))
    # Whatever gpg says, the answer is a sentence.
    world.env["GNUPGHOME"] = world.mkdir("empty")
    code, out, err = world.keywright("get", "other", "--server", server)
    equal((code, out), (4, ""))
    contains(err, "docker-credential-keywright-pass refused `get`")


@test
def age_and_git_share_keys_between_two_machines(world):
    add_helpers(world)
    git = ("git", "-c", "init.defaultBranch=main")
    world.env.update(
        GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@example.com",
        GIT_COMMITTER_NAME="a", GIT_COMMITTER_EMAIL="a@example.com",
    )
    recipients = ""
    for person in ("one", "two"):
        world.run("age-keygen", "-o", world.path(f"{person}.txt"))
        recipients += re.search(r"public key: (\S+)", world.read(f"{person}.txt"))[1] + "\n"
    equal(world.run(*git, "init", "--bare", "-q", world.path("remote"))[0], 0)
    for person in ("one", "two"):
        equal(world.run(*git, "clone", "-q", world.path("remote"), world.path(person))[0], 0)
        if person == "one":
            world.write("one/recipients", recipients)
            commit = "git add recipients && git commit -qm start && git push -q origin HEAD"
            equal(world.run("sh", "-c", f"cd {world.path('one')} && {commit}")[0], 0)
    world.env.update(AGE_STORE_DIR=world.path("one"), AGE_IDENTITY=world.path("one.txt"))
    server, key = check_store(world, "docker-credential-keywright-age")
    # The colleague has the same key.
    url = f"{server}/keywright/default/other"
    colleague = {"AGE_STORE_DIR": world.path("two"), "AGE_IDENTITY": world.path("two.txt")}
    code, out, _ = world.run("sh", "-c", f"printf %s '{url}' | docker-credential-keywright-age get", **colleague)
    equal((code, json.loads(out)["Secret"]), (0, key))
    code, out, _ = world.run("docker-credential-keywright-age", "list", **colleague)
    equal(json.loads(out), {url: "other"})
    search = f"git -C {world.path('one')} log -p --all --text | grep -c {key}"
    equal(world.run("sh", "-c", search)[1], "0\n")
    # What cannot be pushed is not stored.
    os.rename(world.path("remote"), world.path("away"))
    before = world.run("git", "-C", world.path("one"), "rev-parse", "HEAD")
    code, _, err = world.keywright(
        "rename", "other", "third", "--server", server, "--store", "exec:docker-credential-keywright-age",
    )
    equal((code, world.run("git", "-C", world.path("one"), "rev-parse", "HEAD")), (4, before))
    contains(err, "refused")


@test
def the_credential_helper_of_docker_for_pass_is_a_store(world):
    add_pass(world)
    server, key = check_store(world, "docker-credential-pass", label="ci.main-1")
    url = f"{server}/keywright/default/other"
    code, out, _ = world.run("docker-credential-pass", "list")
    equal((code, json.loads(out)), (0, {url: "other"}))
    code, out, _ = world.run("sh", "-c", f"printf %s '{url}' | docker-credential-pass get")
    equal(json.loads(out), {"ServerURL": url, "Username": "other", "Secret": key})
    code, out, err = world.keywright("doctor", "--server", server, "--store", "exec:docker-credential-pass")
    contains(out + err, "docker-credential-pass")
