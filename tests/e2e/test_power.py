"""A power failure at any moment loses no key: journal, inventory and file store stay readable.

strace records the writes, renames and syncs of one run. After each of these calls the disk may contain
any part of what was not synced: files without content, with half or with all of it, and a prefix of
the changes to the directory. The test builds each such disk and starts the program on it.
"""

import hashlib
import itertools
import json
import os
import re
import shutil

from rig import KEYWRIGHT, consent, equal, fetch, test, until
from test_file_store import file_store

CALL = re.compile(r"^\d+ +(\w+)\((.*)\) += (\S+)")
CALLS = "openat,write,ftruncate,fsync,fdatasync,rename,unlink,sendto,writev"


def text(quoted):
    """Decodes the \\xNN escapes of strace."""
    return bytes(int(pair, 16) for pair in re.findall(r"\\x([0-9a-f]{2})", quoted))


def record_calls(world, server, label):
    """Returns the calls of one run on the data directory, in order, and its milestones."""
    trace = world.path("trace")
    strace = ["strace", "-f", "-qqq", "-y", "-xx", "-s", "1000000", "-e", f"trace={CALLS}"]
    world.write("new.err", "")
    run = world.spawn(
        [*strace, "-o", trace, KEYWRIGHT, "--server", server, "new", label, "--no-open"], "new.err"
    )
    until("the address", lambda: world.addresses())
    equal(fetch(consent(world.addresses()[-1]))[0], 200)
    equal(run.wait(timeout=30), 0)
    data = world.path("data")
    calls, pending = [], {}
    with open(trace, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            thread = line.split()[0]
            if line.rstrip().endswith("<unfinished ...>"):
                pending[thread] = line[: line.rindex(" <unfinished")].rstrip()
                continue
            resumed = re.match(r"\d+ +<\.\.\. \w+ resumed>(.*)", line)
            if resumed:
                line = pending.pop(thread) + resumed[1]
            call = CALL.match(line)
            if not call or call[3].startswith("-"):
                continue
            name, arguments, result = call.groups()
            quoted = re.findall(r'"((?:\\x[0-9a-f]{2})*)"', arguments)
            file = re.search(r"<((?:\\x[0-9a-f]{2})+)>", arguments)
            file = text(file[1]).decode("utf-8", "replace") if file else ""
            if os.path.basename(file).startswith("#"):
                continue  # reserved space: a file without a name, which no disk shows
            if name in ("sendto", "writev"):
                if quoted and text(quoted[0]).startswith(b"POST /api/v1/auth/keys"):
                    calls.append(("sent",))
            elif name == "write" and re.match(r"1<", arguments):
                if b"and verified" in text(quoted[0]):
                    calls.append(("reported",))
            elif name == "openat" and "O_CREAT" in arguments:
                path = text(quoted[-1]).decode()
                if os.path.dirname(path) == data:
                    calls.append(("open", os.path.basename(path), "O_TRUNC" in arguments))
            elif name == "rename":
                old, new = (text(path).decode() for path in quoted[:2])
                if os.path.dirname(new) == data:
                    calls.append(("rename", os.path.basename(old), os.path.basename(new)))
            elif name == "unlink":
                path = text(quoted[0]).decode()
                if os.path.dirname(path) == data:
                    calls.append(("unlink", os.path.basename(path)))
            elif name == "write" and os.path.dirname(file) == data:
                calls.append(("write", os.path.basename(file), text(quoted[0])))
            elif name in ("fsync", "fdatasync") and file == data:
                calls.append(("syncdir",))
            elif name in ("fsync", "fdatasync") and os.path.dirname(file) == data:
                calls.append(("sync", os.path.basename(file)))
    return calls


def disks(calls, at_first):
    """Yields every possible disk, with the milestones passed before it."""
    inodes = dict(enumerate(at_first.values()))  # contents of the files
    synced = dict(inodes)  # contents that are certainly on disk
    names = dict(zip(at_first, inodes))  # the directory
    kept, changes = dict(names), []  # the directory on disk, and changes not yet synced
    passed = set()
    for call, *of in calls:
        if call in ("sent", "reported"):
            passed.add(call)
        elif call == "open":
            name, truncates = of
            if name not in names:
                inode = len(inodes)
                inodes[inode] = synced[inode] = b""
                names[name] = inode
                changes.append(("set", name, inode))
            elif truncates:
                inodes[names[name]] = b""
        elif call == "write":
            inodes[names[of[0]]] += of[1]
        elif call == "sync":
            synced[names[of[0]]] = inodes[names[of[0]]]
        elif call == "rename":
            names[of[1]] = names.pop(of[0])
            changes += [("move", *of)]
        elif call == "unlink":
            names.pop(of[0], None)
            changes.append(("drop", of[0]))
        elif call == "syncdir":
            kept, changes = dict(names), []
        for many in range(len(changes) + 1):
            folder = dict(kept)
            for how, name, *to in changes[:many]:
                if how == "set":
                    folder[name] = to[0]
                elif how == "move" and name in folder:
                    folder[to[0]] = folder.pop(name)
                elif how == "drop":
                    folder.pop(name, None)
            parts = []
            for name, inode in folder.items():
                old, new = synced[inode], inodes[inode]
                some = {old} if old == new else {old, new, new[: len(new) // 2], b""}
                parts.append([(name, content) for content in some])
            for disk in itertools.product(*parts):
                yield dict(disk), frozenset(passed)


@test
def every_disk_after_a_power_failure_is_readable_and_has_every_key(world):
    file_store(world)
    server, management = world.sandbox()
    first = world.new(server, "first")
    equal(fetch(consent(first.address))[0], 200)
    equal(first.wait(timeout=15), 0)
    data = world.path("data")
    at_first = {name: read(os.path.join(data, name)) for name in os.listdir(data)}
    calls = record_calls(world, server, "second")
    kinds = [call[0] for call in calls]
    assert {"open", "write", "sync", "rename", "syncdir", "sent", "reported"} <= set(kinds), set(kinds)
    _, _, body = fetch(f"{server}/api/v1/keys", management)
    born = {row["hash"] for row in json.loads(body)["data"] if row["name"] == "second"}
    equal(len(born), 1)

    seen = set()
    for disk, passed in disks(calls, at_first):
        # Lock files are empty, and temporary files are never read.
        disk = {name: c for name, c in disk.items() if name.endswith(".json") or name == "vault.age"}
        mark = (frozenset((name, hashlib.sha256(c).digest()) for name, c in disk.items()), passed)
        if mark in seen:
            continue
        seen.add(mark)
        folder = world.path("disk")
        shutil.rmtree(folder, ignore_errors=True)
        os.mkdir(folder, 0o700)
        for name, content in disk.items():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(content)
        here = {"KEYWRIGHT_DATA_DIR": folder, "KEYWRIGHT_SERVER": server, "KEYWRIGHT_RETRIES": "0"}
        context = {name: len(content) for name, content in disk.items()}, sorted(passed)
        code, out, err = world.keywright("recover", "--json", **here)
        assert code in (0, 7), (context, code, err)
        keys = {}
        for label in ("first", "second"):
            code, key, err = world.keywright("get", label, **here)
            assert code in (0, 3), (context, code, err)
            keys[label] = hashlib.sha256(key.strip().encode()).hexdigest() if code == 0 else None
        assert keys["first"], context
        unresolved = [one["label"] for one in json.loads(out)["unresolved"]]
        if "sent" in passed:
            assert keys["second"] in born or unresolved == ["second"], (context, unresolved)
        if "reported" in passed:
            assert keys["second"] in born, context
    assert len(seen) > 12, len(seen)
    # Proves that the test would notice a missing sync.
    without_sync = disks([call for call in calls if call[0] != "sync"], at_first)
    assert any(disk.get("vault.age") == b"" for disk, _ in without_sync)
    print(f"        {len(calls)} calls, {len(seen)} disks")


def read(path):
    with open(path, "rb") as file:
        return file.read()
