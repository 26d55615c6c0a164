"""Robust rules by name. A new one takes a file here, a line in `RULES`, and its test.

| name         | tolerates                                | price                        |
|--------------|------------------------------------------|------------------------------|
| mean         | none                                     | none                         |
| trimmed-mean | floor(trim_share * n)                    | the trimmed share            |
| median       | n > 2f (weighted: less than half)        | most of the honest variance  |
"""

import difflib

from pydantic import ValidationError

from synnq_assets.aggregation.rules.base import Rule
from synnq_assets.aggregation.rules.mean import Mean
from synnq_assets.aggregation.rules.median import Median
from synnq_assets.aggregation.rules.trimmed_mean import TrimmedMean
from synnq_assets.errors import SettingsError
from synnq_assets.settings.base import Variant
from synnq_assets.settings.load import describe_invalid

RULES: dict[str, type[Rule]] = {
    Mean.name: Mean,
    TrimmedMean.name: TrimmedMean,
    Median.name: Median,
}


def build_rule(variant: Variant) -> Rule:
    """Return the rule that a recipe names, with its parameters checked.

    Raises:
        SettingsError: no rule of this name, or a parameter is unknown or out of range.
    """
    if variant.name not in RULES:
        near = difflib.get_close_matches(variant.name, RULES, n=1, cutoff=0.0)
        raise SettingsError(
            f"aggregation.rule: no rule named {variant.name!r}; did you mean {near[0]!r}? "
            f"Known: {', '.join(RULES)}."
        )
    try:
        return RULES[variant.name].model_validate(variant.params)
    except ValidationError as error:
        raise SettingsError(describe_invalid(f"aggregation.rule {variant.name}", error)) from error


__all__ = ["RULES", "Rule", "build_rule"]
