"""Shapes of what no figure, id or code has: addresses, numbers of people and accounts, machines.

These are tripwires behind the allow-list, not the boundary: they find shapes, and a name or a
sentence has none. A hit is named by its kind and never repeated.

Sources: RFC 5321 (mail), RFC 4291 (IPv6), RFC 9562 (UUID), ISO 13616 with ISO 7064 MOD 97-10
(IBAN), ITU-T E.164 (telephone).
"""

import ipaddress
import re

_EDGE = r"(?<![0-9A-Za-z])"
_PATTERNS = {
    "e-mail address": r"[\w.+%&~-]+(?:@|\(at\)|%40)[\w-]+\.[\w.-]*\w",
    "MAC address": _EDGE + r"[0-9A-Fa-f]{2}(?:([:-])[0-9A-Fa-f]{2})(?:\1[0-9A-Fa-f]{2}){4}(?!\w)",
    "UUID": r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}",
    "path": r"(?:(?<![\w.])~?/[\w.+-]+(?:/[\w.+-]*)+|\b[A-Za-z]:\\[\w.+-]+|/(?:home|root|users)/)",
    "host name": r"(?<![\w.@-])(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+"
    r"(?:eu|org|com|net|edu|int|de|it|fr|fi|es|se|no|dk|nl|be|at|ch|pl|pt|cz|si|sk|hr|hu|ro|bg|gr"
    r"|ie|ee|lv|lt|lu|mt|cy|local|lan|internal|localdomain|corp|home)(?![\w-])",
    "telephone number": r"(?<![\w.+])(?:\+|00)[1-9](?:[ ().-]{0,2}[0-9]){7,14}(?!\w)",
}
_WIRES = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in _PATTERNS.items()}
_IPV4 = re.compile(r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w.]*[0-9A-Za-z])")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_IBAN = re.compile(
    _EDGE + r"[A-Z]{2}[0-9]{2}(?:[ -]?[0-9A-Z]{4}){2,7}(?:[ -]?[0-9A-Z]{1,4})?(?!\w)"
)
MAX_CHARACTERS = 1 << 20  # of one text; a longer one is a hit by itself


def find_tripwire(text: str) -> str | None:
    """Return the kind of the first hit in a text, or None; never what was hit."""
    if len(text) > MAX_CHARACTERS:
        return "long text"
    if any(_is_iban(match[0]) for match in _IBAN.finditer(text.upper())):
        return "IBAN"
    if any(_is_address(match[0]) for wire in (_IPV4, _IPV6) for match in wire.finditer(text)):
        return "IP address"
    return next((kind for kind, pattern in _WIRES.items() if pattern.search(text)), None)


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not address.is_unspecified  # `::` alone is punctuation


def _is_iban(text: str) -> bool:
    compact = re.sub(r"[ -]", "", text)
    number = "".join(str(int(char, 36)) for char in compact[4:] + compact[:4])
    return 15 <= len(compact) <= 34 and int(number) % 97 == 1
