"""Redaction of e-mail addresses, IBANs and telephone numbers.

An IBAN counts only with a valid checksum and its country's length (ISO 13616, by python-stdnum). A
telephone number needs a cue in front of it ("Tel.", "puhelin", ...) or a valid international form
(ITU-T E.164, by phonenumbers), so that section numbers, dates and frequencies stay. Replacements
are fixed tokens: the result depends on the text alone, and redacting twice changes nothing.
Names of persons are not found: no offline model of them exists for these languages.
"""

import functools
import re
from dataclasses import replace

from synnq_assets.corpora.documents import Document
from synnq_assets.corpora.steps.base import Answer, Keep, Step
from synnq_assets.settings.recipe import CorpusSettings

EMAIL_TOKEN, PHONE_TOKEN, IBAN_TOKEN = "<EMAIL>", "<PHONE>", "<IBAN>"

MAX_LOCAL_CHARACTERS = 64  # RFC 5321, section 4.5.3.1
_LOCAL_PART = re.compile(r"[\w.+%&~-]+$")
_MAIL_DOMAIN = re.compile(r"(?:[\w-]+\.)+[^\W\d_]{2,}")

# These three begin with a set of characters and look behind afterwards: the search then runs at
# hundreds of megabytes a second instead of tens.
_AT_SIGN = re.compile(r"[@(\[](?:(?<=@)|[aA][tT][)\]])")
_IBAN_CHECK = re.compile(
    r"[0-9](?<=[A-Za-z]{2}[0-9])[0-9](?<![0-9A-Za-z].{4})(?=[ \u00a0-]?[0-9A-Za-z]{2})"
)
_GAP = r"(?:\.|\)[ -]{0,2}|[ \u00a0]?[(/-]?[ \u00a0]?)"  # between two digits of a number
_DIGITS = re.compile(
    r"[+(0-9](?<![\w.,/+-].)(?:(?<=[0-9])|(?<=\+) ?\(?[0-9]|(?<=\()\+? ?\(?[0-9])"
    r"(?:" + _GAP + r"[0-9]){5,16}(?!\w)"
)
_IBAN_CHARACTER = re.compile(r"[ \u00a0-]?([0-9A-Za-z])")

_CUE = re.compile(
    r"(?:(?<!\w)(?:tele(?:ph|f)on\w*|telefoon\w*|teléfono\w*|téléphone\w*|tel|tél|phone|fax|faksi?"
    r"|telefax|puhelin\w*|puh|mobil\w*|móvil|mobiel|gsm|handy|komórka|kom(?=[.:])|τηλ\w*|тел\w*)"
    r"|[☎✆📞📱])"
    r"(?:[ .]*(?:nr|no|n°|number|nummer|numero|número|numéro|numer))?[\s.:=|*–-]{0,6}\(?$"
    r"|<PHONE>(?:\W{0,3}(?:or|oder|ou|o|e|y|et|en|tai|of|lub|eller|och|und|and|ja))?\W{0,3}$",
    re.IGNORECASE,
)
_NOT_A_PHONE = re.compile(
    r"\d{1,3}(?:\.\d{1,3}){3}|\d{1,2}[./-]\d{1,2}[./-]\d{4}|\d{4}[./-]\d{1,2}[./-]\d{1,2}"
    r"|(?:19|20)\d\d ?[/-] ?(?:19|20)\d\d"
    r"|\d{5,7}-\d\d-\d"  # a chemical's CAS number with leading zeros
)
CUE_CHARACTERS = 40
MIN_PHONE_DIGITS, MAX_PHONE_DIGITS = 6, 15


class RedactionStep(Step):
    """Keeps every document, with tokens in the place of contact and account data."""

    name = "redaction"

    def __init__(self, corpus: CorpusSettings) -> None:
        """There is nothing to set."""

    def judge(self, document: Document) -> Answer:
        """Keep, with the counts of what was replaced."""
        text, found = redact_text(document.text)
        if not any(found):
            return Keep(document)
        emails, phones, ibans = found
        return Keep(
            replace(
                document,
                text=text,
                redactions_email=emails,
                redactions_phone=phones,
                redactions_iban=ibans,
            )
        )


