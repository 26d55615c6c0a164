"""Tokens to text, piece by piece: whole characters only, cut at the first stop string."""

from collections.abc import Sequence
from typing import Any


class StopScanner:
    """Find the stop string that is complete first; hold back what may be the begin of one.

    The outcome does not depend on how the text is cut into pieces. Where two stop strings end at
    the same character, the longer one counts.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        """Look for any of `stops`; none of them is empty."""
        self._stops = tuple(stops)
        self._held = ""
        self.is_stopped = False

    def push(self, text: str) -> str:
        """Return the text that is certain to stand before any stop string."""
        if self.is_stopped:
            return ""
        text = self._held + text
        ends = [
            (begin + len(stop), begin) for stop in self._stops if (begin := text.find(stop)) >= 0
        ]
        if ends:
            self.is_stopped, self._held = True, ""
            return text[: min(ends)[1]]
        keep = self._count_open(text)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def finish(self) -> str:
        """Return what was held back; no stop string came of it."""
        held, self._held = self._held, ""
        return held

    def _count_open(self, text: str) -> int:
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for size in range(min(longest, len(text)), 0, -1):
            if any(stop.startswith(text[-size:]) for stop in self._stops):
                return size
        return 0


class TokenDecoder:
    """Turn token ids into text as they come; a character's bytes may be spread over tokens."""

    def __init__(self, tokenizer: Any) -> None:
        """Decode with a `tokenizers.Tokenizer`; special tokens have no text."""
        from tokenizers.decoders import DecodeStream

        self._tokenizer = tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._ids: list[int] = []
        self._num_characters = 0

    def push(self, token: int) -> str:
        """Return the characters that this token completes."""
        self._ids.append(token)
        text: str = self._stream.step(self._tokenizer, token) or ""
        self._num_characters += len(text)
        return text

    def finish(self) -> str:
        """Return what is left; bytes that never became a character are U+FFFD."""
        whole: str = self._tokenizer.decode(self._ids, skip_special_tokens=True)
        return whole[self._num_characters :]
