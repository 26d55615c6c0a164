"""`synnq keys`, run as people run it, on a home with real keys."""

import os
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import SecretStr

from synnq_assets.cli.app import run
from synnq_assets.cli.home import grant_own_keys, open_home
from synnq_assets.errors import KeyProtectionError, StorageError, TrustError
from synnq_assets.settings import load_node_settings, resolve_settings
from synnq_assets.settings.secrets import VaultAccess
from synnq_assets.storage.files import write_atomically
from synnq_assets.trust import Home, SealingKey, SigningKey
from synnq_assets.trust.keyfiles import (
    KeyFile,
    WrappedKey,
    node_key_file,
    read_facts,
    rewrap_keys,
)
from synnq_assets.trust.wrapping import FileWrapper, VaultTransitWrapper
from synnq_assets_tests.trust.transit import serving_transit

CANARY = "canary-passphrase-of-the-test"
NAMES = [
    *("coordinator", "log", "log-ml-dsa-44", "registry", "release", "root-1", "root-2", "root-3"),
    *("steward", "steward-sealing"),
]


@pytest.fixture
def home(tmp_path):
    created = Home.create(tmp_path / "home", resolve_settings("local", "smoke"))
    grant_own_keys(created)
    return created.path


@pytest.fixture
def key_folder(tmp_path, monkeypatch):
    folder = tmp_path / "volume"
    folder.mkdir()
    monkeypatch.setenv("SYNNQ_KEY_FOLDER", str(folder))
    return folder


@pytest.fixture
def protected(home, key_folder):
    """A home under the key folder, which is quick; what is protected is the same for each."""
    rewrap_keys(Home.open(home).key_files, FileWrapper(key_folder))
    return home


def synnq(capsys, *arguments):
    """Return (exit code, everything printed)."""
    capsys.readouterr()
    code = run([str(item) for item in arguments])
    out, err = capsys.readouterr()
    return code, out + err


def public_keys(home):
    return {file.name: read_facts(file).public_key for file in Home.open(home).key_files}


def protections(home):
    return {read_facts(file).wrapper for file in Home.open(home).key_files}


def contents(home):
    return {path.name: path.read_bytes() for path in (home / "keys").glob("*.pem")}


def open_every_key(home):
    opened = Home(home)
    keys = [opened.coordinator, opened.steward, opened.release_key, opened.steward_sealing]
    return [key.public_key for key in (*keys, opened.log_keys.ed25519, opened.log_keys.ml_dsa_44)]


# --- commands


