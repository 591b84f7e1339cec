"""Where secrets go, from a trace of system calls: what the program writes, where to, and which programs
it starts with which arguments. The secrets are taken from the connection to the sandbox."""

import codecs
import os
import re
import resource
import shlex
import signal
import subprocess
import time

from engine import Engine
from rig import (
    Pane, consent, contains, descendants, equal, fetch, files, leaks, query, shows, test, until,
)
from test_soak import Gate
from test_file_store import PASSPHRASE, file_store

STRACE = (
    "strace", "-f", "-qqq", "-yy", "-v", "-s", "65536", "-e", "signal=none",
    "-e", "trace=write,writev,sendto,sendmsg,execve,openat",
)


class Wire(Gate):
    """A proxy to the server that records everything sent through it."""

    def __init__(self, server):
        self.recorded = []
        # Whether to drop the next response that contains a key.
        self.drops_key = False
        super().__init__(server)

    def passes(self, part):
        self.recorded.append(part)
        if self.drops_key and b'"key":' in part:
            self.drops_key = False
            return b""
        return part

    def secrets(self):
        """The recorded secrets by name."""
        recorded = b"\0".join(self.recorded).decode()
        found = {}
        for name, pattern in (
            ("key", r"sk-or-v1-[0-9a-f]{64}"),
            ("code", r'"code":\s*"([^"]{16,})"'),
            ("verifier", r'"code_verifier":\s*"([^"]+)"'),
        ):
            for n, secret in enumerate(dict.fromkeys(re.findall(pattern, recorded))):
                found[f"{name} {n}"] = secret
        return found


class Traced:
    """Runs commands under strace, one after the other."""

    def __init__(self, world):
        self.world = world
        self.traces = {}
        self.nonces = {}
        self.printed = {}

    def argv(self, name, *arguments):
        path = self.world.path(f"trace.{len(self.traces)}")
        self.traces[path] = name
        return [*STRACE, "-o", path, "keywright", *arguments]

    def run(self, *arguments, code=0, typed=None, **env):
        argv = self.argv(arguments[0], *arguments)
        ended = subprocess.run(
            argv, env={**self.world.env, **env}, input=typed, stdin=None if typed else subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, cwd=self.world.home,
        )
        equal((arguments, ended.returncode, ended.stderr[-300:] if ended.returncode != code else ""),
              (arguments, code, ""))
        self.printed.setdefault(arguments[0], []).append((ended.stdout, ended.stderr))
        return ended.stdout

    def consented(self, *arguments, code=0):
        """Runs a command and answers its consent page without a browser."""
        before = len(self.world.opened())
        process = self.world.spawn(self.argv(arguments[0], *arguments), "consented.log")
        until("an address", lambda: self.world.opened()[before:] or process.poll() is not None, within=20)
        self.consent()
        equal((arguments, process.wait(timeout=20)), (arguments, code))

    def consent(self):
        address = self.world.opened()[-1]
        self.nonces[f"nonce {len(self.nonces)}"] = query(address)["callback_url"].rpartition("/")[2]
        fetch(consent(address))


def calls(path):
    """The writes and program starts in a trace: call, target, bytes."""
    with open(path, "rb") as trace:
        for line in trace:
            call = re.match(rb"\d+ +(\w+)\((?:\d+<(.*?)>, |AT_FDCWD<.*?>, )?", line)
            if not call:
                continue
            texts = re.findall(rb'"((?:[^"\\]|\\.)*)"', line[call.end():])
            content = b"\n".join(codecs.escape_decode(text)[0] for text in texts)
            target = (call[2] or b"").decode(errors="replace")
            if call[1] == b"execve":
                # The program and its arguments; then its environment.
                arguments = re.match(rb'"[^"]*", \[.*?\](?=, \[)', line[call.end():])
                count = len(re.findall(rb'"((?:[^"\\]|\\.)*)"', arguments[0])) if arguments else len(texts)
                decoded = [codecs.escape_decode(text)[0] for text in texts]
                yield "argv", decoded[0].decode(), b"\n".join(decoded[:count])
                yield "environment", decoded[0].decode(), b"\n".join(decoded[count:])
            else:
                yield call[1].decode(), target, content


def find_secrets(traced, secrets):
    """Where secrets were sent: command, call, target, name of the secret without its number."""
    known = {}
    for path, name in traced.traces.items():
        merged = {}
        for call, target, content in calls(path):
            merged.setdefault((name, call, kind(target)), []).append(content)
        for where, parts in merged.items():
            for secret in leaks(b"\n".join(parts), secrets):
                known.setdefault((*where, secret.split()[0]), set()).add(secret)
    return set(known)


