"""The terminal is restored, however the program ends."""

import fcntl
import os
import pty
import random
import re
import resource
import shlex
import signal
import struct
import subprocess
import termios
import threading
import time

from rig import (
    Pane, descendants, equal, is_closed, names, parents, port_of, program, runs, test,
    until,
)
from test_ssh import remote_command, sshd
from test_file_store import PASSPHRASE, file_store

SCREENS = {"the dashboard": b"", "a form": b"n", "the help": b"?", "a question": b"x"}


def modes(pane, name):
    """What the terminal is set to, as the shell in it finds it."""
    pane.command(f"stty -g >{name}.new; mv {name}.new {name}")
    return until("the modes", lambda: pane.world.read(f"home/{name}"))


def comes_back(world, end, code):
    """Ends the program in its pane and checks that the pane is as before."""
    pane = Pane(world)
    before = modes(pane, "before")
    pane.command("keywright --sandbox; echo ended with $?")
    pane.wait("notebook")
    equal((pane.ask("#{alternate_on}"), pane.ask("#{cursor_flag}")), ("1", "0"))
    until("pastes bracketed", lambda: pasting(pane))
    end(pane)
    pane.wait(rf"^ended with {code}$", within=5)
    is_whole(pane)
    equal(modes(pane, "after"), before)


def is_whole(pane):
    pane.wait_shell()
    equal((pane.ask("#{alternate_on}"), pane.ask("#{cursor_flag}")), ("0", "1"))
    until("pastes no longer bracketed", lambda: not pasting(pane))
    # The previous content is shown again.
    pane.wait(r"^\$ keywright --sandbox")
    until("every mode reset", lambda: left_set(pane.written()) == set())


def pasting(pane):
    """Whether pastes are bracketed now, by the last that was written about it."""
    return re.findall(rb"\x1b\[\?2004([hl])", pane.written())[-1:] == [b"h"]


def left_set(written):
    """The modes that were set by what was written to a terminal, and not reset since."""
    left = set()
    for mode, end in re.findall(rb"\x1b\[\?([\d;]+)([hl])", written):
        for one in mode.split(b";"):
            # The cursor alone is shown from the start.
            (left.discard if (end == b"l") != (one == b"25") else left.add)(one)
    keyboard = len(re.findall(rb"\x1b\[[>=][\d;]*u", written)) - len(re.findall(rb"\x1b\[<\d*u", written))
    if keyboard or re.findall(rb"\x1b\[>4(;\d+)?m", written)[-1:] not in ([], [b""]):
        left.add(b"keyboard")
    # The keypad, a region that scrolls, the cursor's shape, the title: the program never sets them.
    left |= {one for one in re.findall(rb"\x1b=|\x1b\[[\d;]+r|\x1b\[\d q|\x1b\][012];", written)}
    colours = re.findall(rb"\x1b\[([\d;]*)m", written)
    if colours and colours[-1] not in (b"", b"0"):
        left.add(b"colours")
    return left


