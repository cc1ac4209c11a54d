"""The page of a run as a browser draws it, by day and at night: it fits, says nothing on its console, loads nothing."""

import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import pytest

from launch.page.page import page
from launch.page.reading import read_run
from tests.launch.runs import start, steps_of, write

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PAPER = {"day": (255, 255, 255), "night": (21, 24, 29)}


@pytest.mark.ci
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (Debian, Ubuntu: apt install chromium)")
@pytest.mark.parametrize("light", ["day", "night"])
def test_a_browser_draws_the_page(tmp_path: Path, light: str) -> None:
    ranks = {rank: [start(rank), *steps_of(rank, 100, slow=1)] for rank in (0, 1)}
    run = write(tmp_path / "run", ranks, result={"exit_code": 0})
    (tmp_path / "page.html").write_text(page(read_run(run)))
    said = browse(tmp_path, "--screenshot=shot.png", light=light)
    assert "CONSOLE" not in said, said
    width, rows = pixels(tmp_path / "shot.png")
    assert (width, len(rows)) == (1120, 2400)
    colours = {rows[y][x] for y in range(0, 2400, 8) for x in range(0, width, 8)}
    assert rows[2][2] == PAPER[light]
    assert len(colours) > 20  # bars, curves, letters
    # Nothing sticks out at the right, where a page that is too wide would have something.
    assert {row[width - 6] for row in rows} == {PAPER[light]}


def browse(folder: Path, *options: str, light: str) -> str:
    """Run the browser without a window on page.html; what it says."""
    assert CHROMIUM is not None
    night = ["--blink-settings=preferredColorScheme=0"] if light == "night" else []
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--enable-logging=stderr",
    ]
    profile = f"--user-data-dir={folder}/profile"
    done = subprocess.run(
        [*command, profile, "--window-size=1120,2400", *night, *options, f"file://{folder}/page.html"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=110,
        check=True,
    )
    return done.stderr


def pixels(path: Path) -> tuple[int, list[list[tuple[int, ...]]]]:
    """The rows of a PNG file of 8 bits a channel, without interlacing."""
    data = path.read_bytes()
    place, width, height, channels, packed = 8, 0, 0, 0, b""
    while place < len(data):
        (length,), kind = struct.unpack(">I", data[place : place + 4]), data[place + 4 : place + 8]
        content = data[place + 8 : place + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", content[:10])
            assert depth == 8
            channels = {2: 3, 6: 4}[colour]
        elif kind == b"IDAT":
            packed += content
        place += 12 + length
    raw, size = zlib.decompress(packed), width * channels
    rows, before = [], bytearray(size)
    for number in range(height):
        start_of_row = number * (size + 1)
        row = unfiltered(
            raw[start_of_row], bytearray(raw[start_of_row + 1 : start_of_row + 1 + size]), before, channels
        )
        rows.append([tuple(row[at : at + 3]) for at in range(0, size, channels)])
        before = row
    return width, rows


def unfiltered(kind: int, row: bytearray, before: bytearray, channels: int) -> bytearray:
    """A row of a PNG file. Source: https://www.w3.org/TR/png-3/#9Filters"""
    for at in range(len(row)):
        left = row[at - channels] if at >= channels else 0
        up, corner = before[at], before[at - channels] if at >= channels else 0
        if kind == 1:
            row[at] = (row[at] + left) & 255
        elif kind == 2:
            row[at] = (row[at] + up) & 255
        elif kind == 3:
            row[at] = (row[at] + (left + up) // 2) & 255
        elif kind == 4:
            guess = left + up - corner
            pick = min((left, up, corner), key=lambda each: abs(guess - each))
            row[at] = (row[at] + pick) & 255
    return row
