"""The terminal comes back as it was, however the program ends."""

import os
import re
import signal

from rig import Pane, equal, is_closed, port_of, runs, test, until


def modes(pane, name):
    """What the terminal is set to, as the shell in it finds it."""
    pane.command(f"stty -g >{name}.new; mv {name}.new {name}")
    return until("the modes", lambda: pane.world.read(f"home/{name}"))


def comes_back(world, end, code):
    """The program is ended in its pane; what the pane is then is what it was before."""
    pane = Pane(world)
    before = modes(pane, "before")
    pane.command("keywright --sandbox; echo ended with $?")
    pane.wait("4 keys held")
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
    # What stood there before the program is there again.
    pane.wait(r"^\$ keywright --sandbox")


def pasting(pane):
    """Whether pastes are bracketed now, by the last that was written about it."""
    return re.findall(rb"\x1b\[\?2004([hl])", pane.written())[-1:] == [b"h"]


@test
def quitting_gives_the_terminal_back(world):
    comes_back(world, lambda pane: pane.press("q"), 0)


@test
def ctrl_c_gives_the_terminal_back(world):
    comes_back(world, lambda pane: pane.press("C-c"), 0)


@test
def sigterm_gives_the_terminal_back(world):
    comes_back(world, lambda pane: os.kill(pane.pid(), signal.SIGTERM), 0)


@test
def sighup_gives_the_terminal_back(world):
    comes_back(world, lambda pane: os.kill(pane.pid(), signal.SIGHUP), 0)


@test
def ctrl_z_gives_the_terminal_back_for_a_while(world):
    pane = Pane(world)
    before = modes(pane, "before")
    pane.command("keywright --sandbox")
    pane.wait("4 keys held")
    pane.press("C-z")
    pane.wait("Stopped", within=5)
    is_whole(pane)
    equal(modes(pane, "stopped"), before)
    pane.command("fg")
    pane.wait("4 keys held", within=5)
    equal((pane.ask("#{alternate_on}"), pane.ask("#{cursor_flag}")), ("1", "0"))
    until("pastes bracketed", lambda: pasting(pane))
    pane.press("?")
    pane.wait("esc back")
    # One after the other: together they would be alt-q.
    pane.press("Escape")
    pane.wait("4 keys held")
    pane.press("q")
    is_whole(pane)
    equal(modes(pane, "after"), before)


@test
def a_terminal_that_is_closed_takes_the_program_and_its_port_with_it(world):
    world.keyring()
    server, _ = world.sandbox()
    world.be_browser()
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
