"""The model card: a Hugging Face README, generated from records; it claims nothing else.

Source: Hugging Face model card metadata (huggingface.co/docs/hub/model-cards).
"""

from typing import Any

import yaml

from synnq_assets.records.rounds import EvaluationRecord
from synnq_assets.release.contents import FIGURES_FOLDER, PAPERS_FOLDER
from synnq_assets.release.facts import SYSTEMIC_RISK_FLOP, ReleaseFacts
from synnq_assets.release.inputs import ReleaseInputs
from synnq_assets.release.tables import (
    escape_text,
    format_count,
    format_figure,
    list_measured,
    render_cells,
    render_curation,
    render_figures,
    render_licences,
    render_pairs,
    render_rounds,
)


def render_card(inputs: ReleaseInputs, facts: ReleaseFacts) -> str:
    """Return README.md."""
    front = yaml.safe_dump(build_metadata(inputs, facts), sort_keys=False, allow_unicode=True)
    title = escape_text(inputs.recipe.release.model_name)
    sections = (
        f"---\n{front}---\n\n# {title}\n\n{_render_summary(inputs, facts)}",
        f"## Figures\n\n{_render_results(inputs, facts)}",
        f"## Training\n\n{_render_training(inputs)}",
        f"## Data\n\n{_render_data(inputs, facts)}",
        f"## Compute and energy\n\n{render_compute(facts)}",
        f"## Limits\n\n{_render_limits(inputs, facts)}",
        f"## Load\n\n{_LOAD}",
        f"## Verify\n\n{_VERIFY}",
        f"## Papers\n\n{_PAPERS}",
    )
    return "\n".join(sections)


def build_metadata(inputs: ReleaseInputs, facts: ReleaseFacts) -> dict[str, Any]:
    """Return the YAML front matter that model hubs read."""
    release = inputs.recipe.release
    evaluation = facts.evaluation
    return {
        "license": release.licence.lower(),
        "language": list(facts.languages),
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["federated-training", "safetensors", *facts.domains],
        "model-index": [
            {
                "name": release.model_name,
                "results": [
                    {
                        "task": {"type": "text-generation"},
                        "dataset": {"name": "held-out documents", "type": "held-out"},
                        "metrics": [
                            {"type": "perplexity", "value": evaluation.headline_perplexity},
                            {"type": "f1", "value": evaluation.headline_f1},
                        ],
                    }
                ],
            }
        ],
    }


def _render_summary(inputs: ReleaseInputs, facts: ReleaseFacts) -> str:
    recipe, record = inputs.recipe, inputs.record
    pairs = [
        ("Parameters", format_count(facts.num_parameters)),
        ("Architecture", f"{escape_text(recipe.model.architecture)} (LlamaForCausalLM)"),
        ("Context", f"{format_count(recipe.model.context_tokens)} tokens"),
        ("Vocabulary", f"{format_count(recipe.tokenizer.vocab_size)} (byte-level BPE)"),
        ("Languages", ", ".join(facts.languages) or "–"),
        ("Sectors", ", ".join(facts.domains) or "–"),
        ("Tokens in the shards", format_count(facts.num_tokens)),
        ("Trained tokens, with epochs", format_count(facts.num_trained_tokens)),
        ("Federation, round", f"{record.federation}, {record.round}"),
        ("Checkpoint", f"`{record.checkpoint.checkpoint_sha256}`"),
        ("Settings", f"`{inputs.settings_sha256}`"),
        ("Licence", escape_text(recipe.release.licence)),
        ("Provider", escape_text(recipe.release.provider)),
        ("Contact", escape_text(recipe.release.contact)),
        ("Released", facts.released_at.date().isoformat()),
    ]
    return f"{escape_text(recipe.description)}\n\n{render_pairs(pairs)}"


def _render_results(inputs: ReleaseInputs, facts: ReleaseFacts) -> str:
    evaluation = facts.evaluation
    lines = [
        f"Headline: perplexity {format_figure(evaluation.headline_perplexity)}, "
        f"F1 {format_figure(evaluation.headline_f1)}, measured at round {evaluation.round}. "
        f"The last two columns are rounds {facts.first_evaluation.round} (the first that was "
        f"evaluated) and {evaluation.round} (this release).{_render_suite(evaluation)}\n",
        render_figures(facts),
    ]
    lines.extend(
        f"![{name.removesuffix('.png')}]({FIGURES_FOLDER}/{name})\n"
        for name in sorted(inputs.plots)
    )
    return "\n".join(lines)


