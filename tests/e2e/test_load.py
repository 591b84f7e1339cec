"""Load: concurrent programs on one secret store, and a flood of requests at the callback.

    FLOOD=100000 python3 tests/e2e/run.py flood

is the long run; the default flood is a tenth of it.
"""

import hashlib
import json
import os
import socket
import threading
import time

from rig import consent, equal, fetch, port_of, query, test, until, whoami
from test_soak import reading
from test_file_store import file_store

FLOOD = int(os.environ.get("FLOOD", 10_000))
THREADS = 8


def create_and_read_concurrently(world, server):
    """Creates eight keys concurrently, then reads them with forty concurrent programs."""
    began = time.monotonic()
    creations = []
    for n in range(8):
        log = f"new{n}.err"
        creations.append((f"key {n}", log, world.spawn(
            ["keywright", "--server", server, "new", f"key {n}", "--no-open"], log)))

    def address(log):
        return next((line for line in world.read(log).splitlines() if line.startswith("http")), None)

    for _, log, _ in creations:
        url = until("the address", lambda log=log: address(log), within=30)
        threading.Thread(target=fetch, args=(consent(url),), daemon=True).start()
    for label, log, process in creations:
        equal((label, process.wait(timeout=60), world.read(log)[-200:] if process.returncode else ""),
              (label, 0, ""))
    creation_time = time.monotonic() - began
    rows = {row["label"]: row["hash"] for row in json.loads(
        world.keywright("list", "--json", "--server", server)[1])}
    equal(sorted(rows), [label for label, _, _ in creations])
    began = time.monotonic()
    reads = []
    for n in range(40):
        out = world.path(f"get{n}")
        with open(out, "wb") as stdout:
            reads.append((f"key {n % 8}", out, world.spawn(
                ["keywright", "--server", server, "get", f"key {n % 8}"], "get.err", stdout=stdout)))
    for label, out, process in reads:
        equal((label, process.wait(timeout=60)), (label, 0))
        with open(out, encoding="ascii") as file:
            key = file.read().strip()
        equal((label, hashlib.sha256(key.encode()).hexdigest()), (label, rows[label]))
        assert isinstance(whoami(server, key), dict), label
    print(f"        eight new in {creation_time:.2f} s, forty get in {time.monotonic() - began:.2f} s", flush=True)
    equal(world.read("get.err"), "")


@test
def eight_keys_are_created_and_forty_read_concurrently_with_the_keychain(world):
    world.keyring()
    server, _ = world.sandbox()
    create_and_read_concurrently(world, server)
    equal(world.attempts(), [])


@test
def eight_keys_are_created_and_forty_read_concurrently_with_the_file_store(world):
    file_store(world)
    server, _ = world.sandbox()
    create_and_read_concurrently(world, server)


@test
def callback_is_answered_during_a_flood_and_memory_does_not_grow(world):
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
        "\x16\x03\x01 not an HTTP request\r\n\r\n",
    ]
    sent, answered, stop = [0] * THREADS, [0] * THREADS, []

    def flood(index):
        while not stop:
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
                    sent[index] += 1
                    client.sendall(kinds[sent[index] % len(kinds)].encode())
                    answered[index] += bool(client.recv(64))
            except OSError:
                pass

    threads = [threading.Thread(target=flood, args=(n,), daemon=True) for n in range(THREADS)]
    samples = []
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for quarter in range(1, 5):
        until("the flood", lambda: sum(sent) >= FLOOD * quarter // 4, within=600)
        samples.append(reading(new.pid))
    callback_url = consent(new.address)
    sent_at = time.monotonic()
    equal(fetch(callback_url)[0], 200)
    took = time.monotonic() - sent_at
    stop.append(True)
    equal(new.wait(timeout=15), 0)
    flooded = time.monotonic() - began
    for thread in threads:
        thread.join(timeout=10)
    print(f"        {sum(sent)} requests in {flooded:.1f} s, {sum(answered)} answered; the valid one in "
          f"{took * 1000:.0f} ms; RSS in KiB {[sample['RSS in KiB'] for sample in samples]}", flush=True)
    assert took < 5, f"answered after {took:.1f} s"
    # Rejected requests are not reported one by one.
    assert len(world.read("new.err")) < 4096, world.read("new.err")[:4096]
    assert samples[-1]["RSS in KiB"] - samples[0]["RSS in KiB"] < 1024, samples
    assert samples[-1]["descriptors"] < 60 and samples[-1]["threads"] <= samples[0]["threads"], samples
    assert isinstance(whoami(server, world.lookup(server, "flooded")), dict)
