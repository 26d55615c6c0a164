import dataclasses
import random
from collections import Counter

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from synnq_assets.errors import ShardError
from synnq_assets.shards import ShardPlan, plan_shards, write_holdout
from synnq_assets.shards.figures import build_figures
from synnq_assets.shards.tokenizer import load_tokenizer
from synnq_assets.storage import FolderStore

from .campaign import SETTINGS, build_campaign, build_rows
from .synthetic import build_cell, build_document, write_documents


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    return build_campaign(tmp_path_factory.mktemp("campaign"))


def iter_shards(plan):
    return [shard for shards in plan.cells.values() for shard in shards]


def count_tokens(campaign):
    tokenizer = load_tokenizer(campaign.tokenizer)
    return {row["doc_id"]: len(tokenizer.encode(row["text"]).ids) + 1 for row in build_rows()}


def test_every_document_is_in_one_place_and_all_tokens_are_accounted_for(campaign):
    sizes = count_tokens(campaign)
    parts = [d for shard in iter_shards(campaign.plan) for d in shard.documents]
    held = [doc_id for ids in campaign.plan.holdout.values() for doc_id in ids]
    assert Counter((d.doc_id, d.part) for d in parts).most_common(1)[0][1] == 1
    assert not {d.doc_id for d in parts} & set(held)
    assert {d.doc_id for d in parts} | set(held) == set(sizes)
    # Each cut adds one end of text; nothing else comes or goes.
    cuts = sum(d.part > 1 for d in parts)
    figures = build_figures(campaign.plan)
    assert figures["num_tokens"] == sum(d.num_tokens for d in parts)
    assert figures["num_tokens"] + figures["holdout_tokens"] == sum(sizes.values()) + cuts


def test_only_documents_larger_than_a_shard_are_cut(campaign):
    sizes = count_tokens(campaign)
    oversized = {doc_id for doc_id, size in sizes.items() if size > SETTINGS.target_tokens}
    parts = [d for shard in iter_shards(campaign.plan) for d in shard.documents]
    assert len(oversized) == 1
    assert {d.doc_id for d in parts if d.num_parts > 1} == oversized
    cut = sorted((d for d in parts if d.num_parts > 1), key=lambda d: d.part)
    assert [d.part for d in cut] == list(range(1, cut[0].num_parts + 1))
    assert [d.begin for d in cut[1:]] == [d.begin + d.num_tokens - 1 for d in cut[:-1]]
    assert all(d.num_tokens <= SETTINGS.target_tokens / 2 for d in cut)


def test_parts_begin_at_paragraphs(campaign):
    tokenizer = load_tokenizer(campaign.tokenizer)
    texts = {row["doc_id"]: row["text"] for row in build_rows()}
    parts = [d for shard in iter_shards(campaign.plan) for d in shard.documents if d.part > 1]
    for part in parts:
        text = texts[part.doc_id]
        begin = tokenizer.encode(text).offsets[part.begin][0]
        assert text[:begin].endswith("\n\n")


def test_shards_meet_the_target_and_figures_say_so(campaign):
    full = [shard for shard in iter_shards(campaign.plan) if not shard.is_residual]
    worst = max(abs(shard.num_tokens / SETTINGS.target_tokens - 1) for shard in full)
    figures = build_figures(campaign.plan)
    assert figures["max_deviation"] == pytest.approx(worst)
    assert worst <= SETTINGS.tolerance
    assert figures["num_beyond_tolerance"] == 0
    assert sum(shard.is_residual for shard in iter_shards(campaign.plan)) <= 1
    assert figures["rolled_up"]["fr.law"] == "mul.mixed"
    assert figures["max_complexity_distance"] < 0.5


def test_holdout_is_by_original_cell_with_at_least_two_where_there_are_eight(campaign):
    counts = Counter(f"{row['language']}.{row['domain']}" for row in build_rows())
    assert len(campaign.plan.holdout["el.news"]) >= 2
    assert all(len(campaign.plan.holdout[cell]) >= 2 for cell in counts if counts[cell] >= 8)
    assert set(campaign.plan.holdout) <= set(counts)


def test_plan_survives_its_bytes(campaign):
    data = campaign.plan.to_bytes()
    again = ShardPlan.from_bytes(data)
    assert again == campaign.plan
    assert again.to_bytes() == data


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"format":"synnq-shard-plan-1"}', b"\xff"])
def test_bytes_that_are_no_plan_are_refused(data):
    with pytest.raises(ShardError, match="plan again"):
        ShardPlan.from_bytes(data)


def test_a_plan_whose_settings_were_edited_is_refused(campaign):
    data = campaign.plan.to_bytes().replace(b'"target_tokens":2000', b'"target_tokens":2001')
    with pytest.raises(ShardError, match="config_sha256"):
        ShardPlan.from_bytes(data)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), num_files=st.integers(1, 4))
def test_order_of_documents_and_files_changes_nothing(campaign, tmp_path_factory, seed, num_files):
    rows = build_rows()
    random.Random(seed).shuffle(rows)
    folder = tmp_path_factory.mktemp("shuffled")
    files = [write_documents(folder / f"{k}.parquet", rows[k::num_files]) for k in range(num_files)]
    again = plan_shards(files, campaign.tokenizer, SETTINGS)
    assert again.to_bytes() == campaign.plan.to_bytes()


def test_another_generation_gives_other_shard_ids(campaign):
    settings = SETTINGS.model_copy(update={"generation": 2})
    other = plan_shards(campaign.documents, campaign.tokenizer, settings)
    assert not {s.shard_id for s in iter_shards(other)} & {
        s.shard_id for s in iter_shards(campaign.plan)
    }


