"""The console of Wine, in which the user would type."""

import os
import pty
import re
import select
import sys
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

from support import until  # noqa: E402

from prefix import WINE  # noqa: E402


class Console:
    """The program in a console of Wine, which draws into a pseudo-terminal."""

    def __init__(self, world, *arguments):
        self.output = b""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            # Wine leaves the echo of the pseudo-terminal on: what is echoed then is the console's doing.
            modes = termios.tcgetattr(0)
            modes[3] &= ~termios.ECHO
            termios.tcsetattr(0, termios.TCSANOW, modes)
            os.execvpe(WINE, [WINE, *world.arguments(*arguments)], world.prefix.env)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.terminal)

    def read(self):
        """Reads what is there; returns whether the console is still open."""
        if select.select([self.terminal], [], [], 0.05)[0]:
            try:
                self.output += os.read(self.terminal, 65536)
            except OSError:
                return False
        return True

    def text(self):
        """Returns the output without the sequences that Wine writes around each character."""
        return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]", b"", self.output).decode(errors="replace")

    def wait(self, words):
        """Reads until words are there."""
        def is_there():
            self.read()
            return words in self.text()

        try:
            until(words, is_there, 30)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.output}") from error

    def type(self, text):
        os.write(self.terminal, text.encode())

    def end(self):
        """Returns the exit code, of 8 bits."""
        end = time.monotonic() + 30
        while self.read():
            if time.monotonic() > end:
                raise AssertionError(f"the program did not end: {self.output}")
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
