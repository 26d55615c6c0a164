"""Every wrapper is held to the same contract; each then has failures of its own.

Vault is tried against `transit.py`, which speaks the documented API, not against a Vault.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import hvac
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from synnq_assets.errors import KeyProtectionError, SettingsError
from synnq_assets.settings.secrets import (
    VaultAccess,
    read_key_folder,
    read_passphrases,
    read_vault_access,
)
from synnq_assets.trust.wrapping import (
    WRAPPERS,
    FileWrapper,
    KeyContext,
    PassphraseWrapper,
    VaultTransitWrapper,
    open_wrapper,
)
from synnq_assets_tests.trust.transit import serving_transit

PASSPHRASE = "correct horse battery staple"
CONTEXT = KeyContext(federation="synnq-test", name="coordinator", algorithm="ed25519")
OTHERS = [
    CONTEXT.model_copy(update={field: "other"}) for field in ("federation", "name", "algorithm")
]
KEY = bytes(range(32))


@pytest.fixture(scope="module")
def transit():
    with serving_transit() as running:
        yield running


@pytest.fixture(params=sorted(WRAPPERS))
def wrapper(request, tmp_path):
    if request.param == "passphrase":
        return PassphraseWrapper((SecretStr(PASSPHRASE),), b"one salt, 16 bytes"[:16])
    if request.param == "file":
        return FileWrapper(tmp_path)
    served = request.getfixturevalue("transit")
    served.keys.clear()
    return VaultTransitWrapper(VaultAccess(served.address, SecretStr(served.token)))


@pytest.fixture
def vault(transit):
    transit.keys.clear()
    transit.requests.clear()
    yield VaultTransitWrapper(VaultAccess(transit.address, SecretStr(transit.token)))
    transit.status = transit.body = transit.breaks_after = None
    transit.keeps_keys = False


# --- the contract


@pytest.mark.parametrize("size", [1, 32, 48, 2600])
def test_a_key_of_any_length_comes_back(wrapper, size):
    key = os.urandom(size)
    wrapped = wrapper.wrap(key, CONTEXT)
    assert wrapped.isascii()
    assert wrapped != wrapper.wrap(key, CONTEXT), "no two wraps are alike"
    assert wrapper.unwrap(wrapped, CONTEXT) == key


@pytest.mark.parametrize("other", OTHERS, ids=["federation", "name", "algorithm"])
def test_a_wrapped_key_opens_under_no_other_context(wrapper, other):
    wrapped = wrapper.wrap(KEY, CONTEXT)
    wrapper.wrap(KEY, other)  # the other context has a secret of its own
    with pytest.raises(KeyProtectionError):
        wrapper.unwrap(wrapped, other)


def test_a_wrapped_key_that_was_changed_anywhere_does_not_open(wrapper):
    wrapped = wrapper.wrap(KEY, CONTEXT)
    begin = wrapped.rindex(":") + 1
    salted = begin + 24 if wrapper.name == "passphrase" else begin  # a changed salt costs a scrypt
    for position in range(salted, len(wrapped)):
        letter = "A" if wrapped[position] != "A" else "B"
        with pytest.raises(KeyProtectionError):
            wrapper.unwrap(wrapped[:position] + letter + wrapped[position + 1 :], CONTEXT)


@pytest.mark.parametrize(
    "text", ["", ":", "vault:v1:", "vault:v0:AAAA", "file-1:", "file-1:AA", "file-1:A", "x:AAAA"]
)
def test_what_is_no_wrapped_key_is_refused(wrapper, text):
    wrapper.wrap(KEY, CONTEXT)
    with pytest.raises(KeyProtectionError):
        wrapper.unwrap(text, CONTEXT)


def test_a_key_is_destroyed_for_good_and_no_other_with_it(wrapper):
    if wrapper.name == "passphrase":
        with pytest.raises(KeyProtectionError, match="a passphrase cannot destroy"):
            wrapper.destroy(CONTEXT)
        return
    wrapped, kept = wrapper.wrap(KEY, CONTEXT), wrapper.wrap(KEY, OTHERS[1])
    wrapper.destroy(CONTEXT)
    wrapper.destroy(CONTEXT)
    with pytest.raises(KeyProtectionError, match="destroyed"):
        wrapper.unwrap(wrapped, CONTEXT)
    assert wrapper.unwrap(kept, OTHERS[1]) == KEY
    wrapper.wrap(KEY, CONTEXT)  # a new secret, which does not bring the old key back
    with pytest.raises(KeyProtectionError):
        wrapper.unwrap(wrapped, CONTEXT)


def test_the_environment_opens_each_wrapper_or_is_told_what_is_missing(monkeypatch, tmp_path):
    for name, missing in (
        ("passphrase", "set SYNNQ_KEY_PASSPHRASE_FILE"),
        ("file", "set SYNNQ_KEY_FOLDER"),
        ("vault-transit", "set VAULT_ADDR"),
        ("rot13", "unknown key wrapper 'rot13'; use passphrase, file, vault-transit"),
    ):
        with pytest.raises(KeyProtectionError, match=missing):
            open_wrapper(name)
    (tmp_path / "passphrase").write_text(f"{PASSPHRASE}\n\nthe one before it\n")
    monkeypatch.setenv("SYNNQ_KEY_PASSPHRASE_FILE", str(tmp_path / "passphrase"))
    monkeypatch.setenv("SYNNQ_KEY_FOLDER", str(tmp_path))
    monkeypatch.setenv("VAULT_ADDR", "https://vault.example.org:8200/")
    monkeypatch.setenv("VAULT_TOKEN", "hvs.canary")
    passphrases = open_wrapper("passphrase").passphrases
    assert [item.get_secret_value() for item in passphrases] == [PASSPHRASE, "the one before it"]
    assert open_wrapper("file").folder == tmp_path
    access = open_wrapper("vault-transit").access
    assert access.address == "https://vault.example.org:8200"
    assert "canary" not in repr(access)
    assert PASSPHRASE not in repr(open_wrapper("passphrase"))


# --- passphrase


def test_a_wrong_passphrase_is_named_and_not_repeated():
    wrapped = PassphraseWrapper((SecretStr(PASSPHRASE),)).wrap(KEY, CONTEXT)
    wrong = "canary of a passphrase"
    with pytest.raises(KeyProtectionError, match="the passphrase is wrong") as caught:
        PassphraseWrapper((SecretStr(wrong),)).unwrap(wrapped, CONTEXT)
    assert wrong not in str(caught.value)


def test_a_former_passphrase_still_opens_and_protects_nothing_new():
    old, new = SecretStr(PASSPHRASE), SecretStr("a passphrase that is newer")
    wrapped = PassphraseWrapper((old,)).wrap(KEY, CONTEXT)
    both = PassphraseWrapper((new, old))
    assert both.unwrap(wrapped, CONTEXT) == KEY
    with pytest.raises(KeyProtectionError):
        PassphraseWrapper((old,)).unwrap(both.wrap(KEY, CONTEXT), CONTEXT)


def test_a_passphrase_counts_as_the_same_characters_however_they_were_composed():
    composed, decomposed = "Schlüsselwörter", "Schlu\u0308sselwo\u0308rter"
    wrapped = PassphraseWrapper((SecretStr(composed),)).wrap(KEY, CONTEXT)
    assert PassphraseWrapper((SecretStr(decomposed),)).unwrap(wrapped, CONTEXT) == KEY


def test_a_short_passphrase_protects_nothing():
    with pytest.raises(KeyProtectionError, match="shorter than 12 characters"):
        PassphraseWrapper((SecretStr("elevenchars"),)).wrap(KEY, CONTEXT)


def test_a_ciphertext_cannot_ask_for_costlier_parameters():
    with pytest.raises(KeyProtectionError, match="it is not scrypt-17-8-1"):
        PassphraseWrapper((SecretStr(PASSPHRASE),)).unwrap("scrypt-30-8-1:AAAA", CONTEXT)


# --- key folder


def only_secret(folder):
    (path,) = folder.glob("*/*.key")
    return path


def test_a_secret_is_the_owners_alone_and_is_overwritten_when_destroyed(tmp_path):
    FileWrapper(tmp_path).wrap(KEY, CONTEXT)
    path = only_secret(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    secret = path.read_bytes()
    with path.open("rb") as held:
        FileWrapper(tmp_path).destroy(CONTEXT)
        assert not path.exists()
        assert held.read() != secret


def test_a_folder_that_is_not_mounted_is_not_created(tmp_path):
    absent = FileWrapper(tmp_path / "volume")
    for act in (
        lambda: absent.wrap(KEY, CONTEXT),
        lambda: absent.unwrap("file-1:AAAA", CONTEXT),
        lambda: absent.destroy(CONTEXT),
    ):
        with pytest.raises(KeyProtectionError, match="is not there; mount its volume"):
            act()
    assert not (tmp_path / "volume").exists()


def test_a_damaged_secret_is_named(tmp_path):
    wrapped = FileWrapper(tmp_path).wrap(KEY, CONTEXT)
    path = only_secret(tmp_path)
    path.write_bytes(b"short")
    with pytest.raises(KeyProtectionError, match="is damaged: 5 bytes, not 32"):
        FileWrapper(tmp_path).unwrap(wrapped, CONTEXT)
    path.unlink()
    path.mkdir()
    with pytest.raises(KeyProtectionError, match="cannot read"):
        FileWrapper(tmp_path).unwrap(wrapped, CONTEXT)
    with pytest.raises(KeyProtectionError, match="cannot destroy"):
        FileWrapper(tmp_path).destroy(CONTEXT)


def test_a_folder_that_cannot_be_written_makes_no_key(tmp_path):
    digest = CONTEXT.digest()
    (tmp_path / digest[:2]).write_text("a file where a folder should be")
    with pytest.raises(KeyProtectionError, match="no secret was made"):
        FileWrapper(tmp_path).wrap(KEY, CONTEXT)


def test_wrappers_that_start_at_once_agree_on_one_secret(tmp_path):
    with ThreadPoolExecutor(8) as pool:
        wrapped = list(pool.map(lambda _: FileWrapper(tmp_path).wrap(KEY, CONTEXT), range(32)))
    assert only_secret(tmp_path)
    assert {FileWrapper(tmp_path).unwrap(text, CONTEXT) for text in wrapped} == {KEY}


@settings(max_examples=50, deadline=None)
@given(key=st.binary(max_size=64), name=st.text(max_size=40), federation=st.text(max_size=20))
def test_any_context_that_has_a_canonical_form_can_be_used(tmp_path_factory, key, name, federation):
    folder = tmp_path_factory.mktemp("keys")
    context = KeyContext(federation=federation, name=name, algorithm="aes-256-gcm")
    wrapper = FileWrapper(folder)
    assert wrapper.unwrap(wrapper.wrap(key, context), context) == key


# --- Vault


def test_keys_that_were_wrapped_before_a_rotation_still_open(vault, transit):
    before = vault.wrap(KEY, CONTEXT)
    (name,) = transit.keys
    hvac.Client(transit.address, transit.token).secrets.transit.rotate_key(name)
    after = vault.wrap(KEY, CONTEXT)
    assert (before[:9], after[:9]) == ("vault:v1:", "vault:v2:")
    assert vault.unwrap(before, CONTEXT) == vault.unwrap(after, CONTEXT) == KEY


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (400, "refuses the ed25519 key 'coordinator'"),
        (401, "does not accept this token"),
        (403, "denies this token"),
        (404, "has no transit engine at this mount"),
        (429, "takes no more requests"),
        (500, "failed \\(InternalServerError\\)"),
        (501, "is not initialised"),
        (503, "is sealed"),
    ],
)
def test_each_refusal_of_vault_is_one_sentence_without_its_words(vault, transit, status, sentence):
    wrapped = vault.wrap(KEY, CONTEXT)
    transit.status, transit.body = status, {"errors": [f"canary {transit.token}"]}
    for act in (
        lambda: vault.wrap(KEY, CONTEXT),
        lambda: vault.unwrap(wrapped, CONTEXT),
        lambda: vault.destroy(CONTEXT),
    ):
        with pytest.raises(KeyProtectionError, match=sentence) as caught:
            act()
        assert "canary" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_wrong_token_is_named_and_not_repeated(vault, transit):
    wrapped = vault.wrap(KEY, CONTEXT)
    other = VaultTransitWrapper(VaultAccess(transit.address, SecretStr("hvs.canary")))
    with pytest.raises(KeyProtectionError, match="denies this token") as caught:
        other.unwrap(wrapped, CONTEXT)
    assert "canary" not in str(caught.value)


def test_a_vault_that_cannot_be_reached_is_worth_another_try():
    nobody = VaultTransitWrapper(VaultAccess("http://127.0.0.1:1", SecretStr("t")))
    with pytest.raises(KeyProtectionError, match="cannot be reached") as caught:
        nobody.wrap(KEY, CONTEXT)
    assert caught.value.is_transient


@pytest.mark.parametrize(
    "body",
    [None, [], {}, {"data": None}, {"data": {}}, {"data": {"plaintext": 7, "ciphertext": 7}}],
)
def test_what_is_not_vault_is_named(vault, transit, body):
    wrapped = vault.wrap(KEY, CONTEXT)
    transit.status, transit.body = 200, body
    for act in (lambda: vault.wrap(KEY, CONTEXT), lambda: vault.unwrap(wrapped, CONTEXT)):
        with pytest.raises(KeyProtectionError, match="is not Vault's transit engine"):
            act()


def test_an_answer_that_is_no_base64_is_refused(vault, transit):
    wrapped = vault.wrap(KEY, CONTEXT)
    transit.status, transit.body = 200, {"data": {"plaintext": "?", "ciphertext": "?"}}
    with pytest.raises(KeyProtectionError, match="is not Vault's transit engine"):
        vault.unwrap(wrapped, CONTEXT)
    with pytest.raises(KeyProtectionError, match="is not vault:v<version>:<base64>"):
        vault.wrap(KEY, CONTEXT)


def test_a_vault_that_keeps_a_key_is_not_believed(vault, transit):
    vault.wrap(KEY, CONTEXT)
    transit.keeps_keys = True
    with pytest.raises(KeyProtectionError, match="kept the ed25519 key"):
        vault.destroy(CONTEXT)


def test_vault_without_its_client_says_which_extra_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "hvac", None)
    access = VaultAccess("http://127.0.0.1:1", SecretStr("not connected before"))
    with pytest.raises(KeyProtectionError, match="install the extra vault"):
        VaultTransitWrapper(access).wrap(KEY, CONTEXT)


# --- what the environment says


@pytest.mark.parametrize(
    ("content", "sentence"),
    [(b"", "is empty"), (b"\n", "is empty"), (b"x" * 4097, "too long"), (b"\xff", "not UTF-8")],
)
def test_a_secret_file_that_holds_no_secret_is_refused(tmp_path, content, sentence):
    (tmp_path / "secret").write_bytes(content)
    environment = {"SYNNQ_KEY_PASSPHRASE_FILE": str(tmp_path / "secret")}
    with pytest.raises(SettingsError, match=sentence):
        read_passphrases(environment)


def test_secrets_come_from_one_place_and_files_must_be_there(tmp_path):
    with pytest.raises(SettingsError, match="cannot read .*named by SYNNQ_KEY_PASSPHRASE_FILE"):
        read_passphrases({"SYNNQ_KEY_PASSPHRASE_FILE": str(tmp_path / "absent")})
    both = {"SYNNQ_KEY_PASSPHRASE_FILE": "x", "SYNNQ_KEY_PASSPHRASE": "canary"}
    with pytest.raises(SettingsError, match="keep one of them") as caught:
        read_passphrases(both)
    assert "canary" not in str(caught.value)
    assert read_passphrases({}) == ()
    assert read_key_folder({}) is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"VAULT_ADDR": "http://vault.example.org"}, "must begin with https"),
        ({"VAULT_ADDR": "https://user:canary@vault.example.org"}, "without user"),
        ({"VAULT_ADDR": "ftp://vault.example.org"}, "must be https"),
        ({"VAULT_TOKEN": "hvs.canary\nX-Other: header"}, "characters that no token has"),
        ({"VAULT_CACERT": "/nowhere/ca.pem"}, "is not a file"),
    ],
)
def test_an_unsafe_vault_is_refused_without_repeating_its_token(changes, sentence):
    environment = {"VAULT_ADDR": "https://vault.example.org", "VAULT_TOKEN": "t", **changes}
    with pytest.raises(SettingsError, match=sentence) as caught:
        read_vault_access(environment)
    assert "canary" not in str(caught.value)


def test_all_that_vault_needs_is_read(tmp_path):
    (tmp_path / "ca.pem").write_text("authority")
    (tmp_path / "token").write_text("hvs.token\n")
    access = read_vault_access(
        {
            "VAULT_ADDR": "http://[::1]:8200",
            "VAULT_TOKEN_FILE": str(tmp_path / "token"),
            "VAULT_NAMESPACE": "team",
            "VAULT_CACERT": str(tmp_path / "ca.pem"),
            "SYNNQ_VAULT_MOUNT": "synnq/transit",
        }
    )
    assert access == VaultAccess(
        "http://[::1]:8200",
        SecretStr("hvs.token"),
        namespace="team",
        ca_file=tmp_path / "ca.pem",
        mount="synnq/transit",
    )
    assert read_vault_access({"VAULT_ADDR": "https://v"}) is None