def test_a_fresh_home_lists_its_keys_with_warnings(home, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    (home / "keys" / "steward.pem").chmod(0o644)
    (home / "keys" / "release.pem").write_text("damaged")
    code, text = synnq(capsys, "keys", "list", "--home", home)
    assert code == 0
    assert all(name in text for name in NAMES)
    assert text.count("not encrypted") == 9
    assert text.count("root key of the registry: move it offline") == 3
    assert f"chmod 600 {home / 'keys' / 'steward.pem'}" in text
    assert "cannot read private key" in text
    assert "ml-dsa-44" in text
    assert "x25519" in text


def test_keys_are_protected_and_unprotected_and_stay_the_same_keys(
    home, key_folder, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "400")
    before, opened = public_keys(home), open_every_key(home)
    assert synnq(capsys, "keys", "protect", "--wrapper", "file", "--home", home)[0] == 0
    assert protections(home) == {"file"}
    assert public_keys(home) == before
    assert open_every_key(home) == opened
    assert "not encrypted" not in synnq(capsys, "keys", "list", "--home", home)[1]
    assert all(b"PRIVATE KEY" not in content for content in contents(home).values())
    assert {path.stat().st_mode & 0o777 for path in (home / "keys").glob("*.pem")} == {0o600}
    assert synnq(capsys, "audit", "verify", "--home", home)[0] == 0
    code, text = synnq(capsys, "keys", "unprotect", "--home", home)
    assert (code, text) == (0, "10 keys, protection: none\n")
    assert protections(home) == {None}
    assert open_every_key(home) == opened


def test_a_passphrase_protects_a_whole_home_and_is_written_nowhere(home, capsys, monkeypatch):
    monkeypatch.setenv("SYNNQ_KEY_PASSPHRASE", CANARY)
    output = [synnq(capsys, "keys", "protect", "--home", home)]
    output.append(synnq(capsys, "keys", "list", "--home", home))
    output.append(synnq(capsys, "keys", "export-public", "coordinator", "--home", home))
    output.append(synnq(capsys, "audit", "show", "--home", home))
    assert {code for code, _ in output} == {0}
    held = contents(home)
    for wrong in ("another " + CANARY, ""):
        monkeypatch.setenv("SYNNQ_KEY_PASSPHRASE", wrong)
        output.append(synnq(capsys, "keys", "unprotect", "--home", home))
        assert output[-1][0] == 2
    assert "the passphrase is wrong" in output[-2][1]
    assert "set SYNNQ_KEY_PASSPHRASE_FILE" in output[-1][1]
    assert contents(home) == held
    monkeypatch.delenv("SYNNQ_KEY_PASSPHRASE")
    for path in home.rglob("*"):
        assert not path.is_file() or CANARY.encode() not in path.read_bytes()
    assert all(CANARY not in text for _, text in output)


def test_each_act_is_in_the_log_without_key_material(home, key_folder, capsys):
    secrets = [path.read_text().splitlines()[1] for path in (home / "keys").glob("*.pem")]
    for arguments in (
        ("protect", "--wrapper", "file"),
        ("generate", "deputy", "--algorithm", "ecdsa-p256"),
        ("export-public", "deputy"),
        ("export-public", "steward-sealing"),
        ("unprotect",),
    ):
        assert synnq(capsys, "keys", *arguments, "--home", home)[0] == 0
    entries = [entry for _, entry in open_home(home).audit.iter_entries()]
    done = [entry.action for entry in entries if entry.phase == "result"]
    exports = ["export_public_key"] * 2
    assert done[1:] == ["protect_keys", "generate_key", *exports, "unprotect_keys"]
    log = (home / "audit.sqlite").read_bytes()
    for path in home.glob("audit.sqlite-*"):
        log += path.read_bytes()
    assert not [secret for secret in secrets if secret.encode() in log]


def test_a_generated_key_is_protected_as_the_home_is_and_never_overwritten(protected, capsys):
    arguments = ("keys", "generate", "deputy", "--algorithm", "ecdsa-p256", "--home", protected)
    code, text = synnq(capsys, *arguments)
    assert code == 0
    file = Home.open(protected).key_file("deputy")
    assert read_facts(file).wrapper == "file"
    assert SigningKey.read(file).public_key in text
    code, text = synnq(capsys, *arguments)
    assert code == 2
    assert "a key is never overwritten" in text


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("generate", "deputy", "--algorithm", "ml-dsa-44"), "use ed25519 or ecdsa-p256"),
        (("generate", "../deputy"), "a key's name is"),
        (("generate", "a" * 41), "a key's name is"),
        (("export-public", "nobody"), "no key is named 'nobody'; there are coordinator, log"),
        (("protect", "--wrapper", "rot13"), "unknown key wrapper 'rot13'"),
        (("protect",), "set SYNNQ_KEY_PASSPHRASE_FILE"),
        (("protect", "--wrapper", "file"), "set SYNNQ_KEY_FOLDER"),
        (("protect", "--wrapper", "vault-transit"), "set VAULT_ADDR"),
    ],
)
def test_a_mistake_is_one_sentence_and_changes_nothing(home, capsys, arguments, sentence):
    held = contents(home)
    code, text = synnq(capsys, "keys", *arguments, "--home", home)
    assert code == 2
    assert sentence in " ".join(text.split())
    assert contents(home) == held


def test_the_printed_key_is_the_one_in_the_file(protected, capsys):
    code, text = synnq(capsys, "keys", "export-public", "coordinator", "--home", protected)
    assert (code, text.strip()) == (0, Home.open(protected).coordinator.public_key)


# --- nodes, and homes that are protected from the start


