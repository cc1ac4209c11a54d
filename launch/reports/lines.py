"""Turns one rank's byte stream into whole, prefixed lines; the bytes themselves go through unchanged."""

__all__ = ["MAX_LINE_BYTES", "LineCutter"]

MAX_LINE_BYTES = 1 << 16


class LineCutter:
    r"""Cuts a stream into ``[rank] text`` lines.

    A line that grows past ``MAX_LINE_BYTES`` is cut there. Of a line that is rewritten with ``\r`` (a
    progress bar) only the last state counts: ``feed`` returns it when the newline comes, ``status`` shows it
    before.
    """

    def __init__(self, prefix: bytes) -> None:
        self.prefix = prefix
        self._partial = b""

    def feed(self, data: bytes) -> bytes:
        """Take new bytes and return the lines that they completed."""
        body, newline, rest = data.rpartition(b"\n")
        if not newline:
            return self._keep(data)
        complete = self._partial + body
        self._partial = b""
        return self._prefixed(complete) + self._keep(rest)

    def status(self) -> bytes | None:
        """Return the progress bar as it stands, or None where the unfinished line is not one."""
        return self.prefix + _last_state(self._partial) if b"\r" in self._partial else None

    def finish(self) -> bytes:
        """Return the unfinished last line, if there is one, as a line; a progress bar that was wiped out is none."""
        rest, self._partial = self._partial, b""
        is_wiped = b"\r" in rest and not _last_state(rest).strip()
        return self._prefixed(rest) if rest and not is_wiped else b""

    def _keep(self, rest: bytes) -> bytes:
        """Hold an unfinished line back up to the bound; of a progress bar only its last state."""
        partial = self._partial + rest
        if b"\r" in partial:
            partial = b"\r" + _last_state(partial) + (b"\r" if partial.endswith(b"\r") else b"")
        end = len(partial) - len(partial) % MAX_LINE_BYTES
        self._partial = partial[end:]
        return self._prefixed(partial[:end]) if end else b""

    def _prefixed(self, text: bytes) -> bytes:
        if b"\r" not in text and not _has_long_line(text):
            return self.prefix + text.replace(b"\n", b"\n" + self.prefix) + b"\n"
        pieces = [piece for line in text.split(b"\n") for piece in _pieces(_last_state(line))]
        return b"".join(self.prefix + piece + b"\n" for piece in pieces)


def _last_state(line: bytes) -> bytes:
    """Return what a terminal would show of a line that was rewritten with carriage returns."""
    return line.rstrip(b"\r").rpartition(b"\r")[2]


def _has_long_line(text: bytes) -> bool:
    start = 0
    while start + MAX_LINE_BYTES < len(text):
        newline = text.rfind(b"\n", start, start + MAX_LINE_BYTES + 1)
        if newline < 0:
            return True
        start = newline + 1
    return False


def _pieces(line: bytes) -> list[bytes]:
    return [line[start : start + MAX_LINE_BYTES] for start in range(0, max(1, len(line)), MAX_LINE_BYTES)]
