#!/usr/bin/env python3
"""Makes the README's pictures and its animation from the real program: assets/pictures/*.svg.

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
COLUMNS, ROWS = 120, 34
CELL, LINE, MARGIN = 8.4, 18, 14
BACKGROUND, FOREGROUND = "#16181d", "#d8dbe2"
# The first sixteen colours of the palette.
SIXTEEN = ["#16181d", "#e06c75", "#8cc570", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d8dbe2",
           "#7f848e", "#f28b82", "#a5d88f", "#f0d399", "#82c3f5", "#d7a1e7", "#7cd0da", "#ffffff"]
# Bars from the left and from the bottom, in eighths of a cell.
FROM_LEFT, FROM_BOTTOM = "▏▎▍▌▋▊▉█", "▁▂▃▄▅▆▇█"
# The seconds for which a frame of the animation is shown.
KEY_PRESS, GLANCE, LOOK = 0.12, 1.2, 3.0


def colour(number):
    """The colour of a number in the palette of 256."""
    if number < 16:
        return SIXTEEN[number]
    if number >= 232:
        return "#" + f"{8 + 10 * (number - 232):02x}" * 3
    levels = [0, 95, 135, 175, 215, 255]
    number -= 16
    return "#" + "".join(f"{levels[number // place % 6]:02x}" for place in (36, 6, 1))


class Screen:
    def __init__(self, folder):
        self.tmux = ["tmux", "-u", "-S", os.path.join(folder, "socket"), "-f", "/dev/null"]
        # A browser that opens nothing: the callback waits, and `y` consents in its place.
        env = {"PATH": os.environ["PATH"], "HOME": folder, "TERM": "xterm-256color",
               "LANG": "C.UTF-8", "BROWSER": "true"}
        subprocess.run([*self.tmux, "new-session", "-d", "-x", str(COLUMNS), "-y", str(ROWS),
                        f"exec {os.path.abspath(PROGRAM)} --sandbox"], check=True, env=env)
        # Screens and the seconds for which the animation shows them.
        self.frames = []

    def send(self, *keys):
        subprocess.run([*self.tmux, "send-keys", *keys], check=True)

    def shown(self):
        return subprocess.run([*self.tmux, "capture-pane", "-p", "-e", "-N"], check=True,
                              capture_output=True, text=True).stdout

    def wait(self, words):
        until = time.monotonic() + 20
        while words not in re.sub(r"\x1b\[[0-9;]*m", "", self.shown()):
            if time.monotonic() > until:
                sys.exit(f"never seen: {words}\n{self.shown()}")
            time.sleep(0.02)

    def settle(self):
        """Waits until the screen stays the same for a fifth of a second."""
        before = None
        while (now := self.shown()) != before:
            before = now
            time.sleep(0.2)

    def record(self, seconds):
        self.frames.append((self.shown(), seconds))

    def type(self, text):
        for letter in text:
            self.send("-l", letter)
            time.sleep(0.05)
            self.record(KEY_PRESS)

    def press(self, *keys, seconds=GLANCE):
        self.send(*keys)
        time.sleep(0.15)
        self.record(seconds)

    def end(self):
        subprocess.run([*self.tmux, "kill-server"], check=False)


def apply_codes(codes, style):
    """The style after a sequence of codes."""
    codes = [int(code or 0) for code in codes.split(";")]
    style = dict(style)
    while codes:
        code = codes.pop(0)
        if code == 0:
            style = {}
        elif code in (1, 2, 7):
            style[code] = True
        elif code == 22:
            style.pop(1, None), style.pop(2, None)
        elif code == 27:
            style.pop(7, None)
        elif code in (38, 48) and codes[:1] == [5]:
            style["fg" if code == 38 else "bg"] = colour(codes[1])
            del codes[:2]
        elif 30 <= code <= 37 or 90 <= code <= 97:
            style["fg"] = SIXTEEN[code - (30 if code < 90 else 82)]
        elif 40 <= code <= 47 or 100 <= code <= 107:
            style["bg"] = SIXTEEN[code - (40 if code < 100 else 92)]
        elif code in (39, 49):
            style.pop("fg" if code == 39 else "bg", None)
    return style


def width(text):
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def rect(x, y, wide, high, fill, more=""):
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{fill}"{more}/>'


def draw_block(char, x, wide, fill):
    """A bar as a rectangle, since fonts leave gaps between their blocks; None for other characters."""
    if char in FROM_LEFT:
        share = (FROM_LEFT.index(char) + 1) / 8
        return rect(x, 0, wide if share == 1 else CELL * share, LINE, fill)
    if char in FROM_BOTTOM:
        high = LINE * (FROM_BOTTOM.index(char) + 1) / 8
        return rect(x, LINE - high, wide, high, fill)
    if char == "░":
        return rect(x, 0, wide, LINE, fill, ' opacity="0.5"')
    if char in "─╌":
        return rect(x, LINE / 2 - 0.5, wide, 1, fill, ' opacity="0.7"' if char == "╌" else "")
    if char in "│┃▌":
        return rect(x + CELL / 2 - 0.5, 0, 1 if char == "│" else 3, LINE, fill)
    return None


def draw_row(line, style):
    """The shapes of a row, and the style that goes on."""
    out, x = [], 0.0
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if part.startswith("\x1b"):
            style = apply_codes(part[2:-1], style)
            continue
        front, back = style.get("fg", FOREGROUND), style.get("bg")
        if style.get(7):
            front, back = back or BACKGROUND, front
        if part and back:
            out.append(rect(x, 0, width(part) * CELL, LINE, back))
        # Runs of one character, and the text between them.
        for piece in re.findall(r"([▁-█▉-▏░─╌│┃])(\1*)|([^▁-█▉-▏░─╌│┃]+)", part):
            text = piece[2] or piece[0] + piece[1]
            wide = width(text) * CELL
            if not piece[2]:
                out.append(draw_block(text[0], x, wide, front))
            elif text.strip():
                more = ' font-weight="bold"' if style.get(1) else ""
                more += ' opacity="0.6"' if style.get(2) else ""
                out.append(f'<text x="{x:.1f}" y="13.5" fill="{front}"{more} xml:space="preserve" '
                           f'textLength="{wide:.1f}" lengthAdjust="spacingAndGlyphs">{html.escape(text)}</text>')
            x += wide
    return "".join(out), style


def draw_rows(screen):
    style, rows = {}, []
    for line in screen.split("\n")[:ROWS]:
        row, style = draw_row(line, style)
        rows.append(row)
    return rows


def svg(*content):
    size = (COLUMNS * CELL + 2 * MARGIN, ROWS * LINE + 2 * MARGIN)
    head = (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]:.0f} {size[1]:.0f}" '
            f'width="{size[0]:.0f}" height="{size[1]:.0f}" font-size="14" '
            f'font-family="ui-monospace, DejaVu Sans Mono, Menlo, Consolas, monospace">')
    return "\n".join([head, f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>',
                      *content, "</svg>\n"])


def draw_picture(screen):
    rows = enumerate(draw_rows(screen))
    return svg(*[f'<g transform="translate({MARGIN} {MARGIN + row * LINE})">{shapes}</g>'
                 for row, shapes in rows if shapes])


def draw_animation(frames):
    """Frames that a style sheet shows in turn. Each different row is written once."""
    total = sum(seconds for _, seconds in frames)
    rows, styles, groups, at = {}, [], [], 0.0
    for number, (screen, seconds) in enumerate(frames):
        begin, end = 100 * at / total, 100 * (at + seconds) / total
        at += seconds
        before = "" if number == 0 else f"0%{{opacity:0}}{begin:.3f}%{{opacity:1}}"
        after = "" if number == len(frames) - 1 else f"{end:.3f}%{{opacity:0}}"
        first = "0%{opacity:1}" if number == 0 else ""
        styles.append(f"@keyframes f{number}{{{first}{before}{after}}}"
                      f"#f{number}{{animation:f{number} {total:.1f}s step-end infinite}}")
        uses = [f'<use href="#r{rows.setdefault(shapes, len(rows))}" x="{MARGIN}" y="{MARGIN + row * LINE}"/>'
                for row, shapes in enumerate(draw_rows(screen)) if shapes]
        groups.append(f'<g id="f{number}" class="f">{"".join(uses)}</g>')
    defs = "".join(f'<g id="r{number}">{shapes}</g>' for shapes, number in rows.items())
    return svg(f"<style>.f{{opacity:0}}{''.join(styles)}</style>", f"<defs>{defs}</defs>", *groups)


def write(name, text):
    with open(os.path.join(HERE, name + ".svg"), "w", encoding="utf-8") as file:
        file.write(text)


def main():
    with tempfile.TemporaryDirectory() as folder:
        screen = Screen(folder)

        def picture(name):
            screen.settle()
            write(name, draw_picture(screen.shown()))

        try:
            screen.wait("credits")
            picture("dashboard")
            screen.record(LOOK)
            screen.press("n")
            screen.wait("Credit limit")
            screen.type("my editor")
            screen.press("Tab", seconds=KEY_PRESS)
            screen.type("5")
            screen.press("Tab", seconds=KEY_PRESS)
            screen.press("w", "Tab")
            screen.type("30d")
            screen.wait("in 30 days")
            picture("form")
            screen.record(LOOK)
            screen.send("C-s")
            screen.wait("elapsed, 9:5")
            picture("sign-in")
            screen.record(LOOK)
            screen.send("y")
            screen.wait("granted as requested")
            picture("new-key")
            screen.record(2 * LOOK)
            screen.send("Escape")
            screen.wait("my editor")
            screen.settle()
            screen.record(2 * LOOK)
            write("create-a-key", draw_animation(screen.frames))
            screen.send("g", "Enter")
            screen.settle()
            picture("details")
            # The program takes escape and a key that follow at once for one key with alt.
            for key, name in [("R", "rotate"), ("a", "account")]:
                screen.send("Escape")
                screen.settle()
                screen.send(key)
                picture(name)
        finally:
            screen.end()


if __name__ == "__main__":
    main()
