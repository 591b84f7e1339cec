"""The file store: its passphrase, compatibility with `age`, moving keys, and unusable journals."""

import json
import os
import shutil
import stat

from rig import (
    HERE, KEYWRIGHT, Pane, consent, contains, equal, fetch, files, leaks, names, test, until,
)

PASSPHRASE = "correct horse"
NEW = "battery staple"
# A store without keys, encrypted with PASSPHRASE and a low scrypt work factor (10).
CHEAP = os.path.join(HERE, "cheap-vault.age")


def file_store(world, cheap=True):
    """Selects the file store, with the passphrase in a file."""
    world.mkdir("data")
    if cheap:
        shutil.copy(CHEAP, world.path("data", "vault.age"))
        os.chmod(world.path("data", "vault.age"), 0o600)
    passphrase = world.write("passphrase", f"{PASSPHRASE}\n")
    world.env.update(
        KEYWRIGHT_STORE="file", KEYWRIGHT_DATA_DIR=world.path("data"),
        KEYWRIGHT_PASSPHRASE_FILE=passphrase,
    )


def create(world, server, label):
    new = world.new(server, label)
    equal(fetch(consent(new.address))[0], 200)
    equal(new.wait(timeout=15), 0)
    code, key, _ = world.keywright("get", label, "--server", server)
    equal(code, 0)
    return key.strip()


def age_opens(world, passphrase):
    """Returns what `age -d` decrypts. It reads the passphrase from a terminal only."""
    pane = Pane(world)
    pane.command(f"age -d -o {world.path('opened.json')} {world.path('data', 'vault.age')}; echo $?")
    pane.wait("passphrase")
    pane.type(passphrase)
    pane.press("Enter")
    pane.wait(r"^0$")
    with open(world.path("opened.json"), encoding="utf-8") as opened:
        return json.load(opened)


@test
def only_the_passphrase_decrypts_the_file_store_and_age_can_read_it(world):
    file_store(world, cheap=False)
    world.env["KEYWRIGHT_LOG"] = "trace"
    server, _ = world.sandbox()
    key = create(world, server, "filed")
    store = world.path("data", "vault.age")
    equal(stat.S_IMODE(os.stat(store).st_mode), 0o600)
    secrets = {"the key": key, "the passphrase": PASSPHRASE}
    equal([leaks(content, secrets) for _, content in files(world.path("data"))].count([]),
          len(list(files(world.path("data")))))
    content = age_opens(world, PASSPHRASE)
    contains(content["what"], "Keywright")
    equal((content["version"], [e["secret"] for e in content["entries"]]), (1, [key]))
    wrong = world.write("wrong", "incorrect horse\n")
    before = next(c for name, c in files(world.path("data")) if name == store)
    # `vault` is the former name of `store` and stays valid.
    for command in (("get", "filed"), ("new", "other", "--no-open"), ("vault", "passphrase")):
        code, out, err = world.keywright(
            *command, "--server", server, KEYWRIGHT_PASSPHRASE_FILE=wrong
        )
        equal((command, code, out), (command, 4, ""))
        contains(err, "the passphrase of vault.age is wrong")
    equal(next(c for name, c in files(world.path("data")) if name == store), before)


@test
def a_file_encrypted_by_age_is_read(world):
    file_store(world)
    pane = Pane(world)
    plain = world.write("plain.json", json.dumps({
        "version": 1, "entries": [{"service": "keywright", "account": "mine", "secret": "s3"}],
    }))
    pane.command(f"age -p -o {world.path('data', 'sealed')} {plain}; echo $?")
    for prompt in ("Enter passphrase", "Confirm passphrase"):
        pane.wait(prompt)
        pane.type(PASSPHRASE)
        pane.press("Enter")
    pane.wait(r"^0$")
    os.replace(world.path("data", "sealed"), world.path("data", "vault.age"))
    equal(world.keywright("get", "mine"), (0, "s3\n", ""))


