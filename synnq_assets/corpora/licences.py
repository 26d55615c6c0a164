"""Licence statements as they occur, and the SPDX expressions that they mean.

Source: SPDX 3.0 annex "SPDX licence expressions"; ids and exceptions as known to the
license-expression library. `LicenseRef-` ids are kept verbatim: the library would replace some of
them with ids of its own register. What is neither an SPDX expression nor in the alias table has no
meaning here, and a statement without meaning is never a permission.
"""

import functools
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from synnq_assets.errors import SettingsError

MAX_EXPRESSION_CHARACTERS = 500

# Lower-case, single-spaced, without a leading "the" and a trailing "license".
ALIASES = {
    "apache": "Apache-2.0",  # no package or data set of this century means 1.0 or 1.1
    "apache 2": "Apache-2.0",
    "apache 2.0": "Apache-2.0",
    "apache software": "Apache-2.0",
    "apache software license 2.0": "Apache-2.0",
    "apache license 2.0": "Apache-2.0",
    "apache license version 2.0": "Apache-2.0",
    "apache license, version 2.0": "Apache-2.0",
    "mit": "MIT",
    "mit license (mit)": "MIT",
    "expat": "MIT",
    "bsd 2-clause": "BSD-2-Clause",
    "2-clause bsd": "BSD-2-Clause",
    "simplified bsd": "BSD-2-Clause",
    "bsd 3-clause": "BSD-3-Clause",
    "3-clause bsd": "BSD-3-Clause",
    "new bsd": "BSD-3-Clause",
    "modified bsd": "BSD-3-Clause",
    "psf": "PSF-2.0",
    "psfl": "PSF-2.0",
    "python software foundation": "PSF-2.0",
    "isc": "ISC",
    "isc license (iscl)": "ISC",
    "mpl 2.0": "MPL-2.0",
    "unlicense": "Unlicense",
    "cc0": "CC0-1.0",
    "cc0 1.0": "CC0-1.0",
    "cc0 1.0 universal": "CC0-1.0",
    "cc by 4.0": "CC-BY-4.0",
    "cc-by 4.0": "CC-BY-4.0",
    "creative commons attribution 4.0": "CC-BY-4.0",
    "creative commons attribution 4.0 international": "CC-BY-4.0",
    "cc by-sa 4.0": "CC-BY-SA-4.0",
    "cc-by-sa 4.0": "CC-BY-SA-4.0",
    "creative commons attribution-sharealike 4.0 international": "CC-BY-SA-4.0",
    "licence ouverte 2.0": "etalab-2.0",
    "etalab 2.0": "etalab-2.0",
    "dl-de/by-2-0": "DL-DE-BY-2.0",
    "dl-de/zero-2-0": "DL-DE-ZERO-2.0",
    "eupl 1.2": "EUPL-1.2",
}


class UnknownLicenceError(ValueError):
    """A statement that is no SPDX expression and no known alias."""


@dataclass(frozen=True, slots=True)
class LicenceChoice:
    """What the gate decides: the expression to record, and why it is refused (empty: accepted)."""

    licence: str
    reason: str


def normalise_licence(statement: str) -> str:
    """Return the SPDX expression that a statement means, with ids in their official spelling.

    Raises:
        UnknownLicenceError: neither an SPDX expression nor a known alias.
    """
    return _render(_parse(statement))


def select_licence(statement: str, accepted: Collection[str]) -> LicenceChoice:
    """Judge one statement: in AND every part must be accepted, in OR the first that is, is chosen.

    Args:
        statement: as the source wrote it.
        accepted: SPDX ids and `LicenseRef-` ids in official spelling (see `parse_accepted`).
    """
    if not statement.strip() or statement.strip().upper() in {"NOASSERTION", "NONE", "UNKNOWN"}:
        return LicenceChoice("NOASSERTION", "missing")
    try:
        expression = _parse(statement)
    except UnknownLicenceError:
        return LicenceChoice("NOASSERTION", "not-spdx")
    chosen = _choose(expression, accepted)
    if chosen is None:
        return LicenceChoice(_render(expression), "not-accepted")
    return LicenceChoice(chosen, "")


def parse_accepted(licences: Collection[str]) -> frozenset[str]:
    """Return the recipe's accepted licences in official spelling.

    Raises:
        SettingsError: an entry is not an SPDX id; the message names it.
    """
    accepted = set()
    for entry in licences:
        try:
            accepted.add(normalise_licence(entry))
        except UnknownLicenceError as error:
            raise SettingsError(
                f"corpus.licences: {entry!r} is not an SPDX id; "
                "give one such as CC-BY-4.0, or declare your own as LicenseRef-..."
            ) from error
    return frozenset(accepted)


def _parse(statement: str) -> Any:
    from license_expression import Licensing

    text = " ".join(statement.split())
    text = ALIASES.get(_alias_key(text), text)
    if not text or len(text) > MAX_EXPRESSION_CHARACTERS:
        raise UnknownLicenceError(statement[:80])
    # On "( )" and the like the parser lets slip IndexError, AssertionError and others.
    try:
        expression = Licensing().parse(text)
        _render(expression)  # raises where a symbol is unknown
    except Exception as error:
        raise UnknownLicenceError(statement[:80]) from error
    return expression


def _alias_key(text: str) -> str:
    key = text.casefold().removeprefix("the ")
    for ending in (" license", " licence"):
        key = key.removesuffix(ending)
    return key if key in ALIASES else text.casefold()


def _render(node: Any, *, parent: str = "") -> str:
    operator = str(getattr(node, "operator", "")).strip()
    if operator:
        text = f" {operator} ".join(_render(child, parent=operator) for child in node.args)
        return f"({text})" if parent and parent != operator else text
    if hasattr(node, "exception_symbol"):
        base = _official_id(node.license_symbol.key, is_exception=False)
        return f"{base} WITH {_official_id(node.exception_symbol.key, is_exception=True)}"
    return _official_id(node.key, is_exception=False)


def _choose(node: Any, accepted: Collection[str]) -> str | None:
    operator = str(getattr(node, "operator", "")).strip()
    if operator == "OR":
        return next((text for child in node.args if (text := _choose(child, accepted))), None)
    if operator == "AND":
        parts = [_choose(child, accepted) for child in node.args]
        if None in parts:
            return None
        return " AND ".join(dict.fromkeys(part for part in parts if part))
    text = _render(node)
    # An SPDX exception only adds permissions, so an accepted base licence is enough.
    return text if text in accepted or text.partition(" WITH ")[0] in accepted else None


def _official_id(key: str, *, is_exception: bool) -> str:
    if key.startswith(("LicenseRef-", "DocumentRef-")):
        return key
    official = _spdx_ids(is_exception).get(key.casefold())
    official = official or _spdx_ids(is_exception).get(ALIASES.get(_alias_key(key), "").casefold())
    if official is None:
        raise UnknownLicenceError(key)
    return official


@functools.lru_cache(maxsize=2)
def _spdx_ids(is_exception: bool) -> dict[str, str]:
    from license_expression import get_spdx_licensing

    ids: dict[str, str] = {}
    for key, symbol in get_spdx_licensing().known_symbols.items():
        if symbol.is_exception != is_exception or key.startswith("LicenseRef-"):
            continue
        for name in (*symbol.aliases, key):
            if " " not in name and not name.startswith("LicenseRef-"):
                ids[name.casefold()] = key
    return ids
