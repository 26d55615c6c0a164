"""A corpus, its tokenizer, its plan and a sealed store, built once per test module."""

from dataclasses import dataclass
from pathlib import Path

from synnq_assets.settings.recipe import ShardSettings, TokenizerSettings
from synnq_assets.shards import ShardPlan, Steward, plan_shards, seal_shards, train_tokenizer
from synnq_assets.storage import FolderStore
from synnq_assets.trust.keyring import KeyEntry, Keyring
from synnq_assets.trust.keys import SealingKey, SigningKey

from .synthetic import build_cell, build_document, write_documents, write_text

SETTINGS = ShardSettings(target_tokens=2_000, tolerance=0.1, holdout_share=0.05)


def build_rows() -> list[dict[str, object]]:
    import random

    rows = build_cell("de", "law", 60) + build_cell("de", "news", 40) + build_cell("fi", "law", 50)
    rows += build_cell("fr", "law", 6) + build_cell("el", "news", 9)
    long = write_text(random.Random(0), "fi", 150)  # larger than two shards
    return [*rows, build_document("fi", "law", long, number=999)]


@dataclass
class Campaign:
    documents: list[Path]
    tokenizer: Path
    plan: ShardPlan
    steward: Steward
    keyring: Keyring

    def seal(self, store: FolderStore, cell: str, **changes):
        values = {
            "documents": self.documents,
            "tokenizer": self.tokenizer,
            "steward": self.steward,
            "store": store,
        }
        return seal_shards(changes.pop("plan", self.plan), cell, **(values | changes))


def build_campaign(folder: Path) -> Campaign:
    rows = build_rows()
    documents = [
        write_documents(folder / "one.parquet", rows[::2]),
        write_documents(folder / "two.parquet", rows[1::2]),
    ]
    tokenizer = folder / "tokenizer.json"
    train_tokenizer(documents, TokenizerSettings(vocab_size=600), tokenizer)
    steward = Steward(SigningKey.generate(), SealingKey.generate())
    keyring = Keyring()
    keyring.add(KeyEntry("stewardess", "steward", steward.signing.public_key))
    plan = plan_shards(documents, tokenizer, SETTINGS)
    return Campaign(documents, tokenizer, plan, steward, keyring)