@test
def the_hidden_prompt_asks_twice_for_a_new_store_and_once_per_run(world):
    file_store(world, cheap=False)
    del world.env["KEYWRIGHT_PASSPHRASE_FILE"]
    server, _ = world.sandbox()
    world.set_browser()
    code, out, err = world.keywright("new", "x", "--no-open", "--server", server)
    equal((code, out), (4, ""))
    contains(err, "there is no terminal to ask for the passphrase of vault.age")
    pane = Pane(world)

    def answer(prompt, passphrase):
        pane.wait_words(prompt)
        pane.type(passphrase)
        pane.press("Enter")

    pane.command(f"keywright new x --no-open --server {server}")
    answer("passphrase for the new vault.age", PASSPHRASE)
    answer("repeat the passphrase", NEW)
    pane.wait_words("the passphrases do not match")
    pane.command("clear")
    pane.command(f"keywright --server {server}; echo code $?")
    answer("passphrase for the new vault.age", PASSPHRASE)
    answer("repeat the passphrase", PASSPHRASE)
    pane.wait(r"^ Keywright · ")
    pane.fill("typed")
    equal(fetch(consent(pane.address()))[0], 200)
    pane.wait_words("typed was created and stored in")
    pane.press("q")
    pane.wait(r"^code 0$")
    pane.command("clear")
    pane.command(f"keywright --server {server}; echo code $?")
    answer("passphrase for vault.age", NEW)
    pane.wait_words("the passphrase of vault.age is wrong")
    pane.wait(r"^code 4$")
    assert b"horse" not in pane.written() and b"staple" not in pane.written()
    # ctrl-c at the prompt restores the terminal.
    pane.command("clear; stty -a | grep -o '[-]*echo ' > before")
    pane.command(f"keywright get typed --server {server}; echo code $?")
    pane.wait_words("passphrase for vault.age")
    pane.press("C-c")
    pane.wait(r"^code 5$")
    pane.command("stty -a | grep -o '[-]*echo ' > after")
    until("both", lambda: world.read("home/after") and True)
    equal(world.read("home/before"), world.read("home/after"))
    # The passphrase from a file descriptor.
    code, out, _ = world.run(
        "sh", "-c", f"printf '{PASSPHRASE}\\n' | keywright get typed --server {server} --passphrase-fd 0"
    )
    equal((code, out[:9]), (0, "sk-or-v1-"))


@test
def the_passphrase_can_be_changed(world):
    file_store(world)
    server, _ = world.sandbox()
    key = create(world, server, "kept")
    new = world.write("new", f"{NEW}\n")
    code, out, err = world.keywright("store", "passphrase", "--new-file", new)
    equal((code, err), (0, ""))
    equal(world.keywright("get", "kept", "--server", server)[0], 4)
    world.env["KEYWRIGHT_PASSPHRASE_FILE"] = new
    equal(world.keywright("get", "kept", "--server", server), (0, f"{key}\n", ""))


@test
def keys_of_every_server_move_to_the_file_and_back(world):
    world.keyring()
    first, management = world.sandbox()
    second, _ = world.sandbox()
    keys = {server: world.create_key(server, "both") for server in (first, second)}
    world.run("sh", "-c", f"printf %s '{management}' | keywright management set --server {first}")
    file_store(world)
    data = world.path("data")
    # The keys were created in the default data directory.
    for name in ("inventory.json", "journal.json"):
        shutil.copy(world.path("home", ".local", "share", "keywright", name), data)
    del world.env["KEYWRIGHT_STORE"]
    code, out, err = world.keywright("store", "move", "--to", "file", "--server", first)
    equal((code, err), (0, ""))
    contains(out, "--store file")
    equal([world.lookup(server, "both") for server in keys], ["", ""])
    for server, key in keys.items():
        equal(world.keywright("get", "both", "--server", server, "--store", "file"),
              (0, f"{key}\n", ""))
        # Without the option a key is looked for where the inventory says.
        equal(world.keywright("get", "both", "--server", server), (0, f"{key}\n", ""))
        for command in (("get", "both"), ("rm", "both", "--yes"), ("rename", "both", "x")):
            code, _, err = world.keywright(*command, "--server", server, "--store", "os")
            equal((command, code), (command, 3))
            contains(err, "--store file")
        shown = world.keywright("show", "both", "--json", "--server", server)[1]
        equal(json.loads(shown)["store"], "file")
    shown = world.keywright("management", "show", "--server", first, "--store", "file")
    equal(shown[0], 0)
    equal(world.keywright("store", "move", "--to", "os", "--server", first)[0], 0)
    equal([world.lookup(server, "both") for server in keys], list(keys.values()))
    equal(world.keywright("get", "both", "--server", first, "--store", "file")[0], 3)