def redact_text(text: str) -> tuple[str, tuple[int, int, int]]:
    """Return the redacted text and the numbers of (e-mail addresses, telephones, IBANs).

    Goes over the text again until nothing is found: of two numbers written without a space, the
    second shows itself only when the first has gone.
    """
    totals = (0, 0, 0)
    while True:
        text, emails = redact_emails(text)
        text, ibans = redact_ibans(text)
        text, phones = redact_phones(text)
        if not emails and not ibans and not phones:
            return text, totals
        totals = (totals[0] + emails, totals[1] + phones, totals[2] + ibans)


def redact_emails(text: str) -> tuple[str, int]:
    """Return the text with `<EMAIL>` for every address, and how many there were."""
    parts: list[str] = []
    done = 0
    for sign in _AT_SIGN.finditer(text):
        start, end = sign.span()
        if text[start] != "@":  # "name (at) example.org"
            start -= text[start - 1 : start] == " "
            end += text[end : end + 1] == " "
        head = _LOCAL_PART.search(text, max(done, start - MAX_LOCAL_CHARACTERS), start)
        tail = _MAIL_DOMAIN.match(text, end)
        if head is None or tail is None:
            continue
        parts += (text[done : head.start()], EMAIL_TOKEN)
        done = tail.end()
    return "".join((*parts, text[done:])), len(parts) // 2


def redact_ibans(text: str) -> tuple[str, int]:
    """Return the text with `<IBAN>` for every valid account number, and how many there were."""
    parts: list[str] = []
    done = 0
    for check in _IBAN_CHECK.finditer(text):
        start = check.start() - len("XX")
        end = _find_iban_end(text, start) if start >= done else None
        if end is not None:
            parts += (text[done:start], IBAN_TOKEN)
            done = end
    return "".join((*parts, text[done:])), len(parts) // 2


def redact_phones(text: str) -> tuple[str, int]:
    """Return the text with `<PHONE>` for every telephone number, and how many there were."""
    parts: list[str] = []
    done = 0
    for match in _DIGITS.finditer(text):
        # The context is read as it has been written, so that a second run finds the same.
        before = text[max(done, match.start() - CUE_CHARACTERS) : match.start()]
        if len(before) < CUE_CHARACTERS:
            before = "".join((*parts[-4:], before))[-CUE_CHARACTERS:]
        if _is_phone(match[0], before):
            opening = len(match[0]) - len(match[0].lstrip("("))
            keep = opening if match[0].count("(") > match[0].count(")") else 0
            parts += (text[done : match.start() + keep], PHONE_TOKEN)
            done = match.end()
    return "".join((*parts, text[done:])), len(parts) // 2


def _is_phone(candidate: str, before: str) -> bool:
    number = candidate.strip("() ")
    digits = re.sub(r"\D", "", number)
    if not MIN_PHONE_DIGITS <= len(digits) <= MAX_PHONE_DIGITS or _NOT_A_PHONE.fullmatch(number):
        return False
    if _CUE.search(before):
        return True
    if number.startswith("+"):
        return _is_valid_international(f"+{digits}")
    return number.startswith("00") and _is_valid_international(f"+{digits[2:]}")


def _is_valid_international(number: str) -> bool:
    import phonenumbers

    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(number, None)))
    except phonenumbers.NumberParseException:
        return False


def _find_iban_end(text: str, start: int) -> int | None:
    from stdnum import iban

    length = _iban_characters(text[start : start + 2].upper())
    characters: list[str] = []
    end = start
    while len(characters) < length and (match := _IBAN_CHARACTER.match(text, end)):
        characters.append(match[1])
        end = match.end()
    if not length or len(characters) < length or text[end : end + 1].isalnum():
        return None
    # National check digits inside the account number are not asked for: a typing mistake there
    # does not make the number less personal.
    return end if iban.is_valid("".join(characters).upper(), check_country=False) else None


@functools.lru_cache(maxsize=512)
def _iban_characters(country: str) -> int:
    from stdnum import numdb

    properties = numdb.get("iban").info(country)[0][1]
    structure = re.findall(r"([1-9][0-9]*)!", properties.get("bban", ""))
    return 4 + sum(map(int, structure)) if structure else 0
