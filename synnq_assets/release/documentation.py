"""The Model Documentation Form: each item with its value and the audiences it is meant for.

Audiences follow the annexes of the AI Act: Annex XI for the AI Office and the national competent
authorities, Annex XII for downstream providers. An item that no record answers is null.
Source: GPAI Code of Practice, Transparency chapter (10 July 2025), Measure 1.1; Regulation (EU)
2024/1689, Annexes XI and XII.
"""

from typing import Any

from synnq_assets.release.contents import PROOF_FILE
from synnq_assets.release.facts import ReleaseFacts
from synnq_assets.release.inputs import ReleaseInputs
from synnq_assets.release.sources import SECTIONS, find_kind

Item = dict[str, Any]
AUTHORITIES = ("ai-office", "national-authorities")
EVERYONE = (*AUTHORITIES, "downstream-providers")
DOWNSTREAM = ("downstream-providers",)


def _item(name: str, audiences: tuple[str, ...], value: Any) -> Item:
    return {"item": name, "audiences": list(audiences), "value": value}


def _list_general(inputs: ReleaseInputs, facts: ReleaseFacts) -> list[Item]:
    release, record = inputs.recipe.release, inputs.record
    authenticity = {
        "checkpoint_sha256": record.checkpoint.checkpoint_sha256,
        "signature": "provenance/release.json",
        "promotion": PROOF_FILE,
        "audit_size": inputs.promotion.head.size,
        "audit_root": inputs.promotion.head.root.hex(),
    }
    return [
        _item("Legal name for the model provider", EVERYONE, release.provider),
        _item("Model name", EVERYONE, f"{release.model_name} {record.round}"),
        _item("Model authenticity", EVERYONE, authenticity),
        _item("Release date", EVERYONE, facts.released_at.date().isoformat()),
        _item("Union market release date", EVERYONE, None),
        _item("Model dependencies", EVERYONE, None),
    ]


def _list_properties(inputs: ReleaseInputs, facts: ReleaseFacts) -> list[Item]:
    model = inputs.recipe.model
    design = {
        "architecture": model.architecture,
        "context_tokens": model.context_tokens,
        "vocabulary": inputs.recipe.tokenizer.vocab_size,
    }
    return [
        _item("Model architecture", EVERYONE, "Decoder-only transformer, LlamaForCausalLM"),
        _item("Design specifications of the model", AUTHORITIES, design),
        _item("Input modalities", EVERYONE, {"text": f"at most {model.context_tokens} tokens"}),
        _item("Output modalities", EVERYONE, {"text": f"at most {model.context_tokens} tokens"}),
        _item("Total model size", EVERYONE, facts.num_parameters),
    ]


def _list_use(inputs: ReleaseInputs) -> list[Item]:
    software = "transformers with torch; the weights are one safetensors file"
    return [
        _item("Acceptable use policy", EVERYONE, None),
        _item("Intended or restricted uses", EVERYONE, None),
        _item("Type and nature of AI systems for integration", EVERYONE, None),
        _item("Technical means for integration", DOWNSTREAM, "README.md, section Load"),
        _item("Required hardware", DOWNSTREAM, None),
        _item("Required software", DOWNSTREAM, software),
    ]


def _list_training(inputs: ReleaseInputs) -> list[Item]:
    recipe = inputs.recipe
    design = {
        "rounds": [record.round for record in inputs.chain],
        "rule": inputs.record.rule,
        "outer_optimizer": inputs.record.outer_optimizer,
        "inner": recipe.training.model_dump(mode="json"),
        "schedule": recipe.schedule.model_dump(mode="json"),
        "settings_sha256": inputs.settings_sha256,
    }
    return [
        _item("Design specifications of the training process", AUTHORITIES, design),
        _item("Decision rationale", AUTHORITIES, None),
    ]


def _list_data(inputs: ReleaseInputs, facts: ReleaseFacts) -> list[Item]:
    provenance = {
        source.name: SECTIONS[find_kind(source).section] for source in inputs.recipe.corpus.sources
    }
    cells = {f"{cell.language}.{cell.domain}": cell.num_tokens for cell in facts.cells}
    quality = inputs.recipe.corpus.quality.model_dump(mode="json")
    curation = {
        "accepted_licences": list(inputs.recipe.corpus.licences),
        "quality_thresholds": quality,
        "refused": {report.source: dict(report.dropped) for report in inputs.curation},
        "redactions": {report.source: dict(report.redactions) for report in inputs.curation},
    }
    biases = {
        key: value for key, value in facts.evaluation.figures.items() if key.startswith("bias/")
    }
    size = {"documents": facts.num_documents, "tokens": facts.num_tokens}
    return [
        _item("Data type and modality", EVERYONE, ["text"]),
        _item("Data provenance", EVERYONE, provenance),
        _item("How data was obtained and selected", AUTHORITIES, None),
        _item("Number of data points", AUTHORITIES, size),
        _item("Scope and main characteristics", AUTHORITIES, {"tokens_per_cell": cells}),
        _item("Data curation methodologies", EVERYONE, curation),
        _item("Measures to detect unsuitability of data sources", AUTHORITIES, None),
        _item("Measures to detect identifiable biases", AUTHORITIES, biases or None),
    ]


def _list_resources(facts: ReleaseFacts) -> tuple[list[Item], list[Item]]:
    compute = [
        _item("Training time", AUTHORITIES, None),
        _item("Amount of computation, in FLOP", AUTHORITIES, facts.compute_flop),
        _item("Measurement methodology", AUTHORITIES, "6 x parameters x trained tokens"),
    ]
    reported = facts.energy
    method = (
        f"Sum of the energy counters of {reported.num_reporting} of {reported.num_contributions} "
        f"contributions: {facts.energy_mwh:.4g} MWh"
        if reported.num_reporting
        else None
    )
    # A part is not the energy used: where one is missing, the provider has to complete it.
    whole = facts.energy_mwh if method and reported.is_complete else None
    energy = [
        _item("Energy used for training, in MWh", AUTHORITIES, whole),
        _item("Measurement methodology", AUTHORITIES, method),
        _item("Computation of inference, benchmarked", AUTHORITIES, None),
    ]
    return compute, energy


def build_documentation(inputs: ReleaseInputs, facts: ReleaseFacts) -> dict[str, Any]:
    """Return the form as a JSON value."""
    release = inputs.recipe.release
    compute, energy = _list_resources(facts)
    sections = {
        "1 General information": _list_general(inputs, facts),
        "2 Model properties": _list_properties(inputs, facts),
        "3 Methods of distribution and licences": [
            _item("Distribution channels", EVERYONE, None),
            _item("Licence", EVERYONE, release.licence),
        ],
        "4 Use": _list_use(inputs),
        "5 Training process": _list_training(inputs),
        "6 Data for training, testing and validation": _list_data(inputs, facts),
        "7 Computational resources during training": compute,
        "8 Energy consumption": energy,
    }
    return {
        "form": "Model Documentation Form, GPAI Code of Practice, Transparency chapter",
        "last_updated": facts.released_at.date().isoformat(),
        "contact": release.contact,
        "sections": sections,
        "to_complete": [
            f"{title}: {item['item']}"
            for title, items in sections.items()
            for item in items
            if item["value"] is None
        ],
    }