def _render_suite(evaluation: EvaluationRecord) -> str:
    number = evaluation.figures.get("suite/fingerprint")
    return "" if number is None else f" Digest of the questions: `{int(number):012x}…`."


def _render_training(inputs: ReleaseInputs) -> str:
    training, schedule = inputs.recipe.training, inputs.recipe.schedule
    nodes = {item.node_id for record in inputs.chain for item in record.contributions}
    return (
        f"{len(nodes)} nodes contributed to the {len(inputs.chain) - 1} promoted rounds below. "
        f"The accepted updates of the last one were combined by the rule "
        f"`{inputs.record.rule}` and applied by the outer optimizer "
        f"`{inputs.record.outer_optimizer}`.\n\n"
        f"Inner optimisation: {training.epochs} epochs of {training.batch_sequences} sequences of "
        f"{training.sequence_tokens} tokens per step, {training.precision}; betas "
        f"{training.beta1} and {training.beta2}, weight decay {training.weight_decay}, gradient "
        f"norm at most {training.max_gradient_norm}. Learning rate: {schedule.shape}, peak "
        f"{schedule.peak_learning_rate}, over {format_count(schedule.total_tokens)} tokens.\n\n"
        f"{render_rounds(inputs.chain, inputs.evaluations)}"
    )


def _render_data(inputs: ReleaseInputs, facts: ReleaseFacts) -> str:
    return (
        f"### By language and sector\n\n{render_cells(facts)}\n"
        f"### By licence\n\n{render_licences(facts)}\n"
        f"### By source\n\n{render_curation(inputs.curation, facts)}\n"
        "Counts are documents; redactions are replacements in kept documents. The shards are "
        "encrypted and are not part of this folder; `provenance/shards.json` lists them.\n"
    )


def render_compute(facts: ReleaseFacts) -> str:
    """Return training compute and energy in words, for the card."""
    energy = facts.energy
    counted = f"{energy.num_reporting} of {energy.num_contributions} contributions"
    stated = (
        f"{counted} reported {format_figure(facts.energy_mwh)} MWh in total"
        if energy.num_reporting
        else f"{counted} reported energy"
    )
    if not energy.is_complete:
        stated += "; what the others used is not known"
    return (
        f"Estimated training compute: {facts.compute_flop:.3g} FLOP "
        f"(6 x parameters x trained tokens, arXiv:2001.08361), "
        f"{facts.compute_flop / SYSTEMIC_RISK_FLOP:.2g} of the threshold of 10²⁵ FLOP in "
        f"Art. 51(2) of the AI Act. Rounds that were rolled back are not counted. "
        f"Energy: {stated}.\n"
    )


def _render_limits(inputs: ReleaseInputs, facts: ReleaseFacts) -> str:
    measured = list_measured(facts.evaluation.figures)
    lines = [
        "- The lineage holds the training rounds above and nothing after them: no instruction "
        "tuning and no alignment step is recorded.",
        f"- It was built for at most {format_count(inputs.recipe.model.context_tokens)} tokens.",
        f"- It saw {format_figure(facts.num_trained_tokens / facts.num_parameters)} trained tokens "
        "per parameter.",
        "- The figures hold for the documents they were measured on; other languages, sectors and "
        "uses were not measured.",
    ]
    if unmeasured := [name for name in (*facts.languages, *facts.domains) if name not in measured]:
        lines.append(f"- Trained on, but without a figure of their own: {', '.join(unmeasured)}.")
    return "\n".join(lines) + "\n"


_LOAD = """\
```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained(DIR)
tokenizer = AutoTokenizer.from_pretrained(DIR)
```

`DIR` is this folder. No code from this folder is run.
"""

_VERIFY = """\
```
synnq verify-release DIR --root KEY
```

`KEY` is the coordinator's root key, obtained apart from this folder. Without it, the folder is
checked against the root key that it carries itself, which shows that it is whole, not who made it.
The check needs no network: the exact set of files, their digests, the signature of the release
key and its grant by the root, the unbroken chain of checkpoints, and the weights.
"""

_PAPERS = f"""\
- [Public summary of training content]({PAPERS_FOLDER}/training-content-summary.md), AI Act
  Art. 53(1)(d)
- [Model documentation]({PAPERS_FOLDER}/model-documentation.json), AI Act Art. 53(1)(a) and (b)
- [Compliance evaluation]({PAPERS_FOLDER}/compliance.md)
"""
