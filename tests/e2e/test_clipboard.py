"""Copying keys to the clipboard, to tmux and to the terminal, and clearing them."""

import os

from rig import Pane, consent, contains, equal, fetch, test, until
from test_memory import find_remains

SSH = {"SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22"}


def with_new_key(world, **options):
    """Returns a pane that shows a newly created key, and the key."""
    world.keyring()
    server, _ = world.sandbox()
    world.set_browser()
    pane = Pane(world, **options)
    pane.dashboard("--server", server)
    pane.fill("copied")
    equal(fetch(consent(pane.address()))[0], 200)
    pane.wait_words("copied was created and stored")
    return pane, world.lookup(server, "copied")


@test
def a_copied_key_is_cleared_when_the_program_quits(world):
    world.display()
    pane, key = with_new_key(world)
    equal(world.clipboard(), "")
    pane.press("c")
    pane.wait_words("Copied the key; clears in 45 s")
    equal(world.clipboard(), key)
    pane.press("q")
    pane.wait_shell()
    pane.wait_words("cleared the clipboard")
    equal(world.clipboard(), "")


@test
def after_45_seconds_a_copied_key_is_cleared_from_clipboard_and_memory(world):
    world.display()
    pane, key = with_new_key(world)
    pane.press("Escape")
    pane.wait(r"\d/1\b")
    pid = pane.pid()
    equal(find_remains(pid, {"key": key}), [])
    pane.press("c")
    pane.wait_words("Copied the key 'copied'; clears in 45 s")
    equal(world.clipboard(), key)
    assert find_remains(pid, {"key": key}), "the process that serves the clipboard contains it"
    pane.wait_words("Cleared the clipboard", within=50)
    equal(world.clipboard(), "")
    equal(find_remains(pid, {"key": key}), [])


@test
def content_from_another_program_is_not_cleared(world):
    world.display()
    pane, key = with_new_key(world)
    pane.press("c")
    until("the key on the clipboard", lambda: world.clipboard() == key)
    other = world.write("other", "something else")
    world.spawn(["xclip", "-in", "-selection", "clipboard", other], "xclip.log")
    until("something else on the clipboard", lambda: world.clipboard() == "something else")
    pane.press("q")
    pane.wait_shell()
    equal(world.clipboard(), "something else")


@test
def over_ssh_a_copied_key_is_sent_by_osc_52(world):
    pane, key = with_new_key(world, **SSH)
    equal(pane.buffers(), [])
    pane.press("c")
    pane.wait_words("Sent the key to the terminal's clipboard")
    until("the key in the terminal's clipboard", lambda: pane.buffers() == [key])
    until("OSC 52 in the record", lambda: b"\x1b]52;c;" in pane.written())


@test
def inside_tmux_a_copied_key_is_in_a_buffer_until_the_program_quits(world):
    # This tmux drops OSC 52, so its buffer was filled by `tmux load-buffer`.
    pane, key = with_new_key(world, inside_tmux=True, clipboard="off", **SSH)
    pane.press("c")
    pane.wait_words("Copied the key to a tmux buffer")
    equal(pane.buffers(), [key])
    assert b"\x1b]52;" not in pane.written()
    pane.press("q")
    pane.wait_shell()
    equal(pane.buffers(), [])


COPY = "keywright --sandbox copy laptop"


@test
def a_stale_tmux_or_display_does_not_prevent_a_copy_by_the_terminal(world):
    for stale in ("TMUX=/nonexistent/socket,1,0", "DISPLAY=:4711", "DISPLAY=:4711 TMUX=/none,1,0"):
        pane = Pane(world, size=(220, 24))
        pane.command(f"{stale} {COPY}")
        pane.wait_words("sent laptop to the terminal's clipboard")
        until("the key in the terminal's clipboard", lambda: len(pane.buffers()) == 1)
        assert pane.buffers()[0].startswith("sk-or-v1-"), stale
        pane.command(f"clear; {stale} keywright --sandbox doctor | grep -A1 clipboard")
        pane.wait_words("keys are sent through the terminal (OSC 52); not tried")
        contains(pane.words(), "no tmux server answers" if stale.startswith("TMUX") else "the clipboard cannot be used")


@test
def a_dumb_terminal_gets_no_osc_52(world):
    pane = Pane(world, clipboard="off")
    for option in ("", " --osc52"):
        pane.command(f"clear; TERM=dumb {COPY}{option}; echo code $?")
        pane.wait_words("code 1")
        contains(pane.words(), "nothing was copied: the terminal has no clipboard (TERM=dumb)")
    assert b"\x1b]52;" not in pane.written()


@test
def copy_says_whether_tmux_sends_the_key_on(world):
    for clipboard, attached, words in (
        ("off", False, "to a tmux buffer only, which is deleted in 45 s"),
        ("external", False, "no terminal is attached to it"),
        ("external", True, "tmux also sent it to the outer tmux or screen, which may drop it"),
    ):
        pane = Pane(world, size=(160, 24), inside_tmux=True, clipboard=clipboard)
        if attached:
            outer = Pane(world, size=(160, 30))
            outer.command(f"TERM=tmux-256color exec tmux -u -S {world.path(pane.name)} attach")
            until("an attached client", lambda: pane.tmux("list-clients"))
        pane.command(COPY)
        pane.wait_words(words)
        equal(len(pane.buffers()), 1)


@test
def a_terminated_copy_clears_the_key_first(world):
    world.display()
    for name in ("TERM", "HUP", "INT"):
        pane = Pane(world, inside_tmux=True, clipboard="off")
        for method, read in (
            ("DISPLAY=", pane.buffers),
            ("", lambda: [world.clipboard()] if world.clipboard() else []),
        ):
            pane.command(f"clear; {method} {COPY}")
            pane.wait_words("copied laptop to")
            until("the copied key", lambda: len(read()) == 1)
            pane.command(f"pkill -{name} -x keywright -P {os.getpid()}")
            until("no key", lambda: read() == [], within=3)
