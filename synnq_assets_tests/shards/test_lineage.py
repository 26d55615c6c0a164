import dataclasses
from collections import Counter

import pyarrow.parquet as pq
import pytest

from synnq_assets.errors import ShardError
from synnq_assets.shards import PLAN_KEY, find_document, list_documents, write_holdout
from synnq_assets.storage import FolderStore

from .campaign import build_campaign, build_rows


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    return build_campaign(tmp_path_factory.mktemp("campaign"))


@pytest.fixture(scope="module")
def store(campaign, tmp_path_factory):
    store = FolderStore(tmp_path_factory.mktemp("store"))
    for cell in campaign.plan.cells:
        campaign.seal(store, cell)
    write_holdout(campaign.plan, documents=campaign.documents, store=store)
    return store


def iter_parts(campaign):
    for shards in campaign.plan.cells.values():
        for shard in shards:
            begin = 0
            for document in shard.documents:
                yield shard, document, begin
                begin += document.num_tokens


def test_every_document_is_found_where_the_plan_put_it(campaign, store):
    rows = {row["doc_id"]: row for row in build_rows()}
    for shard, document, begin in list(iter_parts(campaign))[::7]:
        found = find_document(store, document.doc_id)
        assert len(found) == document.num_parts
        row = found[document.part - 1]
        assert (row.shard_id, row.cell, row.part) == (shard.shard_id, shard.cell, document.part)
        assert (row.begin_token, row.num_tokens) == (begin, document.num_tokens)
        curated = rows[document.doc_id]
        expected = (curated["source"], curated["origin"], curated["licence"])
        assert (row.source, row.origin, row.licence) == expected


def test_a_document_that_was_cut_has_a_row_for_each_part(campaign, store):
    doc_id = next(d.doc_id for _, d, _ in iter_parts(campaign) if d.num_parts > 1)
    rows = find_document(store, doc_id)
    assert len(rows) == rows[0].num_parts > 2
    assert [row.part for row in rows] == list(range(1, len(rows) + 1))


def test_eight_digits_are_enough_in_either_case(campaign, store):
    _, document, _ = next(iter_parts(campaign))
    assert find_document(store, document.doc_id[:8].upper())[0].doc_id == document.doc_id


def test_lineage_is_sorted_and_names_each_part_once(campaign, store):
    seen = Counter()
    for key in store.iter_keys("shards/lineage"):
        rows = pq.read_table(store.local_path(key)).to_pylist()
        assert rows == sorted(rows, key=lambda row: (row["doc_id"], row["part"]))
        seen.update((row["doc_id"], row["part"]) for row in rows)
    assert set(seen) == {(d.doc_id, d.part) for _, d, _ in iter_parts(campaign)}
    assert set(seen.values()) == {1}


def test_a_held_out_document_is_said_to_be_held_out(campaign, store):
    doc_id = campaign.plan.holdout["de.law"][0]
    with pytest.raises(ShardError, match=r"kept back in the holdout of de\.law"):
        find_document(store, doc_id[:12])


def test_a_document_left_out_as_a_duplicate_names_the_one_that_stays(campaign, tmp_path):
    stays, left_out = campaign.plan.holdout["de.law"][0], "f" * 64
    plan = dataclasses.replace(campaign.plan, duplicates={"mirror": {left_out: stays}})
    store = FolderStore(tmp_path)
    store.put_bytes(PLAN_KEY, plan.to_bytes())
    with pytest.raises(ShardError, match=f"of mirror is in no shard: .*document {stays}"):
        find_document(store, left_out[:10])


def test_a_list_shows_a_few_documents_of_every_cell_that_are_found(campaign, store):
    listed = list_documents(store, per_cell=2)
    assert Counter(row.cell for row in listed) == {cell: 2 for cell in campaign.plan.cells}
    for row in listed:
        assert find_document(store, row.doc_id[:16])[0] == row


def test_a_list_of_nothing_says_what_to_do(tmp_path):
    with pytest.raises(ShardError, match="no cell is sealed yet; `signed_shards`"):
        list_documents(FolderStore(tmp_path), per_cell=2)


@pytest.mark.parametrize("text", ["", "1234567", "g" * 64, "a" * 65, "../../../etc/passwd"])
def test_text_that_is_no_document_id_is_refused(store, text):
    with pytest.raises(ShardError, match="not 8 to 64 digits"):
        find_document(store, text)


def test_unknown_documents_and_an_empty_store_say_so(store, tmp_path):
    for place in (store, FolderStore(tmp_path)):
        with pytest.raises(ShardError, match="no document 00000000 is in any complete cell"):
            find_document(place, "0" * 8)


def test_an_ambiguous_prefix_names_its_candidates(store, tmp_path):
    path = store.local_path("shards/lineage/de.law.parquet")
    table = pq.read_table(path)
    ids = [f"abcdef12{k:056x}" for k in range(table.num_rows)]
    other = FolderStore(tmp_path)
    copy = other.reserve("shards/lineage/de.law.parquet")
    pq.write_table(table.set_column(0, "doc_id", [ids]), copy)
    other.put_file("shards/lineage/de.law.parquet", copy)
    with pytest.raises(ShardError, match=r"abcdef12 begins .* document ids .*; give more digits"):
        find_document(other, "abcdef12")
    assert find_document(other, ids[0])[0].doc_id == ids[0]
