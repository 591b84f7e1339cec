"""The commands that errors advise, each run in the situation that the error is shown in.

Not tried, because they need another system or a window: Passwords and Keys (seahorse), KWallet,
KeePassXC.
"""

import os
import re
import shutil
import time

from rig import PASSWORD, ROOT, Pane, contains, equal, test, until
from test_file_store import CHEAP, PASSPHRASE


def advice(world, *command, code=4, **env):
    """Runs a command that must fail; returns the commands in its advice."""
    ended, out, err = world.keywright(*command, **env)
    equal((ended, out), (code, ""))
    return re.findall(r"`(.*?)`(?=[,;. ]|$)", err, re.M)


def use_own_keyring(world):
    """Makes the user's own directories those of the keyring, so that a daemon started by the user finds it."""
    world.env |= {
        "XDG_DATA_HOME": world.path("keyring", "data"),
        "XDG_RUNTIME_DIR": world.mkdir("keyring", "runtime"),
        "KEYWRIGHT_DATA_DIR": world.path("data"),
    }


def unlock(pane, command, password=PASSWORD):
    pane.command("clear")
    pane.command(command)
    pane.wait("^keyring password:")
    pane.type(password)
    pane.press("Enter")
    pane.wait_shell()
    assert password.encode() not in pane.written(), "the password was echoed"


def stores_a_key(world, pane):
    """Waits until a key can be stored and read back."""
    server, management = world.sandbox()
    script = world.write("store.sh", f"printf %s {management} | keywright --server {server} management set\n")
    screens = []

    def stored():
        pane.command(f"clear; sh {script}; echo code $?")
        pane.wait(r"^code \d")
        screens.append(pane.words())
        return "code 0" in screens[-1]

    until("a stored key", stored)
    host = server.split("//")[1]
    pane.command(f"clear; secret-tool lookup service 'keywright/{host} http management' username management")
    pane.wait_words(management)


@test
def the_advice_for_a_locked_keychain_unlocks_it(world):
    use_own_keyring(world)
    world.keyring(locked=True)
    (command,) = advice(world, "get", "x")
    pane = Pane(world, size=(200, 24))
    unlock(pane, command, "a wrong password")
    until("a provider", lambda: "variant" in world.locked_reply())
    assert world.locked(), "a wrong password unlocks nothing"
    unlock(pane, command)
    until("an unlocked keyring", lambda: not world.locked() and world.locked_reply())
    stores_a_key(world, pane)


def expect_provider(world):
    command, store = advice(world, "get", "x")
    equal(store, "--store file")
    pane = Pane(world, size=(200, 24))
    unlock(pane, command)
    stores_a_key(world, pane)


@test
def the_advice_for_a_missing_provider_starts_one(world):
    use_own_keyring(world)
    world.bus()
    expect_provider(world)


@test
def the_advice_for_a_provider_that_ended_opens_its_keyring(world):
    use_own_keyring(world)
    daemon = world.keyring()
    daemon.terminate()
    daemon.wait(timeout=10)
    expect_provider(world)


@test
def the_advice_for_a_missing_collection_creates_one(world):
    use_own_keyring(world)
    world.bus()
    world.mkdir("keyring", "data", "keyrings")
    world.spawn(
        ["gnome-keyring-daemon", "--foreground", "--start", "--components=secrets"], "keyring.log"
    )
    until("a provider", lambda: "object path" in world.secrets("Service.ReadAlias", "string:default"))
    # `get` finds no entry there; a write fails.
    found = advice(world, "new", "x", "--no-open")
    contains(world.keywright("new", "x", "--no-open")[2], "no default collection")
    pane = Pane(world, size=(200, 24))
    unlock(pane, found[0])
    stores_a_key(world, pane)


@test
def the_advice_for_a_missing_bus_starts_one(world):
    use_own_keyring(world)
    for stale in ({}, {"DBUS_SESSION_BUS_ADDRESS": "unix:path=/nonexistent/bus"}):
        bus, command, store = advice(world, "get", "x", **stale)
        equal((bus, store), ("dbus-run-session -- sh", "--store file"))
        pane = Pane(world, size=(200, 24), **stale)
        pane.command(bus)

        def is_started():
            # What is typed before the new shell reads is lost.
            pane.type("PS1='$ '; echo star''ted; clear")
            pane.press("Enter")
            time.sleep(0.3)
            return b"started" in pane.written()

        until("the shell of the bus", is_started)
        unlock(pane, command)
        stores_a_key(world, pane)


@test
def the_advice_for_a_stale_bus_address_uses_the_bus_of_the_session(world):
    use_own_keyring(world)
    world.keyring()
    os.symlink(world.path("bus"), os.path.join(world.env["XDG_RUNTIME_DIR"], "bus"))
    world.env["DBUS_SESSION_BUS_ADDRESS"] = "unix:path=/nonexistent/bus"
    (command,) = advice(world, "get", "x")
    code, _, err = world.run(*command.split(), "get", "x")
    equal(code, 3)
    contains(err, "no key 'x' is stored")


@test
def the_file_store_that_is_advised_needs_no_keychain(world):
    server, management = world.sandbox()
    store = advice(world, "get", "x")[-1].split()
    env = {"KEYWRIGHT_PASSPHRASE_FILE": world.write("passphrase", "correct horse\n")}
    world.env["OPENROUTER_MANAGEMENT_KEY"] = management
    new = world.new(server, "x", *store, **env)
    new.kill()
    equal(world.keywright("doctor", "--server", server, *store, **env)[1].count("wrote, read back"), 1)


@test
def the_advice_for_a_costly_store_file_encrypts_it_again(world):
    # The command itself; a file that is too costly takes gigabytes to open.
    shutil.copy(CHEAP, world.path("vault.age"))
    source = os.path.join(ROOT, "src", "storage", "secret_store", "error.rs")
    with open(source, encoding="utf-8") as file:
        text = re.sub(r"\\\n\s*", "", file.read()).replace('\\"', '"')
    command = re.search(r"`(sh -c 'p=.*?)`", text)[1]
    pane = Pane(world, size=(200, 24))
    pane.command(f"cd {world.dir} && {command}; echo code $?")
    for prompt in ("Enter passphrase:", "Enter passphrase (leave empty", "Confirm passphrase"):
        pane.wait_words(prompt)
        pane.type(PASSPHRASE)
        pane.press("Enter")
    pane.wait_words("code 0", within=30)
    with open(world.path("vault.age"), encoding="latin-1") as file:
        assert file.read(200).split("\n")[1].endswith(" 18")
