"""The program killed at every step and at any moment: no key that was issued is lost in silence.

    KILLS=all RANDOM_KILLS=500 python3 tests/e2e/run.py killed

is the long run; by itself each test takes a few of the steps. A step is a system call: strace
counts those that concern one file, or the network, and kills the program as it enters the n-th.
The kernel runs none of it, so what lies on the disk is what the calls before it left there.
"""

import fcntl
import hashlib
import json
import os
import pty
import random
import re
import signal
import socket
import struct
import subprocess
import termios
import threading
import time
import urllib.error
import urllib.request

from rig import KEYWRIGHT, consent, equal, fetch, test, until
from test_vault import file_store

WRITES = ("openat", "write", "fsync", "rename")
# How many of the steps each test takes by itself.
SOME = 9


class Link:
    """A way to the sandbox on which the answer to a request for a key can be lost, once it has been
    given."""

    def __init__(self, server):
        self.to = server.rpartition(":")[2]
        self.deaf = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                caller = self.listener.accept()[0]
            except OSError:
                return
            threading.Thread(target=self.carry, args=(caller,), daemon=True).start()

    def carry(self, caller):
        with caller, socket.create_connection(("127.0.0.1", int(self.to))) as server:
            asked = b""
            try:
                while b"\r\n\r\n" not in asked:
                    asked += caller.recv(65536) or b"\r\n\r\n"
                head, _, body = asked.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                while len(body) < (int(length[1]) if length else 0):
                    body += caller.recv(65536)
                asked = head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
                server.sendall(asked + b"\r\n\r\n" + body)
                answer = b""
                while more := server.recv(65536):
                    answer += more
                if self.deaf and re.match(rb"POST /api/v1/(auth/)?keys ", head):
                    self.deaf = False
                    return
                caller.sendall(answer)
            except OSError:
                pass


