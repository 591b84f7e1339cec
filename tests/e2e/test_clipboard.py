"""Where a copied key goes, and that it does not stay there."""

from rig import Pane, consent, equal, fetch, test, until
from test_memory import left

SSH = {"SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22"}


def revealed(world, **options):
    """A pane with a key that was just cut, and the key."""
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
def a_copied_key_is_on_the_clipboard_until_the_program_is_left(world):
    world.display()
    pane, key = revealed(world)
    equal(world.clipboard(), "")
    pane.press("c")
    pane.wait_words("Copied; clears in 45 s")
    equal(world.clipboard(), key)
    pane.press("q")
    pane.wait_shell()
    pane.wait_words("cleared the clipboard")
    equal(world.clipboard(), "")


@test
def a_copied_key_is_cleared_after_45_seconds_from_the_clipboard_and_from_memory(world):
    world.display()
    pane, key = revealed(world)
    pane.press("Escape")
    pane.wait("1 key stored")
    pid = pane.pid()
    equal(left(pid, {"key": key}), [])
    pane.press("c")
    pane.wait_words("Copied; clears in 45 s")
    equal(world.clipboard(), key)
    assert left(pid, {"key": key}), "whoever offers it has it"
    pane.wait_words("Cleared the clipboard", within=50)
    equal(world.clipboard(), "")
    equal(left(pid, {"key": key}), [])


@test
def what_another_program_copied_meanwhile_is_left_alone(world):
    world.display()
    pane, key = revealed(world)
    pane.press("c")
    until("the key on the clipboard", lambda: world.clipboard() == key)
    other = world.write("other", "something else")
    world.spawn(["xclip", "-in", "-selection", "clipboard", other], "xclip.log")
    until("something else on the clipboard", lambda: world.clipboard() == "something else")
    pane.press("q")
    pane.wait_shell()
    equal(world.clipboard(), "something else")


@test
def over_ssh_a_copied_key_goes_to_the_terminal_by_osc_52(world):
    pane, key = revealed(world, **SSH)
    equal(pane.buffers(), [])
    pane.press("c")
    pane.wait_words("Sent to the terminal's clipboard")
    until("the key in the terminal's clipboard", lambda: pane.buffers() == [key])
    until("OSC 52 in the record", lambda: b"\x1b]52;c;" in pane.written())


@test
def inside_tmux_a_copied_key_goes_into_a_buffer_and_leaves_it_with_the_program(world):
    # This tmux drops OSC 52, so what is in its buffer came another way.
    pane, key = revealed(world, inside_tmux=True, clipboard="off", **SSH)
    pane.press("c")
    pane.wait_words("Copied to a tmux buffer")
    equal(pane.buffers(), [key])
    assert b"\x1b]52;" not in pane.written()
    pane.press("q")
    pane.wait_shell()
    equal(pane.buffers(), [])
