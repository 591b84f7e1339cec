"""Copying keys to the clipboard, to tmux and to the terminal, and clearing them."""

from rig import Pane, consent, equal, fetch, test, until
from test_memory import find_remains

SSH = {"SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22"}


def with_new_key(world, **options):
    """Returns a pane that shows a newly created key, and the key."""
    world.keyring()
    server, _ = world.sandbox()
    world.be_browser()
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
    pane.wait_words("Copied; clears in 45 s")
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
    pane.wait("1 key stored")
    pid = pane.pid()
    equal(find_remains(pid, {"key": key}), [])
    pane.press("c")
    pane.wait_words("Copied; clears in 45 s")
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
    pane.wait_words("Sent to the terminal's clipboard")
    until("the key in the terminal's clipboard", lambda: pane.buffers() == [key])
    until("OSC 52 in the record", lambda: b"\x1b]52;c;" in pane.written())


@test
def inside_tmux_a_copied_key_is_in_a_buffer_until_the_program_quits(world):
    # This tmux drops OSC 52, so its buffer was filled by `tmux load-buffer`.
    pane, key = with_new_key(world, inside_tmux=True, clipboard="off", **SSH)
    pane.press("c")
    pane.wait_words("Copied to a tmux buffer")
    equal(pane.buffers(), [key])
    assert b"\x1b]52;" not in pane.written()
    pane.press("q")
    pane.wait_shell()
    equal(pane.buffers(), [])
