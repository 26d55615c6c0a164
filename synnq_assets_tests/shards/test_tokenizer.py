import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synnq_assets.errors import ShardError
from synnq_assets.settings.recipe import TokenizerSettings
from synnq_assets.shards.tokenizer import iter_tokenized, load_tokenizer, train_tokenizer

from .synthetic import build_cell, build_document, write_documents

ROWS = build_cell("de", "law", 40) + build_cell("el", "news", 40)


@pytest.fixture(scope="module")
def tokenizer_path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer")
    documents = write_documents(folder / "documents.parquet", ROWS)
    train_tokenizer([documents], TokenizerSettings(vocab_size=500), folder / "tokenizer.json")
    return folder / "tokenizer.json"


def test_training_gives_the_same_bytes_for_any_order_of_files_and_rows(tmp_path, tokenizer_path):
    first = write_documents(tmp_path / "a.parquet", ROWS[60:][::-1])
    second = write_documents(tmp_path / "b.parquet", ROWS[:60][::-1])
    out = tmp_path / "tokenizer.json"
    train_tokenizer([first, second], TokenizerSettings(vocab_size=500), out)
    assert out.read_bytes() == tokenizer_path.read_bytes()


def test_budget_of_characters_is_kept_in_any_order(tmp_path):
    settings = TokenizerSettings(vocab_size=500, max_training_characters=2_000)
    digests = set()
    for k, rows in enumerate((ROWS, ROWS[::-1])):
        path = write_documents(tmp_path / f"{k}.parquet", rows)
        digests.add(train_tokenizer([path], settings, tmp_path / f"{k}.json"))
    assert len(digests) == 1
    full = json.loads((tmp_path / "0.json").read_text())["model"]["vocab"]
    assert 257 <= len(full) <= 500


def test_end_of_text_is_id_zero_and_the_vocabulary_has_its_size(tokenizer_path):
    tokenizer = load_tokenizer(tokenizer_path)
    assert tokenizer.token_to_id("<|endoftext|>") == 0
    assert tokenizer.get_vocab_size() == 500


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=200))
def test_every_text_decodes_to_itself(tokenizer_path, text):
    tokenizer = load_tokenizer(tokenizer_path)
    ids = tokenizer.encode(text).ids
    assert 0 not in ids
    assert tokenizer.decode(ids) == text


def test_a_document_that_quotes_the_end_of_text_does_not_end_there(tmp_path, tokenizer_path):
    text = "Das Zeichen <|endoftext|> beendet einen Text."
    documents = write_documents(tmp_path / "q.parquet", [build_document("de", "law", text)])
    tokenizer = load_tokenizer(tokenizer_path)
    ((row, tokens),) = iter_tokenized([documents], tokenizer, ["doc_id", "text"])
    assert row["text"] == text
    assert (tokens == 0).tolist() == [False] * (len(tokens) - 1) + [True]
    assert tokenizer.decode(tokens[:-1].tolist()) == text


def test_batches_and_single_texts_tokenise_alike(tmp_path, tokenizer_path):
    tokenizer = load_tokenizer(tokenizer_path)
    documents = write_documents(tmp_path / "d.parquet", ROWS)
    for row, tokens in iter_tokenized([documents], tokenizer, ["text"]):
        assert tokens.tolist() == [*tokenizer.encode(row["text"]).ids, 0]


def test_no_text_is_refused(tmp_path):
    empty = write_documents(tmp_path / "e.parquet", [build_document("de", "law", "")])
    with pytest.raises(ShardError, match="no text to train"):
        train_tokenizer([empty], TokenizerSettings(vocab_size=500), tmp_path / "t.json")
    assert not (tmp_path / "t.json").exists()


def test_foreign_files_are_refused(tmp_path, tokenizer_path):
    with pytest.raises(ShardError, match="not a tokenizer file"):
        load_tokenizer(tmp_path / "missing.json")
    other = tokenizer_path.read_text().replace("<|endoftext|>", "<s>")
    (tmp_path / "other.json").write_text(other)
    with pytest.raises(ShardError, match="id 0 must be"):
        load_tokenizer(tmp_path / "other.json")
