"""Removed keys with a real keychain: restored, and not lost when a removal is interrupted at any step."""

import json
import signal
import struct

from bus import BusGate
from rig import KEYWRIGHT, contains, equal, test


def account(world):
    world.keyring()
    server, management = world.sandbox()
    world.env.update(KEYWRIGHT_SERVER=server, OPENROUTER_MANAGEMENT_KEY=management)
    return server


def labels(world, *command):
    code, out, err = world.keywright(*command, "--json")
    assert code == 0, err
    document = json.loads(out)
    return [key["label"] for key in (document["trash"] if command[0] == "trash" else document)]


def in_trash(world, server):
    service = f"keywright/{server.split('//')[1]} trash"
    _, shown, shown_too = world.run("secret-tool", "search", "--all", "service", service)
    return (shown + shown_too).count("attribute.username")


@test
def a_removed_key_is_restored_with_its_text(world):
    server = account(world)
    world.create_key(server, "ci")
    key = world.lookup(server, "ci")
    code, out, _ = world.keywright("rm", "ci", "--yes")
    equal((code, world.lookup(server, "ci"), in_trash(world, server)), (0, "", 1))
    contains(out, "keywright trash restore ci")
    equal((labels(world, "trash", "list"), labels(world, "list")), (["ci"], []))
    contains(world.keywright("complete", "--", "trash", "restore")[1], "ci\t")
    equal(world.keywright("trash", "restore", "ci", "--as", "build")[0], 0)
    equal((world.lookup(server, "build"), in_trash(world, server)), (key, 0))
    equal((labels(world, "trash", "list"), labels(world, "list")), ([], ["build"]))
    # Another program deletes the text: the key is offered no more.
    equal(world.keywright("rm", "build", "--yes")[0], 0)
    service = f"keywright/{server.split('//')[1]} trash"
    world.run("secret-tool", "clear", "service", service)
    equal(labels(world, "trash", "list"), [])
    equal(world.keywright("trash", "restore", "build")[0], 3)


@test
def a_removal_or_restoration_killed_at_any_step_is_mended_by_doctor(world):
    server = account(world)
    world.create_key(server, "ci")
    key = world.lookup(server, "ci")
    killed = 0
    for command in (("rm", "ci", "--yes"), ("trash", "restore", "ci", "--as", "other")):
        for step in range(1, 200):
            # The state before: stored as 'ci', or in the trash.
            if command[0] == "trash" and "ci" in labels(world, "list"):
                equal(world.keywright("rm", "ci", "--yes")[0], 0)
            inject = f"inject=sendto,rename,renameat,renameat2:signal=KILL:when={step}"
            run = world.spawn(
                ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", inject, KEYWRIGHT, *command], "run.err"
            )
            was_killed = run.wait(timeout=30) == -signal.SIGKILL
            killed += was_killed
            if not world.secrets("Service.ReadAlias", "string:default").strip():
                # gnome-keyring can crash when its caller is killed during a call.
                world.provider()
            context = (command, step)
            code, out, _ = world.keywright("doctor", "--json", "--fix", within=60)
            stored = [check for check in json.loads(out)["checks"] if check["name"] == "stored keys"]
            equal((context, {check["status"] for check in stored}), (context, {"ok"}))
            listed, removed = labels(world, "list"), labels(world, "trash", "list")
            equal((context, len(listed) + len(removed)), (context, 1))
            equal((context, in_trash(world, server)), (context, len(removed)))
            equal((context, [name for name in ("ci", "other") if world.lookup(server, name)]), (context, listed))
            if removed:
                equal((context, world.keywright("trash", "restore", removed[0], "--as", "ci")[0]), (context, 0))
            elif listed != ["ci"]:
                equal((context, world.keywright("rename", listed[0], "ci")[0]), (context, 0))
            equal((context, world.lookup(server, "ci")), (context, key))
            if not was_killed:
                break
    assert killed > 10, killed


class LostReply(BusGate):
    """A bus that loses the reply to the first deletion."""

    serial = None

    def call(self, message):
        if message.member == "Delete" and self.serial is None:
            self.serial, = struct.unpack_from("<I", message.data, 8)
        return message.data

    def reply(self, message):
        return b"" if self.serial == message.fields.get(5) else message.data


@test
def a_key_whose_deletion_was_not_answered_is_in_the_trash(world):
    server = account(world)
    world.create_key(server, "ci")
    key = world.lookup(server, "ci")
    code, out, _ = world.keywright("rm", "ci", "--yes", **LostReply(world).env)
    equal((code, world.lookup(server, "ci")), (0, ""))
    contains(out, "keywright trash restore ci")
    equal(labels(world, "trash", "list"), ["ci"])
    equal(world.keywright("trash", "restore", "ci")[0], 0)
    equal(world.lookup(server, "ci"), key)


class BrokenBus(BusGate):
    """A bus that ends every connection from one message on."""

    def __init__(self, world, last):
        self.left = last
        super().__init__(world)

    def pass_on(self, message):
        self.left -= 1
        return message.data if self.left > 0 else None

    call = reply = pass_on


@test
def a_key_is_not_lost_when_the_bus_breaks_during_its_removal(world):
    server = account(world)
    world.create_key(server, "ci")
    key = world.lookup(server, "ci")
    for last in range(1, 60):
        code, _, _ = world.keywright("rm", "ci", "--yes", **BrokenBus(world, last).env)
        world.keywright("doctor", "--fix")
        if "ci" not in labels(world, "list"):
            equal((last, world.keywright("trash", "restore", "ci")[0]), (last, 0))
        equal((last, labels(world, "list"), world.lookup(server, "ci")), (last, ["ci"], key))
        if code == 0:
            break
    assert 20 < last < 59, last