def test_a_corpus_smaller_than_a_shard_makes_one_residual(campaign, tmp_path):
    path = write_documents(tmp_path / "d.parquet", build_cell("de", "law", 3))
    plan = plan_shards([path], campaign.tokenizer, SETTINGS.model_copy(update={"holdout_share": 0}))
    assert [(shard.cell, shard.is_residual) for shard in iter_shards(plan)] == [("mul.mixed", True)]
    assert build_figures(plan)["residual_tokens"] == build_figures(plan)["num_tokens"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"doc_id": "../../etc"}, "not 64 hexadecimal digits"),
        ({"language": "German"}, "not a cell key"),
        ({"domain": "../law"}, "not a cell key"),
    ],
)
def test_ids_and_cells_that_could_become_paths_are_refused(campaign, tmp_path, changes, message):
    row = build_document("de", "law", "Ein Text.") | changes
    with pytest.raises(ShardError, match=message):
        plan_shards([write_documents(tmp_path / "d.parquet", [row])], campaign.tokenizer, SETTINGS)


def test_documents_that_come_twice_and_files_that_are_not_documents_are_refused(campaign, tmp_path):
    twice = [*campaign.documents, campaign.documents[0]]
    with pytest.raises(ShardError, match="comes twice"):
        plan_shards(twice, campaign.tokenizer, SETTINGS)
    (tmp_path / "x.parquet").write_bytes(b"PAR1 no")
    for path in (tmp_path / "x.parquet", tmp_path / "missing.parquet"):
        with pytest.raises(ShardError, match="cannot read documents"):
            plan_shards([path], campaign.tokenizer, SETTINGS)
    row = build_document("de", "law", "Ein Text.")
    del row["domain"]
    path = write_documents(tmp_path / "d.parquet", [row])
    with pytest.raises(ShardError, match="lacks the column 'domain'"):
        plan_shards([path], campaign.tokenizer, SETTINGS)
    with pytest.raises(ShardError, match="no document came in"):
        plan_shards([], campaign.tokenizer, SETTINGS)


def list_places(plan):
    """Return doc_id -> where it is."""
    places = {d.doc_id: shard.cell for shard in iter_shards(plan) for d in shard.documents}
    held = {doc_id: "holdout" for ids in plan.holdout.values() for doc_id in ids}
    assert not places.keys() & held.keys()
    return places | held


def test_the_same_text_from_another_source_is_left_out_and_counted(campaign, tmp_path):
    rows = build_rows()
    held = campaign.plan.holdout["de.law"][0]
    texts = {row["doc_id"]: row["text"] for row in rows}
    copies = [build_document("de", "news", texts[held].replace(" ", "\n  "), number=7001)]
    copies += [build_document("de", "law", rows[0]["text"], number=7002)]
    copies += [build_document("de", "law", rows[0]["text"] + " Und mehr.", number=7003)]
    for copy in copies:
        copy["source"] = "mirror"
    mirror = write_documents(tmp_path / "mirror.parquet", copies)
    plan = plan_shards([*campaign.documents, mirror], campaign.tokenizer, SETTINGS)
    places = list_places(plan)
    pairs = [(held, copies[0]["doc_id"]), (rows[0]["doc_id"], copies[1]["doc_id"])]
    left_out = {k: v for group in plan.duplicates.values() for k, v in group.items()}
    assert left_out == {max(pair): min(pair) for pair in pairs}
    assert all(min(pair) in places and max(pair) not in places for pair in pairs)
    assert copies[2]["doc_id"] in places
    assert len(places) + len(left_out) == len(rows) + len(copies)
    counts = build_figures(plan)["duplicates_left_out"]
    assert sum(counts.values()) == 2
    assert counts == {source: len(ids) for source, ids in plan.duplicates.items()}
    assert ShardPlan.from_bytes(plan.to_bytes()) == plan
    again = plan_shards([mirror, *campaign.documents[::-1]], campaign.tokenizer, SETTINGS)
    assert again.to_bytes() == plan.to_bytes()


def test_without_a_second_source_nothing_is_left_out(campaign):
    assert build_figures(campaign.plan)["duplicates_left_out"] == {}


def test_a_holdout_that_takes_everything_is_refused(campaign):
    settings = SETTINGS.model_copy(update={"holdout_share": 1.0})
    with pytest.raises(ShardError, match="takes every document"):
        plan_shards(campaign.documents, campaign.tokenizer, settings)


def test_holdout_is_stored_with_its_text_and_again_without_effect(campaign, tmp_path):
    store = FolderStore(tmp_path)
    for _ in range(2):
        counts = write_holdout(campaign.plan, documents=campaign.documents, store=store)
    assert counts == {cell: len(ids) for cell, ids in campaign.plan.holdout.items()}
    table = pq.read_table(store.local_path("shards/holdout/de.law.parquet"))
    assert table.column_names == ["doc_id", "language", "domain", "source", "text"]
    texts = {row["doc_id"]: row["text"] for row in build_rows()}
    held = table.to_pydict()
    assert tuple(held["doc_id"]) == campaign.plan.holdout["de.law"]
    assert held["text"] == [texts[doc_id] for doc_id in held["doc_id"]]
    assert set(held["language"]) == {"de"}


def test_another_holdout_in_the_same_generation_is_refused(campaign, tmp_path):
    store = FolderStore(tmp_path)
    write_holdout(campaign.plan, documents=campaign.documents, store=store)
    fewer = {cell: ids[:1] for cell, ids in campaign.plan.holdout.items()}
    other = dataclasses.replace(campaign.plan, holdout=fewer)
    with pytest.raises(ShardError, match="another holdout"):
        write_holdout(other, documents=campaign.documents, store=store)
    with pytest.raises(ShardError, match="no longer in the corpus"):
        write_holdout(campaign.plan, documents=campaign.documents[:1], store=store)