class Harness:
    """One store, one server, and a label for each run."""

    def __init__(self, world, store):
        self.world, self.store, self.runs, self.stages = world, store, 0, set()
        self.kills = self.lost = self.crashes = 0
        if store == "os":
            self.daemon = world.keyring()
            world.env["KEYWRIGHT_DATA_DIR"] = world.mkdir("data")
        else:
            file_store(world)
        server, self.management = world.sandbox()
        self.link = Link(server)
        self.server = self.link.url
        world.env.update(KEYWRIGHT_SERVER=self.server, KEYWRIGHT_RETRIES="0")

    def account(self):
        """The hashes of all keys of the account."""
        rows = []
        while True:
            _, _, body = fetch(f"{self.server}/api/v1/keys?offset={len(rows)}", self.management)
            page = json.loads(body)["data"]
            rows += page
            if len(page) < 100:
                return {row["hash"] for row in rows}

    def strace(self, out, *options):
        return ["strace", "-f", "-qqq", "-o", out, *options]

    def start(self, command, prefix=(), **env):
        self.world.write("run.err", "")
        return self.world.spawn(
            [*prefix, KEYWRIGHT, *command], "run.err", env={**self.world.env, **env},
            stdout=subprocess.DEVNULL,
        )

    def new(self, label, prefix=(), meanwhile=lambda _: None):
        process = self.start(["new", label, "--no-open"], prefix)
        meanwhile(process)
        address = until("the address or the end", lambda: process.poll() is not None or re.search(
            r"^(http\S+)\n", self.world.read("run.err"), re.M), within=20)
        if address is not True:
            try:
                fetch(consent(address[1]))
            except (OSError, urllib.error.URLError):
                pass  # It was killed before it could take the code.
        self.ended(process)

    def rotate(self, label, prefix=(), meanwhile=lambda _: None):
        process = self.start(
            ["rotate", label, "--yes"], prefix, OPENROUTER_MANAGEMENT_KEY=self.management
        )
        meanwhile(process)
        self.ended(process)

    def apply(self, label, prefix=(), meanwhile=lambda _: None):
        plan = self.world.write("plan.toml", f'[[key]]\nlabel = "{label}"\nlimit = 5\n')
        process = self.start(
            ["apply", plan, "--yes"], prefix, OPENROUTER_MANAGEMENT_KEY=self.management
        )
        meanwhile(process)
        self.ended(process)

    def dashboard(self, label, prefix=(), meanwhile=lambda _: None):
        master, terminal = pty.openpty()
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.world.be_browser()
        opened = len(self.world.opened())
        process = self.world.spawn(
            [*prefix, KEYWRIGHT], "run.err", stdin=terminal, stdout=terminal,
            env={**self.world.env, "TERM": "xterm-256color"},
        )
        os.close(terminal)
        shown = []
        threading.Thread(target=drain, args=(master, shown), daemon=True).start()
        meanwhile(process)

        def over():
            return process.poll() is not None

        # Its first frame; then its keys.
        until("a screen", lambda: over() or len(shown) > 1)
        for keys in (b"n", label.encode(), b"\x13"):
            if not over():
                os.write(master, keys)
        until("the address or the end", lambda: over() or self.world.opened()[opened:], within=20)
        if self.world.opened()[opened:]:
            try:
                fetch(consent(self.world.opened()[-1]))
            except (OSError, urllib.error.URLError):
                pass
            until("the end of the attempt", lambda: over() or not self.running(label), within=20)
        if not over():
            # strace heeds none while it traces: the program itself is told.
            os.killpg(process.pid, signal.SIGTERM)
        self.ended(process)
        os.close(master)

    def running(self, label):
        """Whether an attempt for the label is under way."""
        return [attempt for attempt in self.attempts(label) if attempt["stage"] != "unresolved"]

    def attempts(self, label):
        journal = json.loads(self.world.read("data/journal.json") or "{}")
        return [one for one in journal.get("attempts", []) if one["label"].split(" (")[0] == label]

    def ended(self, process):
        # strace ends as what it traced.
        self.killed = process.wait(timeout=30) == -signal.SIGKILL
        self.kills += self.killed

    def do(self, what, prefix=(), meanwhile=lambda _: None, deaf=False):
        """One run under a label of its own; for a rotation the key is there before."""
        self.runs += 1
        label = f"k{self.runs}"
        if what == "rotate":
            self.new(label)
        before = self.account()
        self.link.deaf = deaf
        getattr(self, what)(label, prefix, meanwhile)
        self.link.deaf = False
        return label, before

    def steps(self, what):
        """Every step of a run that is not killed, by name: how often each call concerns each file."""
        trace = self.world.path("trace")
        self.do(what, self.strace(trace, "-y", "-e", f"trace={','.join(WRITES)},sendto,writev,sendmsg"))
        counts = {}
        with open(trace, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                call = re.match(r"\d+ +(\w+)\(", line)
                if not call or "resumed" in line:
                    continue
                name = call[1]
                file = re.search(r"/data/([\w.]+)\.new", line)
                if name in ("sendto", "writev", "sendmsg"):
                    counts[name, None] = counts.get((name, None), 0) + 1
                elif file:
                    counts[name, file[1]] = counts.get((name, file[1]), 0) + 1
        assert any(file == "journal.json" for _, file in counts), counts
        return [(call, file, n + 1) for (call, file), many in counts.items() for n in range(many)]

    def kill_at(self, what, step):
        call, file, n = step
        inject = ["-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={n}"]
        if file:
            inject = ["-P", self.world.path("data", f"{file}.new"), *inject]
        return self.do(what, self.strace("/dev/null", *inject))

    def kill_after(self, what, seconds, deaf):
        def meanwhile(process):
            def kill():
                time.sleep(seconds)
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

            threading.Thread(target=kill, daemon=True).start()

        return self.do(what, meanwhile=meanwhile, deaf=deaf)

    def check(self, what, label, before, told):
        """After at most two starts every key is in the vault or on the list, and each label gives a
        key that works."""
        self.stages |= {attempt["stage"] for attempt in self.attempts(label)}
        # gnome-keyring has been seen to end itself (GLib-ERROR in g_variant_new) when its caller was
        # killed in the middle of a call. What it held, it must still hold.
        if self.store == "os" and self.daemon.poll() is not None:
            self.daemon = self.world.provider()
            self.crashes += 1
        for _ in range(2):
            code, out, err = self.world.keywright("recover", "--json")
            assert code in (0, 7), (told, code, err)
        listed = [one["label"] for one in json.loads(out)["unresolved"]]
        rows = json.loads(self.world.keywright("list", "--json")[1])
        held = set()
        for row in rows:
            if row["label"].split(" (")[0] == label:
                code, key, err = self.world.keywright("get", row["label"])
                equal((told, row["label"], code, err), (told, row["label"], 0, ""))
                held.add(hashlib.sha256(key.strip().encode()).hexdigest())
        born = self.account() - before
        assert len(born) <= 1, f"{told}: issued twice for one request"
        lost = born - held
        self.lost += len(lost)
        unresolved = [name for name in listed if name.split(" (")[0] == label]
        assert len(lost) <= len(unresolved), f"{told}: lost in silence {lost}, listed {listed}"
        if what == "rotate":
            assert held & before, f"{told}: the old key is gone"
            equal((told, self.world.keywright("get", label)[0]), (told, 0))
        for one in json.loads(out)["unresolved"]:
            equal(self.world.keywright("recover", "--dismiss", one["id"])[0], 0)
        for hash_ in born:
            delete(self.server, hash_, self.management)


def drain(master, shown):
    """Takes what is written to a terminal, as one would that shows it."""
    try:
        while part := os.read(master, 65536):
            shown.append(part)
    except OSError:
        pass


def delete(server, hash_, management):
    request = urllib.request.Request(f"{server}/api/v1/keys/{hash_}", method="DELETE")
    request.add_header("Authorization", f"Bearer {management}")
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).read()


