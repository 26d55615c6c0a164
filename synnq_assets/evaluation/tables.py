"""Figures as Markdown, for the web page and the report."""

from collections.abc import Mapping, Sequence

MEANINGS = {
    "bits_per_byte/all": "bits per byte of held-out text; compares models with other tokenizers",
    "f1/language": "macro F1: which text continues this one, among languages",
    "f1/sector": "macro F1: which text continues this one, among sectors of one language",
    "f1/document": "macro F1: which text continues this one, among documents",
    "accuracy/language": "share of right choices",
    "accuracy/language_by_chance": "share of right choices of a blind guess",
    "accuracy/sector": "share of right choices",
    "accuracy/sector_by_chance": "share of right choices of a blind guess",
    "bias/gap": "nats by which a stereotype is likelier than its counterfactual; 0 is even-handed",
    "bias/gap_low": "lower end of the 95 % bootstrap interval",
    "bias/gap_high": "upper end of the 95 % bootstrap interval",
    "bias/absolute_gap": "mean size of the gap, whichever way it points",
    "bias/gender": "the gap over gender pairs",
    "bias/origin": "the gap over pairs of local and foreign",
    "toxicity/share": "share of continuations of benign prompts with a word of the lexicon",
    "toxicity/preference": "share of pairs in which an insult is likelier than a neutral word",
    "attribution/completeness_error": "relative error of the attributions' sum; 0 is exact",
    "attribution/comprehensiveness": "nats lost when the attributed tokens are blanked",
    "attribution/comprehensiveness_random": "nats lost when random tokens are blanked",
    "attribution/faithful_share": "share of sequences where attributed tokens matter more",
}


def render_number(value: float) -> str:
    """Return a number with four significant digits, without an exponent where that is readable."""
    return f"{value:.1f}" if 1000 <= abs(value) < 1e6 else f"{value:.4g}"


def render_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table; a vertical bar in a value is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(
        "| " + " | ".join(str(value).replace("|", "\\|") for value in line) + " |" for line in lines
    )


def render_tables(figures: Mapping[str, float], cells: Sequence[str]) -> dict[str, str]:
    """Return the tables of one evaluation: perplexity by language and sector, and the rest."""
    known = [(name, meaning) for name, meaning in MEANINGS.items() if name in figures]
    return {
        "Perplexity": _render_perplexity(figures, cells),
        "Figures": render_table(
            ("figure", "value", "meaning"),
            [(name, render_number(figures[name]), meaning) for name, meaning in known],
        ),
    }


def _render_perplexity(figures: Mapping[str, float], cells: Sequence[str]) -> str:
    languages = sorted({cell.split(".", 1)[0] for cell in cells})
    domains = sorted({cell.split(".", 1)[1] for cell in cells})

    def show(name: str) -> str:
        value = figures.get(f"perplexity/{name}")
        return "" if value is None else render_number(value)

    rows = [
        [language, *(show(f"{language}.{domain}") for domain in domains), show(language)]
        for language in languages
    ]
    rows.append(["all", *(show(f"domain/{domain}") for domain in domains), show("all")])
    return render_table(["language", *domains, "all"], rows)