def test_a_home_and_a_node_can_be_created_protected(tmp_path, key_folder, capsys):
    home, node = tmp_path / "home", tmp_path / "node"
    init = ("init", home, "--recipe", "smoke", "--wrapper", "file")
    assert synnq(capsys, *init)[0] == 0
    assert protections(home) == {"file"}
    (tmp_path / "profile.yaml").write_text(
        "{site: local, accelerator: cpu, architectures: ['*'], memory_gib: 4.0, num_hosts: 1,"
        " num_accelerators: 1, tokens_per_second: 10.0, power_watts: 60.0, power_cap_watts: 100.0,"
        " thermal_limit_celsius: 90.0, temperature_celsius: 45.0, container_runtime: none}"
    )
    (tmp_path / "terms.txt").write_text("terms")
    options = {
        "--node-id": "site-a",
        "--federation": "synnq-smoke",
        "--organisation": "Centre A",
        "--coordinator-key": Home.open(home).coordinator.public_key,
        "--root": home / "store/registry/metadata/1.root.json",
        "--profile": tmp_path / "profile.yaml",
        "--terms": tmp_path / "terms.txt",
        "--wrapper": "file",
    }
    flat = [item for pair in options.items() for item in pair]
    assert synnq(capsys, "nodes", "create", node, *flat)[0] == 0
    code, text = synnq(capsys, "keys", "list", "--node", node)
    assert code == 0
    assert "not encrypted" not in text
    settings = load_node_settings(node / "node.yaml")
    assert SigningKey.read(node_key_file(settings, "signing"))
    new_profile = ("nodes", "profile", node, "--profile", tmp_path / "profile.yaml")
    assert synnq(capsys, *new_profile)[0] == 0
    assert synnq(capsys, "keys", "unprotect", "--node", node)[0] == 0
    assert SealingKey.read(settings.sealing_key)
    assert not list((node / "keys").glob(".*.pem*"))


def test_a_home_that_cannot_be_protected_is_not_created(tmp_path):
    with pytest.raises(KeyProtectionError):
        Home.create(
            tmp_path / "home",
            resolve_settings("local", "smoke"),
            wrapper=FileWrapper(tmp_path / "absent"),
        )
    assert list(tmp_path.iterdir()) == []


# --- files in the wrong place


def test_the_stewards_key_does_not_open_in_the_coordinators_place(protected):
    keys = protected / "keys"
    (keys / "coordinator.pem").write_bytes((keys / "steward.pem").read_bytes())
    with pytest.raises(KeyProtectionError, match="'steward' of 'synnq-smoke', expected"):
        _ = Home.open(protected).coordinator


def edit(home, name, **changes):
    path = home / "keys" / f"{name}.pem"
    envelope = WrappedKey.parse(path.read_bytes())
    write_atomically(path, envelope.model_copy(update=changes).canonical_bytes())


def test_an_edited_context_does_not_open(protected):
    source = WrappedKey.parse((protected / "keys" / "steward.pem").read_bytes())
    context = source.context.model_copy(update={"name": "coordinator"})
    edit(protected, "coordinator", context=context, ciphertext=source.ciphertext)
    with pytest.raises(KeyProtectionError, match="does not open"):
        _ = Home.open(protected).coordinator


def test_an_edited_public_key_is_found_when_the_key_is_opened(protected):
    edit(protected, "coordinator", public_key=Home.open(protected).steward.public_key)
    with pytest.raises(KeyProtectionError, match="states another key than it holds"):
        _ = Home.open(protected).coordinator


@pytest.mark.parametrize(
    "content",
    [b"{", b"{}", b'{"kind":1,"kind":1}', b"{" * 100, b"{" + b" " * 65_536, b"\x00", b"-----"],
)
def test_a_damaged_key_file_is_one_sentence(protected, content):
    (protected / "keys" / "coordinator.pem").write_bytes(content)
    with pytest.raises(TrustError, match="coordinator.pem"):
        _ = Home.open(protected).coordinator


def test_a_missing_key_file_is_one_sentence(home):
    (home / "keys" / "coordinator.pem").unlink()
    with pytest.raises(TrustError, match=r"cannot read private key .*: No such file"):
        _ = Home.open(home).coordinator


def test_a_protected_key_is_not_read_as_a_plain_one(protected):
    with pytest.raises(KeyProtectionError, match="expected a key that is plain"):
        SigningKey.read(protected / "keys" / "coordinator.pem")
    with pytest.raises(TrustError, match="does not hold an X25519 private key"):
        SealingKey.read(Home.open(protected).key_file("steward"))
    with pytest.raises(TrustError, match="does not hold a signing key"):
        SigningKey.read(Home.open(protected).key_file("steward-sealing"))


