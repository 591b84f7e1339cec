"""The dashboard left running, under a script, while keychain, network and server fail and return.

    SOAK=1800 python3 tests/e2e/run.py left running

is the long run, in seconds; by itself it takes 40. Memory, descriptors and threads are read at the
end of each round, and a straight line through what was read must not rise.
"""

import json
import os
import re
import socket
import threading
import time

from rig import Pane, consent, fetch, test, until
from test_killed import delete

SECONDS = float(os.environ.get("SOAK", 40))
# What may come and go between two readings: an arena of the allocator, a thread of the pool that has
# not ended yet and what it holds open.
# The account is read in up to four requests at once, each with a connection of its own.
# The pool of the sandbox starts a thread where more connections than before overlap.
NOISE = {"RSS in KiB": 1536, "descriptors": 4, "threads": 4}


class Gate:
    """The network between the dashboard and the server: it can be taken away."""

    def __init__(self, server):
        self.to = int(server.rpartition(":")[2])
        self.port = 0
        self.open()
        self.url = f"http://127.0.0.1:{self.port}"

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, args=(self.listener,), daemon=True).start()

    def close(self):
        # Or whoever waits for the next caller would keep it open.
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def serve(self, listener):
        while True:
            try:
                caller = listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.to))
            for ends in ((caller, server), (server, caller)):
                threading.Thread(target=self.carry, args=ends, daemon=True).start()

    def passes(self, part):
        """What happens to a part of the data that is passed on."""
        return part

    def carry(self, source, sink):
        try:
            while part := self.passes(source.recv(65536)):
                sink.sendall(part)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def reading(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        text = status.read()
    return {
        "RSS in KiB": int(re.search(r"VmRSS:\s+(\d+)", text)[1]),
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "threads": int(re.search(r"Threads:\s+(\d+)", text)[1]),
    }


def rise(readings, name):
    """How much the straight line through the readings rises from the first to the last."""
    values = [one[name] for one in readings]
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    over = sum((n - middle) * (value - mean) for n, value in enumerate(values))
    return over / sum((n - middle) ** 2 for n in range(len(values))) * (len(values) - 1)


class Dashboard:
    """A dashboard that is used for the whole run."""

    def __init__(self, world):
        self.world = world
        self.keyring = world.keyring()
        server, self.management = world.sandbox()
        self.gate = Gate(server)
        world.set_browser()
        world.env["KEYWRIGHT_RETRIES"] = "0"
        self.pane = Pane(world, size=(120, 40), OPENROUTER_MANAGEMENT_KEY=self.management)
        self.pane.dashboard("--server", self.gate.url, "--every", "1")
        self.pane.wait_words("Send OPENROUTER_MANAGEMENT_KEY to")
        self.pane.press("y")
        self.pane.wait_gone("Send OPENROUTER_MANAGEMENT_KEY to")
        self.pid = self.pane.pid()
        self.rounds = self.refusals = 0

    def add(self, label):
        opened = len(self.world.opened())
        self.pane.press("n")
        self.pane.wait("a new key")
        self.pane.type(label)
        self.pane.press("C-s")
        until("the address", lambda: self.world.opened()[opened:])
        fetch(consent(self.world.opened()[-1]))
        self.stored(f"{label} was created and stored")
        self.pane.press("v")
        self.pane.wait_words("shown below for")
        self.pane.press("Escape")
        self.pane.wait(r"\d/1\b")

    def rotate(self, label):
        self.pane.press("R")
        self.pane.wait_words("enter rotate")
        self.pane.press("Enter")
        self.stored(f"'{label}' was rotated")
        self.pane.press("Escape")
        self.pane.wait(r"\d/2\b")

    def stored(self, words):
        """Waits for the words. Once in a few thousand calls gnome-keyring does not know its caller
        (a CRITICAL in its log) and says that there is no collection: a person would try again."""
        expected = f"{words}|stored nowhere"
        until(expected, lambda: re.search(expected, self.pane.words()), within=20)
        if "stored nowhere" in self.pane.words():
            self.refusals += 1
            print(f"        refused in round {self.rounds}", flush=True)
            self.pane.press("r")
            self.pane.wait_gone("stored nowhere", within=20)

    def resize(self):
        for columns, rows in ((40, 10), (160, 50), (20, 5), (120, 40)):
            self.pane.tmux("resize-window", "-x", str(columns), "-y", str(rows))
            time.sleep(0.15)
        self.pane.wait(r"\d/\d\b")

    def lose_the_network(self):
        self.gate.close()
        # The first key removes the last message.
        self.pane.press("g", "r")
        self.pane.wait_words("could not be reached", within=15)
        self.gate.open()
        self.pane.press("r")
        self.pane.wait_gone("could not be reached", within=15)

    def lose_the_keychain(self):
        self.keyring.kill()
        self.keyring.wait(timeout=10)
        self.pane.press("g", "v")
        self.pane.wait_words("No keychain is running", within=15)
        self.keyring = self.world.provider()
        self.pane.press("v")
        self.pane.wait_words("shown below for")
        self.pane.press("v")
        self.pane.wait_gone("shown below for")

    def stop_for_a_while(self):
        # Its clock goes on without it.
        self.pane.press("C-z")
        self.pane.wait("Stopped")
        time.sleep(1)
        self.pane.command("fg")
        self.pane.wait(r"\d/2\b")

    def remove(self):
        for left in (r"\d/1\b", "no keys|No key"):
            self.pane.press("g", "x")
            self.pane.wait("Remove")
            self.pane.press("y")
            self.pane.wait(left)
        for row in self.account() - self.before:
            delete(self.gate.url, row, self.management)

    def account(self):
        _, _, body = fetch(f"{self.gate.url}/api/v1/keys", self.management)
        return {row["hash"] for row in json.loads(body)["data"]}

    def round(self):
        self.rounds += 1
        label = f"r{self.rounds}"
        self.before = self.account()
        self.add(label)
        self.rotate(label)
        self.resize()
        self.lose_the_network()
        self.lose_the_keychain()
        self.stop_for_a_while()
        self.remove()


class Playground:
    """The same program on a sandbox of its own, whose clock can be moved."""

    def __init__(self, world):
        self.pane = Pane(world, size=(120, 40))
        self.pane.dashboard("--sandbox", "--every", "1")
        self.pane.wait("notebook")
        self.pid = self.pane.pid()

    def round(self):
        for _ in range(4):
            self.pane.press(">")
            self.pane.wait_words("One day passed")
            self.pane.press("+")
            # Each in its turn: the words of one that is late would cover those of the next.
            answer = "spent on this key|The sandbox refused"
            until(answer, lambda: re.search(answer, self.pane.words()))


@test
def a_dashboard_left_running_does_not_grow(world):
    runs = {"the dashboard": Dashboard(world), "the sandbox": Playground(world)}
    readings = {name: [] for name in runs}
    began = time.monotonic()
    while time.monotonic() - began < SECONDS or len(readings["the sandbox"]) < 4:
        for name, run in runs.items():
            run.round()
        for name, run in runs.items():
            readings[name].append(reading(run.pid))
        if len(readings["the sandbox"]) % 50 == 0:
            # A long run says where it is, should something end it.
            latest = {name: list(read[-1].values()) for name, read in readings.items()}
            print(f"        after {time.monotonic() - began:.0f} s: {latest}", flush=True)
    for name, run in runs.items():
        # What is allocated once and the pools of threads are there by the second half.
        settled = readings[name][max(1, len(readings[name]) // 2):]
        print(f"        {name}: {len(readings[name])} rounds in {time.monotonic() - began:.0f} s", flush=True)
        rises = {what: rise(settled, what) for what in NOISE}
        for what, rose in rises.items():
            print(f"          {what}: first {readings[name][0][what]}, settled {settled[0][what]}, "
                  f"last {settled[-1][what]}, most {max(one[what] for one in settled)}, "
                  f"the line rises by {rose:.1f}", flush=True)
        over = {what: rose for what, rose in rises.items() if rose > NOISE[what]}
        assert not over, f"{name} grows: {over}: {readings[name]}"
        run.pane.press("q")
        run.pane.wait_shell()
