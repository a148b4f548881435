#!/usr/bin/env python3
"""Draws what a terminal showed, read from standard input, as an SVG on standard output.

    rusuden demo | sed "/^Fetch it/,$d" | python3 assets/terminal_svg.py 'make demo' > assets/demo.svg
"""

import html
import sys
import unicodedata

LINE_PX, CHAR_PX, MARGIN_PX, COLUMNS = 20, 8.4, 16, 118


def columns(text):
    """Cells that the text takes: East Asian wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def wrapped(line):
    """The line in pieces that fit, later ones indented as the first one's text."""
    indent = " " * 14
    piece = ""
    for char in line:
        if columns(piece + char) > COLUMNS:
            yield piece
            piece = indent
        piece += char
    yield piece


def main():
    """One text element a line."""
    shown = [f"$ {sys.argv[1]}", ""] + sys.stdin.read().rstrip().split("\n")
    lines = [piece for line in shown for piece in wrapped(line)]
    width = int(COLUMNS * CHAR_PX + 2 * MARGIN_PX)
    height = len(lines) * LINE_PX + 2 * MARGIN_PX
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'font-family="ui-monospace, Menlo, Consolas, \'Noto Sans Mono CJK JP\', monospace" '
        f'font-size="14"><rect width="100%" height="100%" rx="8" fill="#14171c"/>'
    )
    for number, line in enumerate(lines):
        y = MARGIN_PX + (number + 1) * LINE_PX - 6
        colour = "#8ad18a" if line.startswith("$") else "#dfe3ea"
        print(
            f'<text x="{MARGIN_PX}" y="{y}" fill="{colour}" xml:space="preserve">'
            f"{html.escape(line)}</text>"
        )
    print("</svg>")


if __name__ == "__main__":
    main()