# --- in place, whatever happens


def test_vault_failing_half_way_changes_nothing(home):
    held = contents(home)
    with serving_transit() as transit:
        vault = VaultTransitWrapper(VaultAccess(transit.address, SecretStr(transit.token)))
        transit.breaks_after = 5
        with pytest.raises(KeyProtectionError, match="is sealed"):
            rewrap_keys(Home.open(home).key_files, vault)
    assert contents(home) == held
    assert sorted(path.name for path in (home / "keys").iterdir()) == sorted([*held, ".lock"])


def test_a_key_that_reads_back_as_another_is_not_put_in_place(home, key_folder):
    class Careless(FileWrapper):
        def wrap(self, key, context):
            form = (Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            other = SigningKey.generate().private.private_bytes(*form)
            return super().wrap(other, context)

    held = contents(home)
    with pytest.raises(KeyProtectionError, match="states another key"):
        rewrap_keys(Home.open(home).key_files, Careless(key_folder))
    assert contents(home) == held


def test_the_old_bytes_are_overwritten_but_not_those_of_a_hard_link(home, key_folder):
    backup = home.parent / "backup.pem"
    os.link(home / "keys" / "steward.pem", backup)
    kept = backup.read_bytes()
    plain = (home / "keys" / "coordinator.pem").read_bytes()
    with (home / "keys" / "coordinator.pem").open("rb") as old:
        rewrap_keys(Home.open(home).key_files, FileWrapper(key_folder))
        left = old.read()
    assert len(left) == len(plain)
    assert left != plain
    assert backup.read_bytes() == kept


def test_a_disk_that_refuses_is_a_typed_error(home, key_folder):
    path = home / "keys" / "steward.pem"
    content = path.read_bytes()
    path.unlink()
    path.mkdir()
    with pytest.raises(StorageError, match="Is a directory; each still opens"):
        rewrap_keys([KeyFile(path)], FileWrapper(key_folder))
    path.rmdir()
    path.write_bytes(content)
    assert protections(home) == {None}


KILLED = """
import os, signal, sys
from pathlib import Path
from synnq_assets.trust import Home
from synnq_assets.trust.keyfiles import read_facts, read_private, rewrap_keys
from synnq_assets.trust.wrapping import open_wrapper

home = Path(sys.argv[1])
files = Home.open(home).key_files

def rewrap_killed_at(point, wrapper):
    calls = 0
    def trap(event, arguments):
        nonlocal calls
        if event in ("os.rename", "os.remove", "open") and str(home / "keys") in str(arguments[0]):
            calls += 1
            if calls == point:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(trap)
    rewrap_keys(files, wrapper)

for target in ("file", "none"):
    wrapper = open_wrapper(target) if target != "none" else None
    point = status = 1
    while status:
        child = os.fork()
        if not child:
            rewrap_killed_at(point, wrapper)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        assert status in (0, signal.SIGKILL), status
        for file in files:
            read_private(file)
        point += 1
    assert {read_facts(file).wrapper for file in files} == {wrapper and wrapper.name}
    assert not list((home / "keys").glob(".*.pem*"))
    print(point)
"""


def test_a_kill_at_any_point_leaves_every_key_readable(home, key_folder):
    expected = open_every_key(home)
    run = subprocess.run(
        [sys.executable, "-c", KILLED, home], capture_output=True, text=True, check=False
    )
    assert not run.stderr
    assert all(int(points) > 50 for points in run.stdout.split()), run.stdout
    assert len(run.stdout.split()) == 2
    assert open_every_key(home) == expected


def test_a_rename_that_fails_says_to_run_again(home, key_folder, monkeypatch):
    real, count = os.replace, []

    def fail(source, target):
        if str(source).endswith(".new"):
            count.append(target)
            if len(count) == 3:
                raise OSError(5, "Input/output error")
        real(source, target)

    expected = open_every_key(home)
    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(StorageError, match="each still opens, run the command again"):
        rewrap_keys(Home.open(home).key_files, FileWrapper(key_folder))
    assert open_every_key(home) == expected
    assert protections(home) == {None, "file"}
    rewrap_keys(Home.open(home).key_files, FileWrapper(key_folder))
    assert protections(home) == {"file"}
