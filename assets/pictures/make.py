#!/usr/bin/env python3
"""Makes the README's pictures from the real program: assets/pictures/*.svg.

    cargo build --release && python3 assets/pictures/make.py [PROGRAM]

Plays the sandbox in a private tmux and draws its screens as SVG. Needs tmux and nothing else.
"""
import html
import os
import re
import subprocess
import sys
import tempfile
import time
import unicodedata

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "../../target/release/keywright")
COLUMNS, ROWS = 100, 28
CELL, LINE, MARGIN = 8.4, 18, 14
BACKGROUND, FOREGROUND = "#16181d", "#d8dbe2"
COLOURS = {30: "#16181d", 31: "#e06c75", 32: "#8cc570", 33: "#e5c07b", 34: "#61afef",
           35: "#c678dd", 36: "#56b6c2", 37: "#d8dbe2", 90: "#7f848e", 91: "#f28b82",
           92: "#a5d88f", 93: "#f0d399", 94: "#82c3f5", 95: "#d7a1e7", 96: "#7cd0da", 97: "#ffffff"}


class Screen:
    def __init__(self, folder):
        self.tmux = ["tmux", "-u", "-S", os.path.join(folder, "socket"), "-f", "/dev/null"]
        # A browser that opens nothing: the callback waits, and `y` consents in its place.
        env = {"PATH": os.environ["PATH"], "HOME": folder, "TERM": "xterm-256color",
               "LANG": "C.UTF-8", "BROWSER": "true"}
        subprocess.run([*self.tmux, "new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS),
                        f"exec {os.path.abspath(PROGRAM)} --sandbox"], check=True, env=env)

    def send(self, *keys):
        subprocess.run([*self.tmux, "send-keys", *keys], check=True)

    def shown(self):
        return subprocess.run([*self.tmux, "capture-pane", "-p", "-e"], check=True,
                              capture_output=True, text=True).stdout

    def wait(self, words):
        until = time.monotonic() + 20
        while words not in re.sub(r"\x1b\[[0-9;]*m", "", self.shown()):
            if time.monotonic() > until:
                sys.exit(f"never seen: {words}\n{self.shown()}")
            time.sleep(0.02)

    def end(self):
        subprocess.run([*self.tmux, "kill-server"], check=False)


def runs(line, style):
    """Pieces of a line with their style, and the style that goes on."""
    pieces = []
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if not part.startswith("\x1b"):
            if part:
                pieces.append((part, dict(style)))
            continue
        # The sixteen colours come in either form: 36, or 38;5;6.
        codes = re.sub(r"38;5;(\d+)", lambda m: str((30 if int(m[1]) < 8 else 82) + int(m[1])),
                       part[2:-1])
        for code in [int(code or 0) for code in codes.split(";")]:
            if code == 0:
                style = {}
            elif code in (1, 2, 7):
                style[code] = True
            elif code == 22:
                style.pop(1, None), style.pop(2, None)
            elif code == 27:
                style.pop(7, None)
            elif code in COLOURS:
                style["fg"] = COLOURS[code]
            elif code == 39:
                style.pop("fg", None)
    return pieces, style


def width(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def svg(screen):
    size = (COLUMNS * CELL + 2 * MARGIN, ROWS * LINE + 2 * MARGIN)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]:.0f}" height="{size[1]:.0f}" '
           f'font-family="ui-monospace, DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="14">',
           f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>']
    style = {}
    for row, line in enumerate(screen.split("\n")[:ROWS]):
        pieces, style = runs(line, style)
        x, y = MARGIN, MARGIN + row * LINE
        for text, look in pieces:
            wide = width(text) * CELL
            colour = look.get("fg", FOREGROUND)
            if look.get(7):
                out.append(f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="{LINE}" fill="{colour}"/>')
                colour = BACKGROUND
            if text.strip():
                more = ' font-weight="bold"' if look.get(1) else ""
                more += ' opacity="0.6"' if look.get(2) else ""
                out.append(f'<text x="{x:.1f}" y="{y + 13.5}" fill="{colour}"{more} xml:space="preserve" '
                           f'textLength="{wide:.1f}" lengthAdjust="spacingAndGlyphs">{html.escape(text)}</text>')
            x += wide
    out.append("</svg>\n")
    return "\n".join(out)


def main():
    with tempfile.TemporaryDirectory() as folder:
        screen = Screen(folder)

        def picture(name):
            with open(os.path.join(HERE, name + ".svg"), "w", encoding="utf-8") as file:
                file.write(svg(screen.shown()))

        try:
            screen.wait("as of")
            picture("dashboard")
            screen.send("n")
            screen.wait("Credit limit")
            screen.send("-l", "my editor")
            screen.send("Tab")
            screen.send("-l", "5")
            screen.send("Tab", "w", "Tab")
            screen.send("-l", "30d")
            screen.wait("in 30 days")
            picture("form")
            screen.send("C-s")
            screen.wait("elapsed, 9:5")
            picture("login")
            screen.send("y")
            screen.wait("granted as requested")
            picture("reveal")
            # Some days of a key that is used.
            screen.send("Escape")
            screen.wait("laptop")
            screen.send("g", "Enter")
            screen.wait("account")
            for days in range(5):
                if days:
                    screen.send(">")
                    screen.wait("One day passed")
                if days != 2:
                    screen.send("+")
                    screen.wait("spent on this key")
            # The figures follow the words.
            time.sleep(1)
            picture("details")
            screen.send("Escape", "R")
            screen.wait("rotate")
            picture("rotate")
        finally:
            screen.end()


main()
