"""Kills the program at every step and at random moments: no issued key is lost without being reported.

    KILLS=all RANDOM_KILLS=500 python3 tests/e2e/run.py killed

is the long run; without these variables each test kills at a few steps only. A step is a system
call: strace counts those that concern one file, or the network, and kills the program as it enters
the n-th. The kernel does not execute that call, so the disk has the state after the calls before it.

Longer than 400 lines, because all kills share their set-up.
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

from engine import Engine
from rig import KEYWRIGHT, consent, equal, fetch, test, until
from test_file_store import file_store

WRITES = ("openat", "write", "fsync", "rename")
# How many steps each test takes by default.
SOME = 9


class Link:
    """A proxy to the sandbox that can drop the response to a request for a key."""

    def __init__(self, server):
        self.to = server.rpartition(":")[2]
        self.drops_key = False
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
            request = b""
            try:
                while b"\r\n\r\n" not in request:
                    request += caller.recv(65536) or b"\r\n\r\n"
                head, _, body = request.partition(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                while len(body) < (int(length[1]) if length else 0):
                    body += caller.recv(65536)
                request = head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
                server.sendall(request + b"\r\n\r\n" + body)
                answer = b""
                while more := server.recv(65536):
                    answer += more
                if self.drops_key and re.match(rb"POST /api/v1/(auth/)?keys ", head):
                    self.drops_key = False
                    return
                caller.sendall(answer)
            except OSError:
                pass


class Harness:
    """One store, one server, and a new label for each run."""

    def __init__(self, world, store):
        self.world, self.store, self.runs, self.stages = world, store, 0, set()
        self.kills = self.lost = self.crashes = 0
        if store == "os":
            self.daemon = world.keyring()
            world.env["KEYWRIGHT_DATA_DIR"] = world.mkdir("data")
        else:
            file_store(world)
        if store == "bao":
            # The secrets of an attempt stay in the file.
            Engine(world)
            world.env["KEYWRIGHT_STORE"] = "bao"
        server, self.management = world.sandbox()
        self.link = Link(server)
        self.server = self.link.url
        world.env.update(KEYWRIGHT_SERVER=self.server, KEYWRIGHT_RETRIES="0")

    def account(self):
        """The hashes of the account's keys."""
        return set(self.names())

    def names(self):
        """The names of the account's keys by their hash."""
        rows = []
        while True:
            _, _, body = fetch(f"{self.server}/api/v1/keys?offset={len(rows)}", self.management)
            page = json.loads(body)["data"]
            rows += page
            if len(page) < 100:
                return {row["hash"]: row["name"] for row in rows}

    def create(self, name):
        """Creates a key at the server, which is not stored here; returns its hash."""
        request = urllib.request.Request(
            f"{self.server}/api/v1/keys", json.dumps({"name": name}).encode(), method="POST"
        )
        request.add_header("Authorization", f"Bearer {self.management}")
        request.add_header("Content-Type", "application/json")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        return json.loads(opener.open(request, timeout=10).read())["data"]["hash"]

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
                pass  # The program was killed before it could receive the code.
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
        self.world.set_browser()
        opened = len(self.world.opened())
        process = self.world.spawn(
            [*prefix, KEYWRIGHT], "run.err", stdin=terminal, stdout=terminal,
            env={**self.world.env, "TERM": "xterm-256color"},
        )
        os.close(terminal)
        shown = []
        threading.Thread(target=drain, args=(master, shown), daemon=True).start()
        meanwhile(process)

        def has_ended():
            return process.poll() is not None

        # Waits for the first frame before typing.
        until("a screen", lambda: has_ended() or len(shown) > 1)
        for keys in (b"n", label.encode(), b"\x13"):
            if not has_ended():
                os.write(master, keys)
        until("the address or the end", lambda: has_ended() or self.world.opened()[opened:], within=20)
        if self.world.opened()[opened:]:
            try:
                fetch(consent(self.world.opened()[-1]))
            except (OSError, urllib.error.URLError):
                pass
            until("the end of the attempt", lambda: has_ended() or not self.running(label), within=20)
        if not has_ended():
            # strace ignores signals while it traces, so the program itself gets one.
            os.killpg(process.pid, signal.SIGTERM)
        self.ended(process)
        os.close(master)

    def running(self, label):
        """Whether an attempt for the label is pending."""
        return [attempt for attempt in self.attempts(label) if attempt["stage"] != "unresolved"]

    def attempts(self, label):
        journal = json.loads(self.world.read("data/journal.json") or "{}")
        return [one for one in journal.get("attempts", []) if one["label"].split(" (")[0] == label]

    def ended(self, process):
        # strace ends with the status of the traced program.
        self.killed = process.wait(timeout=30) == -signal.SIGKILL
        self.kills += self.killed

    def do(self, what, prefix=(), meanwhile=lambda _: None, drops_key=False):
        """One run under a new label; for a rotation the key is created first."""
        self.runs += 1
        label = f"k{self.runs}"
        if what == "rotate":
            self.new(label)
        before = self.account()
        self.link.drops_key = drops_key
        getattr(self, what)(label, prefix, meanwhile)
        self.link.drops_key = False
        return label, before

    def steps(self, what):
        """The steps of a run that is not killed: call, file, and count of the call for this file."""
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

    def kill_after(self, what, seconds, drops_key):
        def meanwhile(process):
            def kill():
                time.sleep(seconds)
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

            threading.Thread(target=kill, daemon=True).start()

        return self.do(what, meanwhile=meanwhile, drops_key=drops_key)

    def check(self, what, label, before, context):
        """Checks that after at most two runs of `recover` every key is stored or listed as unresolved,
        and that each label gives a working key."""
        self.stages |= {attempt["stage"] for attempt in self.attempts(label)}
        # gnome-keyring can crash (GLib-ERROR in g_variant_new) when its caller is killed during a call.
        # Its stored secrets must still be there.
        if self.store == "os" and self.daemon.poll() is not None:
            self.daemon = self.world.provider()
            self.crashes += 1
        for _ in range(2):
            code, out, err = self.world.keywright("recover", "--json")
            # A name at the server needs the management key, which `recover` does not get here.
            is_unnamed = code == 1 and "could not be renamed at the server" in err
            assert code in (0, 7) or is_unnamed, (context, code, err)
        listed = [one["label"] for one in json.loads(out)["unresolved"]]
        rows = json.loads(self.world.keywright("list", "--json")[1])
        stored = set()
        for row in rows:
            if row["label"].split(" (")[0] == label:
                code, key, err = self.world.keywright("get", row["label"])
                equal((context, row["label"], code, err), (context, row["label"], 0, ""))
                stored.add(hashlib.sha256(key.strip().encode()).hexdigest())
        created = self.account() - before
        assert len(created) <= 1, f"{context}: issued twice for one request"
        lost = created - stored
        self.lost += len(lost)
        unresolved = [name for name in listed if name.split(" (")[0] == label]
        assert len(lost) <= len(unresolved), f"{context}: lost without a report {lost}, listed {listed}"
        if what == "rotate":
            assert stored & before, f"{context}: the old key is gone"
            equal((context, self.world.keywright("get", label)[0]), (context, 0))
        for one in json.loads(out)["unresolved"]:
            equal(self.world.keywright("recover", "--dismiss", one["id"])[0], 0)
        for hash_ in created:
            delete(self.server, hash_, self.management)


