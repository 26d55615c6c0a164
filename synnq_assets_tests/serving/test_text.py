import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.serving.text import StopScanner, TokenDecoder
from synnq_assets_tests.release.release_folder import write_tokenizer

TEXT = st.text("ab", max_size=30)
STOPS = st.lists(st.text("ab", min_size=1, max_size=5), max_size=4)


def scan(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    scanner = StopScanner(stops)
    text = "".join(scanner.push(piece) for piece in pieces)
    return text + scanner.finish(), scanner.is_stopped


def cut_by_definition(text: str, stops: list[str]) -> tuple[str, bool]:
    """Read character by character; stop where a stop string is complete, the longest first."""
    for end in range(1, len(text) + 1):
        found = [stop for stop in stops if text[:end].endswith(stop)]
        if found:
            return text[: end - max(map(len, found))], True
    return text, False


def test_text_before_a_stop_string_is_kept():
    assert scan(["Hello wor", "ld. And", " more"], [". "]) == ("Hello world", True)


def test_a_stop_string_over_three_pieces_is_found():
    assert scan(["x<", "/", "s> y"], ["</s>"]) == ("x", True)


def test_an_open_begin_of_a_stop_string_is_given_out_at_the_end():
    scanner = StopScanner(["</s>"])
    assert scanner.push("x</s") == "x"
    assert scanner.finish() == "</s"


def test_the_stop_string_that_is_complete_first_counts():
    assert scan(["abc"], ["abc", "b"]) == ("a", True)
    assert scan(["ab"], ["ab", "b"]) == ("", True)


@given(TEXT, STOPS, st.lists(st.integers(0, 30), max_size=6))
def test_the_cut_does_not_depend_on_the_pieces(text: str, stops: list[str], cuts: list[int]):
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    pieces = [text[edges[k] : edges[k + 1]] for k in range(len(edges) - 1)]
    assert scan(pieces, stops) == cut_by_definition(text, stops)


@given(TEXT, STOPS)
def test_nothing_is_given_out_that_is_cut_later(text: str, stops: list[str]):
    scanner = StopScanner(stops)
    expected, _ = cut_by_definition(text, stops)
    given_out = ""
    for char in text:
        given_out += scanner.push(char)
        assert expected.startswith(given_out)


@pytest.mark.parametrize("seed", range(20))
def test_decoded_pieces_join_to_the_decoded_whole(seed: int, tmp_path: Path):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(write_tokenizer(tmp_path / "t.json", vocab_size=512)))
    rng = random.Random(seed)
    ids = [rng.randrange(tokenizer.get_vocab_size()) for _ in range(60)]  # mostly broken UTF-8
    decoder = TokenDecoder(tokenizer)
    pieces = [decoder.push(token) for token in ids]
    assert "".join(pieces) + decoder.finish() == tokenizer.decode(ids)


def test_a_character_over_several_tokens_comes_out_whole(tmp_path: Path):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(write_tokenizer(tmp_path / "t.json", vocab_size=300)))
    ids = tokenizer.encode("世").ids
    assert len(ids) == 3  # no merge covers it
    decoder = TokenDecoder(tokenizer)
    assert [decoder.push(token) for token in ids] == ["", "", "世"]
    assert decoder.finish() == ""