def kind(target):
    for pattern, name in (
        (r"TCP:.*->127\.0\.0\.1:\d+", "loopback"), (r"UNIX.*X11", "display"), (r"UNIX.*", "socket"),
        (r"pipe:.*", "pipe"), (r"/dev/pts/.*", "terminal"), (r"/dev/null.*", "nowhere"),
    ):
        if re.match(pattern, target):
            return name
    return os.path.basename(target)


def run_all_commands(world, store):
    """Runs every command that uses a secret, and the dashboard."""
    traced = Traced(world)
    server, management = world.sandbox()
    wire = Wire(server)
    data = world.mkdir("data") if store == "os" else world.path("data")
    world.env.update(KEYWRIGHT_LOG="trace", KEYWRIGHT_DATA_DIR=data, KEYWRIGHT_SERVER=wire.url)
    world.set_browser()
    traced.consented("new", "first")
    foreign = traced.run("get", "first")
    traced.run("show", "first", "--json")
    traced.run("list")
    traced.run("env", "--shell", "bash", "first")
    traced.run("run", "first", "--", "true")
    traced.run("management", "set", typed=management)
    traced.run("rotate", "first", "--yes")
    plan = world.write("plan.toml", '[[key]]\nlabel = "planned"\n')
    traced.run("apply", plan, "--yes")
    traced.run("panic", "first", "--yes")
    traced.run("rm", "planned", "--yes")
    traced.run("rm", "first (old)", "--yes")
    traced.run("import", "taken over", typed=foreign)
    # A key whose response is lost: `recover` reads the account's keys.
    wire.drops_key = True
    traced.consented("new", "lost", "--retries", "0", code=7)
    contains(traced.run("recover", code=7), "lost")
    traced.run("recover", "--dismiss", "lost")
    use_dashboard(world, traced, wire)
    other = {"os": "file", "file": "os", "bao": "os"}[store]
    world.env["KEYWRIGHT_PASSPHRASE_FILE"] = world.write("passphrase", f"{PASSPHRASE}\n")
    traced.run("store", "move", "--to", other, "--yes")
    traced.run("get", "on screen", "--store", other)
    sent = {name: secret for name, secret in wire.secrets().items() if secret != management}
    sent = {**sent, **traced.nonces, "management": management, "passphrase": PASSPHRASE}
    return sent, traced


def use_dashboard(world, traced, wire):
    """Creates, reveals, hides and copies a key in the dashboard."""
    before = wire.secrets()
    pane = Pane(world, size=(120, 40))
    pane.command(shlex.join(traced.argv("dashboard")))
    pane.wait(r"\d/\d\b")
    opened = len(world.opened())
    pane.press("n")
    pane.wait("a new key")
    pane.type("on screen")
    pane.press("C-s")
    until("the address", lambda: world.opened()[opened:])
    check_programs(wire.secrets())
    traced.consent()
    pane.wait_words("on screen was created and stored")
    [key] = [secret for secret in set(wire.secrets().values()) - set(before.values())
             if secret.startswith("sk-or-v1-")]
    assert not shows(pane.written(), key), "on the screen before it was asked for"
    pane.press("v")
    until("the key on the screen", lambda: key in "".join(pane.screen().split()))
    check_programs(wire.secrets())
    pane.press("v")
    pane.wait_gone("shown below for")
    pane.press("c")
    pane.wait_words("Copied the key; clears in 45 s")
    equal(world.clipboard(), key)
    pane.press("q")
    pane.wait_shell()


def check_programs(secrets):
    """Checks that no running program has a secret in its arguments or environment."""
    for pid in descendants(os.getpid()):
        for name in ("cmdline", "environ"):
            try:
                with open(f"/proc/{pid}/{name}", "rb") as file:
                    equal((pid, name, leaks(file.read(), secrets)), (pid, name, []))
            except (FileNotFoundError, ProcessLookupError):
                pass