def expect_refusal(world, server, text, *inject, code=1, command=("new", "x", "--no-open")):
    """Expects an error text, no created key and unchanged files."""
    before = dict(files(world.path("data")))
    strace = ["strace", "-f", "-qqq", "-o", "/dev/null", *inject] if inject else []
    ended, out, err = world.run(*strace, KEYWRIGHT, *command, "--server", server)
    equal((command, ended, out), (command, code, ""))
    contains(err, text)
    after = {path: content for path, content in files(world.path("data"))
             if not path.endswith((".lock", ".new", ".probe"))}
    equal(after, {path: content for path, content in before.items() if path in after})
    assert set(before) >= set(after), set(after) - set(before)


@test
def the_dashboard_says_why_a_key_of_another_store_cannot_be_read(world):
    world.keyring()
    file_store(world)
    server, _ = world.sandbox()
    key = create(world, server, "in the file")
    # Another store than that of new keys.
    del world.env["KEYWRIGHT_STORE"]
    vault, moved = world.path("data", "vault.age"), world.path("moved")
    os.rename(vault, moved)
    pane = Pane(world, size=(120, 40))
    pane.dashboard("--server", server)
    pane.press("v")
    pane.wait_words("but not in")
    # It comes back while the dashboard runs.
    os.rename(moved, vault)
    pane.press("v")
    pane.wait(key)
    pane.press("q")
    pane.wait_shell()
    # Nobody can be asked for its passphrase then.
    os.rename(vault, moved)
    pane.command("unset KEYWRIGHT_PASSPHRASE_FILE")
    pane.dashboard("--server", server)
    os.rename(moved, vault)
    pane.press("v")
    pane.wait_words("cannot ask for the passphrase of vault.age")
    pane.press("q")
    pane.wait_shell()
    # A ctrl-c at the prompt ends it.
    pane.command(f"keywright --server {server}")
    pane.wait_words("passphrase for vault.age")
    pane.press("C-c")
    pane.wait_shell()
    pane.command("echo $?")
    pane.wait("^5$")


@test
def an_unusable_journal_is_reported_before_a_key_is_created(world):
    file_store(world)
    server, management = world.sandbox()
    account = names(server, management)
    journal = world.path("data", "journal.json")
    aside = world.path("data", "journal.json.new")
    for text, message in (
        ('{"version": 1, "attempts": [{"id": "ab', "journal.json is damaged at line 1, column 38"),
        ("\0" * 512, "journal.json is damaged at line 1, column 1"),
        ("", "journal.json is damaged: it is empty"),
        ('{"version": 2, "attempts": "otherwise"}', "has version 2, newer than this Keywright knows"),
    ):
        world.write("data/journal.json", text)
        for command in (("recover",), ("new", "x", "--no-open")):
            expect_refusal(world, server, message, command=command)
    os.remove(journal)
    code, out, _ = world.keywright("recover", "--server", server)
    equal((code, out), (0, "every attempt ended cleanly\n"))
    full = "journal.json cannot be written: no space left on device"
    expect_refusal(world, server, full, "-P", aside, "-e", "inject=write:error=ENOSPC")
    expect_refusal(world, server, full, "-P", aside, "-e", "inject=fsync:error=ENOSPC")
    expect_refusal(world, server, "read-only file system", "-P", aside, "-e", "inject=openat:error=EROFS")
    expect_refusal(world, server, "permission denied", "-P", world.path("data", "inventory.json.lock"),
            "-e", "inject=openat:error=EACCES")
    world.write("data/journal.json", '{"version":1,"attempts":[]}\n')
    expect_refusal(world, server, "no space left on device", "-P", world.path("data", "vault.age.new"), "-e",
            "inject=write:error=ENOSPC", code=4)
    equal(names(server, management), account)
