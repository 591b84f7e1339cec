"""A data directory on a small disk of its own that is full or read-only. Needs root for the mount."""

import json
import os
import subprocess

from rig import contains, equal, fetch, names, post, test


def mount(world, *options):
    """Mounts the data directory with these options."""
    data = world.mkdir("data")
    kind = [] if "remount" in options[0] else ["-t", "tmpfs"]
    command = ["mount", *kind, "-o", ",".join(options), "tmpfs", data]
    subprocess.run(command, check=True, capture_output=True)


def fill(world):
    """Leaves no byte free."""
    with open(world.path("data", "filler"), "ab", buffering=0) as filler:
        while True:
            try:
                filler.write(b"x" * 1024)
            except OSError:
                return


def prepare(world):
    """A keychain, a small disk with the keys `a` and `b`, and a key that is not stored yet."""
    mount(world, "size=256k", "mode=0700")
    world.keyring()
    server, management = world.sandbox()
    world.env.update(
        KEYWRIGHT_DATA_DIR=world.path("data"), KEYWRIGHT_SERVER=server,
        OPENROUTER_MANAGEMENT_KEY=management,
    )
    for label in ("a", "b"):
        code, _, err = world.keywright("new", label)
        equal(code, 0)
        contains(err, "no browser is available: authorising with the management key\n")
    return server, management, post(f"{server}/api/v1/keys", management, {"name": "c"})["key"]


def nothing_changes(world, server, management, key):
    """Checks that every command that changes a key refuses to begin."""
    before = (world.keywright("list", "--json")[1], names(server, management), world.lookup(server, "a"))
    plan = world.write("plan.toml", '[[key]]\nlabel = "d"\n')
    for arguments in (
        ("rm", "a", "--yes"), ("rm", "a", "--revoke", "--yes"), ("disable", "a"), ("enable", "a"),
        ("rename", "a", "z"), ("rotate", "a"), ("new", "d"), ("apply", plan, "--yes"),
    ):
        code, out, err = world.keywright(*arguments)
        assert code == 1, f"{arguments}: {code} {out}{err}"
        assert "inventory" in err or "data" in err, f"{arguments}: {err}"
    ended = subprocess.run(
        ["keywright", "import", "c"], env=world.env, input=key, text=True, capture_output=True
    )
    equal(ended.returncode, 1)
    equal(world.lookup(server, "c"), "")
    after = (world.keywright("list", "--json")[1], names(server, management), world.lookup(server, "a"))
    equal(after, before)
    code, out, _ = world.keywright("doctor", "--json")
    checks = {check["name"]: check["status"] for check in json.loads(out)["checks"]}
    equal(checks["data directory"], "fail")


@test
def a_full_disk_changes_no_key_but_a_leaked_one_is_disabled(world):
    if os.geteuid() != 0:
        return
    server, management, key = prepare(world)
    try:
        fill(world)
        nothing_changes(world, server, management, key)
        code, out, err = world.keywright("list", "--refresh", "--json")
        equal(code, 1)
        contains(err, "not recorded")
        assert all(row["checked_at"] for row in json.loads(out)), out
        code, out, err = world.keywright("panic", "a", "--yes")
        equal(code, 1)
        contains(out, "'a' (")
        contains(out, "is disabled")
        rows = json.loads(fetch(f"{server}/api/v1/keys?include_disabled=true", management)[2])["data"]
        key_hash = json.loads(world.keywright("show", "a", "--json")[1])["hash"]
        equal({row["hash"]: row["disabled"] for row in rows}.get(key_hash), True)
        # With space again the rest is done.
        os.unlink(world.path("data", "filler"))
        equal(world.keywright("list", "--refresh")[0], 0)
        equal(world.keywright("rm", "a", "--revoke", "--yes")[0], 0)
        equal(world.lookup(server, "a"), "")
        rows = json.loads(fetch(f"{server}/api/v1/keys?include_disabled=true", management)[2])["data"]
        assert key_hash not in [row["hash"] for row in rows], rows
    finally:
        subprocess.run(["umount", "-l", world.path("data")], check=True)


@test
def a_read_only_disk_changes_no_key(world):
    if os.geteuid() != 0:
        return
    server, management, key = prepare(world)
    try:
        mount(world, "remount", "ro")
        nothing_changes(world, server, management, key)
    finally:
        subprocess.run(["umount", "-l", world.path("data")], check=True)
