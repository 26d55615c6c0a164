import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synnq_assets.errors import EvaluationError
from synnq_assets.evaluation.holdout import cut_text, read_holdout
from synnq_assets_tests.evaluation.samples import write_holdout


@given(st.text(alphabet=st.sampled_from("aß字 \n𝄞")), st.integers(1, 40))
def test_a_cut_loses_nothing_and_keeps_to_the_limit(text, limit):
    head, rest = cut_text(text, max_bytes=limit)
    assert head + rest == text
    assert len(head.encode()) <= limit


def test_a_cut_falls_between_words():
    assert cut_text("eins zwei drei", max_bytes=11) == ("eins zwei", " drei")
    assert cut_text("eins zwei drei", max_bytes=9) == ("eins zwei", " drei")
    assert cut_text("Donaudampfschiff", max_bytes=5) == ("Donau", "dampfschiff")


def test_documents_are_ordered_by_id_and_limited_per_cell(tmp_path):
    files = write_holdout(tmp_path, {"fr.health": ["b", "c", "d"], "de.health": ["a"]})
    cells = read_holdout(reversed(files), documents_per_cell=2)
    assert list(cells) == ["de.health", "fr.health"]
    assert [document.text for document in cells["fr.health"]] == ["b", "c"]


def test_special_token_spellings_are_taken_out(tmp_path):
    files = write_holdout(tmp_path, {"de.health": ["vor<|endoftext|>nach", " \n "]})
    cells = read_holdout(files, documents_per_cell=9)
    assert [document.text for document in cells["de.health"]] == ["vor nach"]


@pytest.mark.parametrize("texts", [{}, {"de.health": []}, {"de.health": ["", "  "]}])
def test_an_empty_holdout_is_refused(tmp_path, texts):
    files = write_holdout(tmp_path, {cell: rows or [""] for cell, rows in texts.items()})
    with pytest.raises(EvaluationError, match="held-out set is empty"):
        read_holdout(files, documents_per_cell=2)


def test_files_of_another_form_are_refused(tmp_path):
    (tmp_path / "de.health.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(EvaluationError, match=r"de\.health\.parquet cannot be read"):
        read_holdout([tmp_path / "de.health.parquet"], documents_per_cell=2)
    with pytest.raises(EvaluationError, match="cannot be read"):
        read_holdout([tmp_path / "fr.health.parquet"], documents_per_cell=2)
    with pytest.raises(EvaluationError, match=r"not named <language>\.<domain>\.parquet"):
        read_holdout([tmp_path / "German.parquet"], documents_per_cell=2)
    pq.write_table(pa.table({"text": ["a"]}), tmp_path / "it.law.parquet")
    with pytest.raises(EvaluationError, match="no column doc_id, domain, language, source"):
        read_holdout([tmp_path / "it.law.parquet"], documents_per_cell=2)