def drain(master, shown):
    """Reads what is written to a terminal, as a terminal emulator would."""
    try:
        while part := os.read(master, 65536):
            shown.append(part)
    except OSError:
        pass


def delete(server, hash_, management):
    request = urllib.request.Request(f"{server}/api/v1/keys/{hash_}", method="DELETE")
    request.add_header("Authorization", f"Bearer {management}")
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10).read()


def check_kills(world, store, what):
    harness = Harness(world, store)
    seed = int(os.environ.get("SEED", time.time()))
    chance = random.Random(seed)
    steps = harness.steps(what)
    every = os.environ.get("KILLS") == "all"
    chosen = steps if every else sorted(chance.sample(steps, SOME), key=str)
    for step in chosen:
        context = f"{store} {what} killed at {step}, seed {seed}"
        run = harness.kill_at(what, step)
        # strace counts the calls of each thread separately. One thread writes the journal. Whether the
        # other steps are reached depends on other threads, and on when the dashboard is closed.
        if step[1] == "journal.json":
            assert harness.killed, f"{context}: was not killed"
        harness.check(what, *run, context)
    moments = int(os.environ.get("RANDOM_KILLS", 3 if not every else 0))
    began = time.monotonic()
    harness.check(what, *harness.do(what), f"{store} {what}, not killed")
    takes = time.monotonic() - began
    for _ in range(moments):
        seconds, drops_key = chance.uniform(0, takes / 2), chance.random() < 0.3
        context = f"{store} {what} killed after {seconds:.3f} s, response lost: {drops_key}, seed {seed}"
        harness.check(what, *harness.kill_after(what, seconds, drops_key), context)
    if every:
        print(f"        {len(steps)} steps, {moments} moments, {harness.kills} killed, {harness.lost} keys "
              f"listed, {harness.crashes} crashes of the keychain; stages: {', '.join(sorted(harness.stages))}")
        if what in ("new", "dashboard"):
            equal(harness.stages - {"unresolved"},
                  {"prepared", "code_received", "sent", "received", "stored"})


