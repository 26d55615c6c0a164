import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.shards.cut import find_cuts


def cut_characters(text, max_tokens):
    """Cut as if every character were a token."""
    return find_cuts(text, np.arange(len(text)), max_tokens=max_tokens)


def test_a_text_that_fits_is_left_whole():
    assert cut_characters("Eins. Zwei.", 11) == (0,)


def test_paragraphs_are_preferred_to_nearer_sentences():
    text = "Aaaa bbbb.\n\nCccc. Dddd. Eeee."
    assert [text[k:] for k in cut_characters(text, 20)] == [text, "Cccc. Dddd. Eeee."]


def test_sentences_are_preferred_to_nearer_words():
    text = "aaa bbb ccc. ddd eee fff ggg"
    assert [text[k:] for k in cut_characters(text, 18)] == [text, " ddd eee fff ggg"]


def test_text_without_white_space_is_cut_evenly():
    assert cut_characters("x" * 10, 4) == (0, 3, 6)


def test_a_character_of_several_tokens_is_never_cut():
    # Two tokens per character, as byte-level BPE makes of rare letters.
    starts = np.repeat(np.arange(10), 2)
    cuts = find_cuts("ഴ" * 10, starts, max_tokens=7)
    assert all(cut % 2 == 0 for cut in cuts)


@given(st.text(alphabet="ab .\n", max_size=200), st.integers(2, 30))
def test_parts_cover_the_text_and_none_is_too_large(text, max_tokens):
    cuts = cut_characters(text, max_tokens)
    sizes = np.diff([*cuts, len(text)])
    assert cuts[0] == 0
    assert sizes.sum() == len(text)
    assert sizes.max() <= max_tokens
    assert len(text) == 0 or sizes.min() > 0
