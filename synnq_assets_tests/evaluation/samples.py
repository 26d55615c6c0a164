"""A small held-out set and a nano model folder, made here."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from synnq_assets.modeling.export import export_huggingface
from synnq_assets.modeling.models import build_model, named_weights, write_weights
from synnq_assets.settings import Recipe, load_recipe

SENTENCES = {
    "de.health": "Die Patientin kam am Morgen in die Klinik und der Arzt prüfte ihren Blutdruck. ",
    "de.energy": "Das Kraftwerk liefert im Winter mehr Strom, weil die Turbinen länger laufen. ",
    "fr.health": "La patiente est arrivée à la clinique et le médecin a mesuré sa tension. ",
    "fr.energy": "La centrale fournit davantage de courant en hiver, car les turbines tournent. ",
    "fi.health": "Potilas saapui aamulla klinikalle ja lääkäri mittasi hänen verenpaineensa. ",
    "fi.energy": "Voimalaitos tuottaa talvella enemmän sähköä, koska turbiinit käyvät pitkään. ",
}


def write_holdout(folder: Path, cells: dict[str, list[str]]) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for cell, texts in cells.items():
        language, domain = cell.split(".")
        rows = [
            {
                "doc_id": f"{k:064x}",
                "language": language,
                "domain": domain,
                "source": "test",
                "text": text,
            }
            for k, text in enumerate(texts)
        ]
        files.append(folder / f"{cell}.parquet")
        pq.write_table(pa.Table.from_pylist(rows), files[-1])
    return files


def sample_texts() -> dict[str, list[str]]:
    return {
        cell: [f"{number} {sentence}" * 3 for number in ("7", "Nr. 8")]
        for cell, sentence in SENTENCES.items()
    }


def write_model(folder: Path, *, seed: int = 0) -> tuple[Recipe, Path]:
    """Write an untrained nano model as a Hugging Face folder, with a tokenizer trained here."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    recipe = load_recipe("smoke")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.tokenizer.vocab_size,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES.values(), trainer)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.source.json"))
    model = build_model(recipe, seed=seed)
    write_weights(folder / "weights.safetensors", named_weights(model), metadata={})
    out = export_huggingface(
        recipe, folder / "weights.safetensors", folder / "tokenizer.source.json", folder / "hf"
    )
    return recipe, out