@test
def new_killed_at_any_step_loses_no_key_with_the_keychain(world):
    check_kills(world, "os", "new")


@test
def new_killed_at_any_step_loses_no_key_with_the_file_store(world):
    check_kills(world, "file", "new")


@test
def rotate_killed_at_any_step_loses_no_key_with_the_keychain(world):
    check_kills(world, "os", "rotate")


@test
def rotate_killed_at_any_step_loses_no_key_with_the_file_store(world):
    check_kills(world, "file", "rotate")


@test
def apply_killed_at_any_step_loses_no_key_with_the_keychain(world):
    check_kills(world, "os", "apply")


@test
def apply_killed_at_any_step_loses_no_key_with_the_file_store(world):
    check_kills(world, "file", "apply")


@test
def new_killed_at_any_step_loses_no_key_with_openbao(world):
    check_kills(world, "bao", "new")


@test
def rotate_killed_at_any_step_loses_no_key_with_openbao(world):
    check_kills(world, "bao", "rotate")


@test
def apply_killed_at_any_step_loses_no_key_with_openbao(world):
    check_kills(world, "bao", "apply")


@test
def the_dashboard_killed_at_any_step_loses_no_key_with_the_keychain(world):
    check_kills(world, "os", "dashboard")


@test
def the_dashboard_killed_at_any_step_loses_no_key_with_the_file_store(world):
    check_kills(world, "file", "dashboard")


@test
def the_dashboard_killed_at_any_step_loses_no_key_with_openbao(world):
    check_kills(world, "bao", "dashboard")


@test
def apply_killed_at_random_and_run_again_leaves_exactly_the_planned_keys(world):
    harness = Harness(world, "os")
    labels = [f"planned {n}" for n in range(30)]
    plan = world.write("plan.toml", "".join(f'[[key]]\nlabel = "{label}"\n' for label in labels))
    command = ["apply", plan, "--yes"]
    seed = int(os.environ.get("SEED", time.time()))
    chance = random.Random(seed)
    before = harness.account()
    # Someone else has a key with the label of a planned one.
    stranger = harness.create("planned 7")

    def run(seconds=None):
        harness.link.drops_key = seconds is not None and chance.random() < 0.4
        process = harness.start(
            command, OPENROUTER_MANAGEMENT_KEY=harness.management, KEYWRIGHT_RETRIES=chance.choice("03")
        )
        if seconds is None:
            equal((seed, process.wait(timeout=60), world.read("run.err")[-500:])[:2], (seed, 0))
            return
        time.sleep(seconds)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        harness.ended(process)

    began = time.monotonic()
    moments = int(os.environ.get("RANDOM_KILLS", 6))
    for n in range(moments):
        # Without the keys of a finished run there is always something to create.
        rows = json.loads(world.keywright("list", "--json")[1])
        for row in rows if len(rows) == len(labels) else rows[:3]:
            equal(world.keywright(
                "rm", row["label"], "--revoke", "--yes", OPENROUTER_MANAGEMENT_KEY=harness.management
            )[0], 0)
        run(chance.uniform(0, 0.6))
    run()
    names = harness.names()
    equal((seed, sorted(names[hash_] for hash_ in names.keys() - before - {stranger})), (seed, sorted(labels)))
    equal((seed, names.get(stranger)), (seed, "planned 7"))
    for label in labels:
        code, key, err = world.keywright("get", label)
        equal((seed, label, code, err), (seed, label, 0, ""))
        equal(names[hashlib.sha256(key.strip().encode()).hexdigest()], label)
    code, out, err = world.keywright("recover", "--json")
    equal((seed, code, json.loads(out)["unresolved"]), (seed, 0, []))
    print(f"        {harness.kills} of {moments} runs killed in {time.monotonic() - began:.0f} s")