def killed(world, store, what):
    harness = Harness(world, store)
    seed = int(os.environ.get("SEED", time.time()))
    chance = random.Random(seed)
    steps = harness.steps(what)
    every = os.environ.get("KILLS") == "all"
    chosen = steps if every else sorted(chance.sample(steps, SOME), key=str)
    for step in chosen:
        told = f"{store} {what} killed at {step}, seed {seed}"
        run = harness.kill_at(what, step)
        # strace counts each thread's calls for itself: the journal is written by one. Whether the
        # rest is reached depends on other threads, and on when the dashboard is left.
        if step[1] == "journal.json":
            assert harness.killed, f"{told}: was not killed"
        harness.check(what, *run, told)
    moments = int(os.environ.get("RANDOM_KILLS", 3 if not every else 0))
    began = time.monotonic()
    harness.check(what, *harness.do(what), f"{store} {what}, not killed")
    takes = time.monotonic() - began
    for _ in range(moments):
        seconds, deaf = chance.uniform(0, takes / 2), chance.random() < 0.3
        told = f"{store} {what} killed after {seconds:.3f} s, answer lost: {deaf}, seed {seed}"
        harness.check(what, *harness.kill_after(what, seconds, deaf), told)
    if every:
        print(f"        {len(steps)} steps, {moments} moments, {harness.kills} killed, {harness.lost} keys "
              f"on the list, {harness.crashes} crashes of the keychain; stages: {', '.join(sorted(harness.stages))}")
        if what in ("new", "dashboard"):
            equal(harness.stages - {"unresolved"},
                  {"prepared", "code_received", "sent", "received", "stored"})


@test
def new_is_killed_at_its_steps_with_the_keychain_and_no_key_is_lost(world):
    killed(world, "os", "new")


@test
def new_is_killed_at_its_steps_with_the_file_store_and_no_key_is_lost(world):
    killed(world, "file", "new")


@test
def rotate_is_killed_at_its_steps_with_the_keychain_and_no_key_is_lost(world):
    killed(world, "os", "rotate")


@test
def rotate_is_killed_at_its_steps_with_the_file_store_and_no_key_is_lost(world):
    killed(world, "file", "rotate")


@test
def apply_is_killed_at_its_steps_with_the_keychain_and_no_key_is_lost(world):
    killed(world, "os", "apply")


@test
def apply_is_killed_at_its_steps_with_the_file_store_and_no_key_is_lost(world):
    killed(world, "file", "apply")


@test
def the_dashboard_is_killed_at_its_steps_with_the_keychain_and_no_key_is_lost(world):
    killed(world, "os", "dashboard")


@test
def the_dashboard_is_killed_at_its_steps_with_the_file_store_and_no_key_is_lost(world):
    killed(world, "file", "dashboard")