class Terminal:
    """A terminal of its own for one program, without a shell that would reset it."""

    def __init__(self, world, *command, stdout=None, **env):
        self.master, self.line = pty.openpty()
        fcntl.ioctl(self.line, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(self.line)
        self.written = b""
        self.program = subprocess.Popen(
            command, stdin=self.line, stdout=stdout or self.line, stderr=self.line, cwd=world.home,
            env={**world.env, "TERM": "xterm-256color", **env}, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        try:
            while part := os.read(self.master, 65536):
                self.written += part
        except OSError:
            pass

    def type(self, keys):
        os.write(self.master, keys)

    def wait(self, words):
        until(f"{words!r} written", lambda: words in self.written)

    def modes(self):
        return termios.tcgetattr(self.line)

    def expect_restored(self, case, code=0):
        """Waits until the program has ended and checks that the terminal is as before."""
        equal((case, self.program.wait(timeout=10)), (case, code))
        # Its last output may not be read yet.
        until(f"every mode reset, {case}", lambda: left_set(self.written) == set(), within=2)
        equal((case, self.modes()), (case, self.before))
        self.close()

    def close(self):
        os.close(self.line)
        # A thread that still reads would read from the next terminal with the same descriptor.
        self.reader.join(timeout=5)
        os.close(self.master)


def playground(world):
    terminal = Terminal(world, "keywright", "--sandbox")
    terminal.wait(b"notebook")
    until("its modes", lambda: {b"1049", b"2004", b"25", b"1000"} <= left_set(terminal.written))
    assert not terminal.modes()[3] & (termios.ECHO | termios.ICANON)
    return terminal


@test
def every_screen_restores_the_terminal_on_every_signal_and_quit_key(world):
    for screen, keys in SCREENS.items():
        for end in ("TERM", "HUP", "INT", "QUIT", b"\x03"):
            terminal = playground(world)
            drawn = len(terminal.written)
            terminal.type(keys)
            if keys:
                until(screen, lambda: len(terminal.written) > drawn)
            if isinstance(end, bytes):
                terminal.type(end)
            else:
                os.kill(terminal.program.pid, getattr(signal, f"SIG{end}"))
            terminal.expect_restored(f"{screen}, {end}")


@test
def a_signal_at_any_moment_of_the_start_restores_the_terminal(world):
    began = time.monotonic()
    terminal = playground(world)
    takes = time.monotonic() - began
    terminal.type(b"q")
    terminal.expect_restored("q")
    chance = random.Random(os.environ.get("SEED", "20261125"))
    for _ in range(int(os.environ.get("MOMENTS", "40"))):
        moment = chance.uniform(0, takes)
        terminal = Terminal(world, "keywright", "--sandbox")
        time.sleep(moment)
        terminal.program.terminate()
        code = terminal.program.wait(timeout=10)
        assert code in (0, -signal.SIGTERM), (moment, code)
        until(f"every mode reset after {moment:.4f} s", lambda: left_set(terminal.written) == set(), 2)
        equal((moment, terminal.modes()), (moment, terminal.before))
        terminal.close()


@test
def a_panic_of_the_program_restores_the_terminal_and_is_reported(world):
    terminal = playground(world)
    pid = terminal.program.pid
    # A thread that cannot be started is a panic of the runtime. Those that idle end after ten
    # seconds.
    with open(f"/proc/{pid}/statm", encoding="ascii") as pages:
        size = int(pages.read().split()[0]) * resource.getpagesize()
    time.sleep(11)
    resource.prlimit(pid, resource.RLIMIT_AS, (size - (1 << 20), resource.RLIM_INFINITY))
    terminal.type(b"r")
    terminal.wait(b"panicked at")
    terminal.expect_restored("a panic", -signal.SIGABRT)
    # Below what was restored, not on the screen that went.
    assert terminal.written.rindex(b"\x1b[?1049l") < terminal.written.rindex(b"panicked at")


@test
def a_full_output_is_reported_and_the_terminal_is_not_changed(world):
    world.keyring()
    server, _ = world.sandbox()
    key = world.create_key(server, "full")
    with open("/dev/full", "wb") as full:
        terminal = Terminal(world, "keywright", "--server", server, stdout=full)
        terminal.wait(b"needs a terminal")
        terminal.expect_restored("the dashboard", 1)
        for command in (["get", "full"], ["list"], ["list", "--json"], ["show", "full"], ["env", "--shell", "bash", "full"]):
            terminal = Terminal(world, "keywright", *command, "--server", server, stdout=full)
            code = terminal.program.wait(timeout=10)
            assert code not in (0, None) and code > 0, (command, code)
            until(f"words about {command}: {terminal.written}", lambda: b"keywright: " in terminal.written)
            assert key.encode() not in terminal.written
            equal((command, terminal.modes(), left_set(terminal.written)), (command, terminal.before, set()))
            terminal.close()


@test
def a_prompt_restores_the_terminal_on_every_signal(world):
    file_store(world)
    del world.env["KEYWRIGHT_PASSPHRASE_FILE"]
    for end in ("TERM", "HUP", "INT", "QUIT"):
        terminal = Terminal(world, "keywright", "get", "x")
        terminal.wait(b"passphrase for vault.age")
        until("no echo", lambda: not terminal.modes()[3] & termios.ECHO)
        os.kill(terminal.program.pid, getattr(signal, f"SIG{end}"))
        terminal.expect_restored(end, 5)
    # Stopped, it has the terminal's echo on, and off again when it goes on.
    terminal = Terminal(world, "keywright", "get", "x")
    terminal.wait(b"passphrase for vault.age")
    until("no echo", lambda: not terminal.modes()[3] & termios.ECHO)
    os.kill(terminal.program.pid, signal.SIGTSTP)
    until("the echo", lambda: terminal.modes() == terminal.before)
    os.kill(terminal.program.pid, signal.SIGCONT)
    until("no echo", lambda: not terminal.modes()[3] & termios.ECHO)
    terminal.type(f"{PASSPHRASE}\n".encode())
    terminal.expect_restored("a passphrase", 3)
    assert PASSPHRASE.encode() not in terminal.written


@test
def a_lost_ssh_connection_ends_the_program_and_closes_its_port(world):
    world.keyring()
    server, management = world.sandbox()
    before = names(server, management)
    port, options = sshd(world)
    world.set_browser()
    dashboard = remote_command(world, "keywright", "--server", server)
    pane = Pane(world, size=(100, 40))
    connected = ["ssh", "-t", "-p", str(port), *options, "root@127.0.0.1", dashboard]
    pane.command(shlex.join(connected))
    pane.wait("Keywright ·")
    pane.fill("lost")
    pane.wait_words("paste the code it shows")
    table, ours = parents(), descendants(os.getpid())
    [pid] = [pid for pid in ours if program_of(pid) == "keywright" and "sandbox" not in arguments(pid)]
    session = pid
    while program_of(session) != "sshd":
        session = table[session]
    os.kill(session, signal.SIGKILL)
    until("the program gone", lambda: not runs(pid), within=5)
    until("the attempt's secrets gone", lambda: world.attempts() == [], within=5)
    equal(names(server, management), before)


def program_of(pid):
    try:
        return program(pid)
    except (FileNotFoundError, ProcessLookupError):
        return ""


def arguments(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as line:
            return line.read().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []


@test
def quitting_restores_the_terminal(world):
    comes_back(world, lambda pane: pane.press("q"), 0)


@test
def ctrl_c_restores_the_terminal(world):
    comes_back(world, lambda pane: pane.press("C-c"), 0)


@test
def ctrl_z_restores_the_terminal_until_the_program_continues(world):
    pane = Pane(world)
    before = modes(pane, "before")
    pane.command("keywright --sandbox")
    pane.wait("notebook")
    pane.press("C-z")
    pane.wait("Stopped", within=5)
    is_whole(pane)
    equal(modes(pane, "stopped"), before)
    pane.command("fg")
    pane.wait("notebook", within=5)
    equal((pane.ask("#{alternate_on}"), pane.ask("#{cursor_flag}")), ("1", "0"))
    until("pastes bracketed", lambda: pasting(pane))
    pane.press("?")
    pane.wait("esc back")
    # One after the other: together they would be alt-q.
    pane.press("Escape")
    pane.wait("notebook")
    pane.press("q")
    is_whole(pane)
    equal(modes(pane, "after"), before)


@test
def a_stopped_program_is_terminated_without_using_the_terminal(world):
    pane = Pane(world)
    before = modes(pane, "before")
    for signal_ in ("TERM", "HUP", "INT", "QUIT"):
        pane.command("clear; keywright --sandbox")
        pane.wait("notebook")
        pid = pane.pid()
        pane.press("C-z")
        pane.wait("Stopped", within=5)
        # With SIGCONT after it, as a shell does; in the background.
        pane.command(f"clear; kill -{signal_} %1; kill -CONT %1")
        until(f"its end by {signal_}", lambda: not runs(pid), within=5)
        equal((pane.ask("#{alternate_on}"), pane.ask("#{cursor_flag}")), ("0", "1"))
        until("every mode reset", lambda: left_set(pane.written()) == set())
        equal(modes(pane, f"after {signal_}".replace(" ", "")), before)


@test
def a_closed_terminal_ends_the_program_and_closes_its_port(world):
    world.keyring()
    server, _ = world.sandbox()
    world.set_browser()
    pane = Pane(world)
    pane.dashboard("--server", server)
    pane.fill("closed")
    port, pid = port_of(pane.address()), pane.pid()
    assert not is_closed(port)
    pane.tmux("kill-server")
    world.panes.remove(pane)
    until("the program gone", lambda: not runs(pid), within=5)
    assert is_closed(port)
    until("the attempt's secrets gone", lambda: world.attempts() == [], within=5)
