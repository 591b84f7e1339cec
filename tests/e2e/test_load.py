"""Many at once: programs on one vault, and strangers at the callback.

    FLOOD=100000 python3 tests/e2e/run.py flood

is the long run; by itself the flood is a tenth of that.
"""

import hashlib
import json
import os
import socket
import threading
import time

from rig import consent, equal, fetch, port_of, query, test, until, whoami
from test_soak import reading
from test_vault import file_store

FLOOD = int(os.environ.get("FLOOD", 10_000))
HANDS = 8


def many_at_once(world, server):
    """Eight keys are cut at once, then read forty times at once."""
    began = time.monotonic()
    cuts = []
    for n in range(8):
        log = f"new{n}.err"
        cuts.append((f"key {n}", log, world.spawn(
            ["keywright", "--server", server, "new", f"key {n}", "--no-open"], log)))

    def address(log):
        return next((line for line in world.read(log).splitlines() if line.startswith("http")), None)

    for _, log, _ in cuts:
        url = until("the address", lambda log=log: address(log), within=30)
        threading.Thread(target=fetch, args=(consent(url),), daemon=True).start()
    for label, log, process in cuts:
        equal((label, process.wait(timeout=60), world.read(log)[-200:] if process.returncode else ""),
              (label, 0, ""))
    cut = time.monotonic() - began
    rows = {row["label"]: row["hash"] for row in json.loads(
        world.keywright("list", "--json", "--server", server)[1])}
    equal(sorted(rows), [label for label, _, _ in cuts])
    began = time.monotonic()
    gets = []
    for n in range(40):
        out = world.path(f"get{n}")
        with open(out, "wb") as to:
            gets.append((f"key {n % 8}", out, world.spawn(
                ["keywright", "--server", server, "get", f"key {n % 8}"], "get.err", stdout=to)))
    for label, out, process in gets:
        equal((label, process.wait(timeout=60)), (label, 0))
        with open(out, encoding="ascii") as got:
            key = got.read().strip()
        equal((label, hashlib.sha256(key.encode()).hexdigest()), (label, rows[label]))
        assert isinstance(whoami(server, key), dict), label
    print(f"        eight new in {cut:.2f} s, forty get in {time.monotonic() - began:.2f} s", flush=True)
    equal(world.read("get.err"), "")


@test
def eight_are_cut_at_once_and_forty_read_at_once_with_the_keychain(world):
    world.keyring()
    server, _ = world.sandbox()
    many_at_once(world, server)
    equal(world.attempts(), [])


@test
def eight_are_cut_at_once_and_forty_read_at_once_with_the_file_store(world):
    file_store(world)
    server, _ = world.sandbox()
    many_at_once(world, server)


@test
def the_callback_is_answered_in_a_flood_and_memory_stays_as_it_was(world):
    world.keyring()
    server, _ = world.sandbox()
    new = world.new(server, "flooded")
    port = port_of(new.address)
    path = query(new.address)["callback_url"].partition(str(port))[2]
    kinds = [
        f"GET /callback/{'A' * 43}?code=x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
        f"GET {path}?code= HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n",
        f"POST {path}?code=x HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 9\r\n\r\n",
        f"GET {path}?code=x HTTP/1.1\r\nHost: attacker.example\r\n\r\n",
        "\x16\x03\x01 nothing of the kind\r\n\r\n",
    ]
    sent, answered, over = [0] * HANDS, [0] * HANDS, []

    def flood(hand):
        while not over:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as stranger:
                    sent[hand] += 1
                    stranger.sendall(kinds[sent[hand] % len(kinds)].encode())
                    answered[hand] += bool(stranger.recv(64))
            except OSError:
                pass

    hands = [threading.Thread(target=flood, args=(hand,), daemon=True) for hand in range(HANDS)]
    readings = []
    began = time.monotonic()
    for hand in hands:
        hand.start()
    for quarter in range(1, 5):
        until("the flood", lambda: sum(sent) >= FLOOD * quarter // 4, within=600)
        readings.append(reading(new.pid))
    back = consent(new.address)
    asked = time.monotonic()
    equal(fetch(back)[0], 200)
    took = time.monotonic() - asked
    over.append(True)
    equal(new.wait(timeout=15), 0)
    flooded = time.monotonic() - began
    for hand in hands:
        hand.join(timeout=10)
    print(f"        {sum(sent)} requests in {flooded:.1f} s, {sum(answered)} answered; the real one in "
          f"{took * 1000:.0f} ms; RSS in KiB {[one['RSS in KiB'] for one in readings]}", flush=True)
    assert took < 5, f"answered after {took:.1f} s"
    # The address stands alone: a flood is nothing to be told about line by line.
    assert len(world.read("new.err")) < 4096, world.read("new.err")[:4096]
    assert readings[-1]["RSS in KiB"] - readings[0]["RSS in KiB"] < 1024, readings
    assert readings[-1]["descriptors"] < 60 and readings[-1]["threads"] <= readings[0]["threads"], readings
    assert isinstance(whoami(server, world.lookup(server, "flooded")), dict)
