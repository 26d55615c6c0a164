import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from pydantic import TypeAdapter

from synnq_assets.corpora.sources import build_source
from synnq_assets.corpora.sources.columns import normalise_domain, normalise_language
from synnq_assets.errors import CorpusError, SettingsError
from synnq_assets.records.identifiers import Domain
from synnq_assets.settings.recipe import SourceSettings

ROW = {
    "text": "Guten Tag",
    "language": "de-AT",
    "domain": "Law & Order",
    "license": "CC-BY-4.0",
    "title": "Gruß",
    "source_url": "https://example.org/a",
    "path": "b.md",
    "machine_translated": True,
    "tdm_reserved": False,
}


def read(folder, **params):
    settings = SourceSettings(name="dir", kind="directory", params={"path": str(folder), **params})
    return list(build_source(settings).read())


def write_jsonl(path, rows):
    data = "\n".join(json.dumps(row) for row in rows).encode()
    path.write_bytes(zstandard.compress(data) if path.suffix == ".zst" else data)


def write_parquet(path, rows):
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst", "a.parquet"])
def test_every_format_gives_the_same_document(tmp_path, name):
    (write_parquet if name.endswith("parquet") else write_jsonl)(tmp_path / name, [ROW])
    [document] = read(tmp_path)
    assert document.text == "Guten Tag"
    assert document.language == "de"
    assert document.domain == "law_order"
    assert document.licence == "CC-BY-4.0"
    assert document.title == "Gruß"
    assert document.origin == "https://example.org/a#b.md"
    assert document.machine_generated
    assert not document.tdm_reserved


def test_columns_can_be_mapped_and_defaults_fill_what_is_missing(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"body": "hello", "text": "not this", "rights": None}])
    [document] = read(
        tmp_path,
        columns={"text": "body", "licence": "rights"},
        default_language="en",
        default_licence="MIT",
        default_domain="health",
    )
    assert (document.text, document.language) == ("hello", "en")
    assert (document.licence, document.domain) == ("MIT", "health")
    assert document.origin == "a.jsonl"


def test_files_are_read_in_the_order_of_their_names_up_to_the_limit(tmp_path):
    write_jsonl(tmp_path / "b.jsonl", [{"text": "3"}, {"text": "4"}])
    write_parquet(tmp_path / "a.parquet", [{"text": "1"}, {"text": "2"}])
    assert [document.text for document in read(tmp_path, max_documents=3)] == ["1", "2", "3"]


def test_an_empty_row_is_a_document_and_strange_characters_are_cleaned(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": null}\n\n{"text": "a\\r\\nb\\u0000\\ud800c"}\n')
    assert [document.text for document in read(tmp_path)] == ["", "a\nb?c"]


def test_labels_beside_a_corpus_are_refused_unless_files_are_chosen(tmp_path):
    write_parquet(tmp_path / "dev-0.parquet", [ROW])
    write_jsonl(tmp_path / "labels.jsonl.zst", [{"id": "1", "truth": "de"}])
    with pytest.raises(CorpusError, match=r"labels.jsonl.zst has no column 'text'.*id, truth"):
        read(tmp_path)
    assert len(read(tmp_path, files="dev-*.parquet")) == 1


def test_a_parquet_file_without_text_says_what_it_has(tmp_path):
    write_parquet(tmp_path / "a.parquet", [{"content": "x"}])
    with pytest.raises(CorpusError, match=r"a.parquet has no column 'text'.*it has: content"):
        read(tmp_path)
    with pytest.raises(CorpusError, match="has no column 'rights' for 'licence'"):
        read(tmp_path, columns={"text": "content", "licence": "rights"})


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"text": ', "line 2: not JSON"),
        ("a.jsonl", b"[1]", "line 1: expected a JSON object"),
        ("a.jsonl", b'{"text": 5}', "line 1: text is int, expected a string"),
        ("a.jsonl", b"\xff\xfe", "cannot be read as JSON lines"),
        ("a.jsonl.zst", b"no zstd", "cannot be read as JSON lines"),
        ("a.parquet", b"no parquet", "is not a readable Parquet file"),
    ],
)
def test_damage_is_named_with_its_place(tmp_path, name, data, message):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(CorpusError, match=message):
        read(tmp_path)


ROWS = [{"text": f"Guten Tag, Nummer {k}"} for k in range(2_000)]


def compress_rows(rows):
    return zstandard.compress("\n".join(json.dumps(row) for row in rows).encode())


@pytest.mark.parametrize(
    "keep", [lambda data: data[:-1], lambda data: data[: len(data) // 2], lambda data: b""]
)
def test_a_zstd_file_that_was_cut_is_refused(tmp_path, keep):
    (tmp_path / "a.jsonl.zst").write_bytes(keep(compress_rows(ROWS)))
    with pytest.raises(CorpusError, match=r"a\.jsonl\.zst ends before its last zstd frame does"):
        read(tmp_path)


def test_a_second_frame_that_was_cut_is_refused(tmp_path):
    whole = compress_rows(ROWS)
    (tmp_path / "a.jsonl.zst").write_bytes(whole + whole[:-1])
    with pytest.raises(CorpusError, match="fetch it again, whole"):
        read(tmp_path)


def test_all_frames_of_a_file_are_read_and_a_line_may_span_two(tmp_path):
    lines = "\n".join(json.dumps(row) for row in ROWS).encode()
    middle = len(lines) // 2
    frames = [zstandard.compress(part) for part in (lines[:middle], lines[middle:])]
    skippable = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"  # RFC 8878, section 3.1.2
    (tmp_path / "a.jsonl.zst").write_bytes(skippable.join(frames))
    assert [document.text for document in read(tmp_path)] == [row["text"] for row in ROWS]


def test_a_line_longer_than_a_block_is_read_whole(tmp_path):
    rows = [{"text": "ä" * 200_000}, {"text": "kurz"}]
    (tmp_path / "a.jsonl").write_text("\n".join(json.dumps(r, ensure_ascii=False) for r in rows))
    assert [document.text for document in read(tmp_path)] == [row["text"] for row in rows]


def test_a_missing_directory_and_an_empty_one_are_told_apart(tmp_path):
    with pytest.raises(CorpusError, match=r"corpus directory .*nowhere does not exist"):
        read(tmp_path / "nowhere")
    with pytest.raises(CorpusError, match=r"no .jsonl, .jsonl.zst, .parquet file"):
        read(tmp_path)


def test_a_misspelt_parameter_names_the_nearest(tmp_path):
    with pytest.raises(SettingsError, match=r"params.max_document: .*did you mean 'max_documents'"):
        read(tmp_path, max_document=3)
    with pytest.raises(SettingsError, match="'licens' is not a field of ours; did you mean"):
        read(tmp_path, columns={"licens": "x"})
    with pytest.raises(SettingsError, match="must stay within the directory"):
        read(tmp_path, files="../*.jsonl")


def test_languages_and_domains_take_the_form_of_partition_keys():
    assert normalise_language("pt-BR") == "pt"
    assert normalise_language("DEU") == "de"
    assert normalise_language("German") == "und"
    assert normalise_domain("2024 Review!", "x") == "d_2024_review"
    assert normalise_domain("", "general") == "general"
    assert normalise_domain("é ü", "general") == "general"
    assert TypeAdapter(Domain).validate_python(normalise_domain("a" * 90, "x")) == "a" * 40
