"""A terminal in which a test runs a program: a shell in a private tmux."""

import re
import shlex
import subprocess

from support import parents, program, until

TMUX = """set -s escape-time 0
set -s set-clipboard {clipboard}
set -g default-terminal tmux-256color
set -g default-shell /bin/bash
set -g status off
set -g remain-on-exit on
"""


class Pane:
    """A shell in a terminal of 80 by 24, inside a private tmux."""

    def __init__(self, world, size=(80, 24), clipboard="on", inside_tmux=False, **env):
        self.world = world
        self.name = f"tmux{len(world.panes)}"
        self.log = f"{self.name}.typed"
        config = world.write(f"{self.name}.conf", TMUX.format(clipboard=clipboard))
        # Otherwise the shell would turn bracketed paste on and off as well.
        quiet = world.write("inputrc", "set enable-bracketed-paste off\n")
        self.env = {**world.env, "HISTFILE": "", "INPUTRC": quiet, **env}
        shell = "export PS1='$ '; exec bash --norc --noprofile -i"
        if not inside_tmux:
            shell = f"unset TMUX TMUX_PANE; export TERM=xterm-256color; {shell}"
        self.tmux(
            "-f", config, "new-session", "-d", "-x", str(size[0]), "-y", str(size[1]),
            "-c", world.home, shell,
        )
        world.panes.append(self)
        # Started first, so that it contains every byte written to the terminal.
        self.tmux("pipe-pane", f"cat >>{shlex.quote(world.path(self.log))}")
        self.wait_shell()

    def tmux(self, *arguments, check=True):
        ended = subprocess.run(
            ["tmux", "-u", "-S", self.world.path(self.name), *arguments],
            env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10,
        )
        if check and ended.returncode != 0:
            raise AssertionError(f"tmux {arguments[0]}: {ended.stderr.strip()}")
        return ended.stdout

    def ask(self, format):
        return self.tmux("display-message", "-p", format).strip()

    def screen(self):
        return self.tmux("capture-pane", "-p", check=False).rstrip()

    def words(self):
        """The text of the screen with line breaks removed."""
        return " ".join(self.screen().split())

    def written(self):
        """All bytes written to the terminal."""
        with open(self.world.path(self.log), "rb") as log:
            return log.read()

    def wait(self, pattern, within=10):
        """Waits until the screen matches."""
        return until(
            f"{pattern} on the screen", lambda: re.search(pattern, self.screen(), re.M), within
        )

    def wait_words(self, words, within=10):
        until(f"{words!r} on the screen", lambda: words in self.words(), within)

    def wait_shell(self, within=10):
        """Waits until the shell shows its prompt."""
        self.wait(r"^\$$", within)

    def wait_gone(self, words, within=10):
        until(f"{words!r} gone", lambda: words not in self.words(), within)

    def type(self, text):
        self.tmux("send-keys", "-l", "--", text)

    def press(self, *keys):
        """Presses keys, given by tmux's names."""
        self.tmux("send-keys", "--", *keys)

    def paste(self, text):
        """Pastes text as a terminal does, bracketed where the program enabled that."""
        self.tmux("set-buffer", "-b", "pasted", "--", text)
        self.tmux("paste-buffer", "-p", "-d", "-b", "pasted")

    def command(self, line):
        # The terminal would show text twice that is typed before the prompt.
        self.wait_shell()
        self.type(line)
        self.press("Enter")

    def dashboard(self, *arguments):
        """Starts the dashboard and waits for its first screen."""
        self.command(shlex.join(["keywright", *arguments]))
        self.wait(r"\d/\d+\b|No keys are stored")

    def pid(self):
        """The process id of the dashboard in this pane."""
        shell = int(self.ask("#{pane_pid}"))
        children = [pid for pid, parent in parents().items() if parent == shell]
        found = [pid for pid in children if program(pid) == "keywright"]
        assert len(found) == 1, f"in the pane run {[program(pid) for pid in children]}"
        return found[0]

    def fill(self, label, limit="", reset="", expires=""):
        """Opens the form, fills in its fields, and submits it."""
        self.press("n")
        self.wait("a new key")
        # A field keeps its default where nothing is typed.
        for field, text in enumerate((label, limit, reset, expires)):
            if field:
                self.press("Enter")
            if text:
                self.type(text)
        # Also where the form has fields for a workspace and a guardrail.
        self.press("C-s")

    def address(self):
        """The address on the waiting screen: whole lines from the first column on."""
        self.wait(r"^https?://")
        lines = self.screen().split("\n")
        first = next(n for n, line in enumerate(lines) if re.match("https?://", line))
        last = first
        while len(lines[last]) == 80:
            last += 1
        return "".join(lines[first : last + 1])

    def joined(self):
        """The screen without what lies between the rows of a wrapped value."""
        return re.sub(r"[\s┃│]", "", self.screen())

    def buffers(self):
        """The contents of the buffers of this tmux."""
        names = self.tmux("list-buffers", "-F", "#{buffer_name}", check=False).split()
        # A buffer may be deleted meanwhile.
        shown = [self.tmux("show-buffer", "-b", name, check=False) for name in names]
        return [content for content in shown if content]