# The only places a secret may be sent to: the server; the command that printed it; the browser and the
# terminal, for the address with its nonce.
ALLOWED = {
    ("new", "argv", "browser.sh", "nonce"), ("new", "write", "consented.log", "nonce"),
    ("new", "write", "opened", "nonce"),
    ("new", "writev", "loopback", "code"), ("new", "writev", "loopback", "verifier"),
    ("new", "writev", "loopback", "key"),
    ("recover", "writev", "loopback", "management"),
    ("get", "write", "pipe", "key"), ("env", "write", "pipe", "key"),
    ("run", "environment", "true", "key"),
    ("management", "writev", "loopback", "management"),
    ("rotate", "writev", "loopback", "management"), ("rotate", "writev", "loopback", "key"),
    ("apply", "writev", "loopback", "management"), ("apply", "writev", "loopback", "key"),
    ("panic", "writev", "loopback", "management"), ("panic", "writev", "loopback", "key"),
    ("import", "writev", "loopback", "key"),
    ("dashboard", "argv", "browser.sh", "nonce"), ("dashboard", "write", "opened", "nonce"),
    ("dashboard", "writev", "loopback", "code"), ("dashboard", "writev", "loopback", "verifier"),
    ("dashboard", "writev", "loopback", "key"), ("dashboard", "writev", "loopback", "management"),
    # The address, and the key while it is shown.
    ("dashboard", "write", "terminal", "nonce"), ("dashboard", "write", "terminal", "key"),
    # The clipboard is the display's socket. The recording of the bus is searched separately.
    ("dashboard", "sendmsg", "socket", "key"),
}


# With a shared store the engine receives its token from every command, and a removed key as well.
ALLOWED_WITH_OPENBAO = ALLOWED | {
    *((command, "writev", "loopback", "token") for command in (
        "new", "get", "show", "list", "env", "run", "rotate", "apply", "panic", "rm", "import", "dashboard", "store",
    )),
    ("rm", "writev", "loopback", "key"),
}


def check_secrets(world, store):
    world.keyring()
    world.display()
    if store != "os":
        file_store(world)
    tokens = {}
    if store == "bao":
        # The engine's storage is in memory.
        tokens = {"token": Engine(world).token}
        world.write("home/.vault-token", world.env.pop("BAO_TOKEN"))
        world.env["KEYWRIGHT_STORE"] = "bao"
    allowed = ALLOWED_WITH_OPENBAO if tokens else ALLOWED
    watcher = world.spawn(["dbus-monitor", "--pcap"], "bus.pcap")
    until("the watcher", lambda: os.path.getsize(world.path("bus.pcap")) > 0)
    secrets, traced = run_all_commands(world, store)
    secrets.update(tokens)
    watcher.terminate()
    watcher.wait(timeout=10)
    kinds = {name.split()[0] for name in secrets}
    # Finding the expected secrets shows that the search works.
    equal(kinds, {"key", "code", "verifier", "nonce", "management", "passphrase", *tokens})
    assert all(len(secret) >= 12 for secret in secrets.values()), secrets
    found = find_secrets(traced, secrets)
    equal(found - allowed, set())
    equal(allowed - found, set())
    # The files of all programs of this test, including the keychain and the display.
    expected = {"opened", "consented.log", "passphrase", "tmux0.typed", "sandbox.log", ".vault-token",
                *map(os.path.basename, traced.traces)}
    for path, content in files(world.dir):
        if os.path.basename(path) not in expected:
            equal((path, leaks(content, secrets)), (path, []))
    printed = "".join(err for runs in traced.printed.values() for _, err in runs)
    printed += "".join(out for name in ("show", "list", "rotate", "apply", "panic", "import", "recover", "store")
                    for out, _ in traced.printed[name])
    equal(leaks(printed.encode(), secrets), [])


@test
def secrets_are_sent_only_where_allowed_with_the_keychain(world):
    check_secrets(world, "os")


@test
def secrets_are_sent_only_where_allowed_with_the_file_store(world):
    check_secrets(world, "file")


@test
def secrets_are_sent_only_where_allowed_with_openbao(world):
    check_secrets(world, "bao")


def send_signal(process, kill):
    """Sends a signal; returns the status once the process has ended. Rust may take the first SIGSEGV
    for a stack overflow."""
    os.kill(process.pid, kill)
    time.sleep(0.1)
    pid, status = os.waitpid(process.pid, os.WNOHANG)
    process.returncode = status if pid else None
    return pid and status


@test
def a_killed_program_leaves_no_core_file(world):
    world.keyring()
    server, _ = world.sandbox()

    def enable_core_files():
        resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    for kill in (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS):
        process = subprocess.Popen(
            ["keywright", "--server", server, "new", "x", "--no-open"], env=world.env, cwd=world.home,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            preexec_fn=enable_core_files,
        )
        until("the address", lambda: b"http" in process.stderr.readline())
        status = until("its end", lambda: send_signal(process, kill))
        assert not os.WCOREDUMP(status), kill
        equal([path for path, _ in files(world.home) if "core" in os.path.basename(path)], [])
