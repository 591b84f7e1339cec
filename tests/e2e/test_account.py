"""Operations on existing keys. Their results are read from the keychain
by `secret-tool` and from the server by OpenRouter's official SDK."""

import hashlib
import json
import subprocess

from rig import SDK_PYTHON, Pane, contains, equal, post, test, until, whoami

# Prints the account's keys as the SDK understands them, by their hashes.
LIST = """
import json, os, sys
from openrouter import OpenRouter
with OpenRouter(api_key=sys.argv[2], server_url=sys.argv[1] + "/api/v1") as client:
    rows = client.api_keys.list(include_disabled="true").data
    print(json.dumps({row.hash: [row.disabled, row.limit] for row in rows}))
"""


def sdk(world, server, management, key):
    """Returns whether a key is disabled, and its limit; `None` if the account does not have it."""
    code, out, err = world.run(SDK_PYTHON, "-c", LIST, server, management)
    equal((code, err), (0, ""))
    return json.loads(out).get(hashlib.sha256(key.encode()).hexdigest())


def set_up(world):
    """Starts a keychain and a server, and stores the management key. Returns the server and that key."""
    world.keyring()
    server, management = world.sandbox()
    world.env["KEYWRIGHT_SERVER"] = server
    code, out, err = piped(world, management, "management", "set")
    equal((code, management in out + err), (0, False))
    return server, management


def piped(world, text, *arguments):
    """Runs a command with `text` on its standard input."""
    ended = subprocess.run(
        ["keywright", *arguments], env=world.env, input=text, capture_output=True, text=True,
        timeout=30, cwd=world.home,
    )
    return ended.returncode, ended.stdout, ended.stderr


def create_outside(server, management, name, **policy):
    """Creates a key outside Keywright; returns the secret."""
    return post(f"{server}/api/v1/keys", management, {"name": name, **policy})["key"]


@test
def a_key_is_imported_renamed_rotated_disabled_and_deleted(world):
    server, management = set_up(world)
    key = create_outside(server, management, "found", limit=5, limit_reset="weekly")

    equal(piped(world, f"{key}\n", "import", "found")[0], 0)
    equal(world.lookup(server, "found"), key)
    # The same key under another label is refused, and so is another under the same.
    equal(piped(world, key, "import", "twice")[0], 2)
    equal(piped(world, create_outside(server, management, "other"), "import", "found")[0], 2)
    equal((world.lookup(server, "twice"), world.lookup(server, "found")), ("", key))

    equal(world.keywright("rename", "found", "editor")[0], 0)
    equal((world.lookup(server, "found"), world.lookup(server, "editor")), ("", key))

    equal(world.keywright("rotate", "editor", "--yes")[0], 0)
    new = world.lookup(server, "editor")
    assert new not in ("", key), "the label still gives the old key"
    listed = json.loads(world.keywright("list", "--json")[1])
    old = next(row["label"] for row in listed if row["label"] != "editor")
    equal(world.lookup(server, old), key)
    equal([whoami(server, one)["limit"] for one in (key, new)], [5, 5])
    equal(whoami(server, new)["limit_reset"], "weekly")

    equal(world.keywright("disable", "editor")[0], 0)
    equal(sdk(world, server, management, new), [True, 5])
    equal(whoami(server, new), 401)
    equal(world.keywright("enable", "editor")[0], 0)
    equal(sdk(world, server, management, new), [False, 5])
    equal(whoami(server, new)["limit"], 5)

    # Only the copy goes; then the key itself.
    equal(world.keywright("rm", "--yes", old)[0], 0)
    equal((world.lookup(server, old), whoami(server, key)["limit"]), ("", 5))
    equal(world.keywright("rm", "--yes", "--revoke", "editor")[0], 0)
    equal((world.lookup(server, "editor"), whoami(server, new)), ("", 401))
    equal([sdk(world, server, management, one) for one in (key, new)], [[False, 5], None])
    equal(json.loads(world.keywright("list", "--json")[1]), [])


@test
def a_leaked_key_is_disabled_and_replaced_before_panic_returns(world):
    server, management = set_up(world)
    key = create_outside(server, management, "leaked", limit=3)
    equal(piped(world, key, "import", "leaked")[0], 0)
    world.write("home/.env", f"OPENROUTER_API_KEY={key}\n")
    code, out, err = world.keywright("panic", "leaked", "--yes")
    equal(code, 0)
    equal(whoami(server, key), 401)
    new = world.lookup(server, "leaked")
    assert new not in ("", key), "no replacement is stored"
    equal(whoami(server, new)["limit"], 3)
    contains(out + err, ".env")
    assert key not in out + err and new not in out + err


@test
def the_dashboard_rotates_disables_edits_and_deletes(world):
    server, management = set_up(world)
    world.set_browser()
    key = create_outside(server, management, "tool", limit=5, limit_reset="monthly")
    equal(piped(world, key, "import", "tool")[0], 0)
    pane = Pane(world, size=(120, 40))
    pane.dashboard()
    pane.wait("tool .*(active|unknown)")

    pane.press("R")
    pane.wait_words("enter rotate")
    pane.press("Enter")
    until("a new key under the label", lambda: world.lookup(server, "tool") not in ("", key))
    new = world.lookup(server, "tool")
    pane.wait_words("'tool' was rotated")
    equal([whoami(server, one)["limit"] for one in (key, new)], [5, 5])

    pane.press("d")
    pane.wait_words("Disable tool at OpenRouter?")
    pane.press("y")
    until("the key switched off", lambda: whoami(server, new) == 401)
    equal(sdk(world, server, management, new), [True, 5])
    pane.wait("tool .*disabled")
    pane.press("d")
    pane.wait_words("Enable tool at OpenRouter?")
    pane.press("y")
    until("the key switched on", lambda: whoami(server, new) != 401)
    pane.wait_gone("disabled")

    pane.press("e")
    pane.wait("▸ Credit limit +5")
    pane.press("C-u")
    pane.type("7.50")
    pane.press("C-s")
    # What will be changed is shown before it is.
    pane.wait_words("limit: $5.00 → $7.50")
    equal(whoami(server, new)["limit"], 5)
    pane.press("C-s")
    until("another limit", lambda: whoami(server, new)["limit"] == 7.5)
    equal(sdk(world, server, management, new), [False, 7.5])

    pane.press("x")
    pane.wait_words("tool")
    pane.press("r")
    pane.type("tool")
    pane.press("Enter")
    until("the key dead", lambda: whoami(server, new) == 401)
    until("its copy gone", lambda: world.lookup(server, "tool") == "")
    equal([sdk(world, server, management, one) for one in (key, new)], [[False, 5], None])
    assert all(secret.encode() not in pane.written() for secret in (key, new, management))


ASSIGNED = """
import json, sys
from openrouter import OpenRouter
with OpenRouter(api_key=sys.argv[2], server_url=sys.argv[1] + "/api/v1") as client:
    rows = client.guardrails.list_key_assignments().result.data
    print(json.dumps([row.key_hash for row in rows]))
"""


@test
def a_replacement_under_a_guardrail_is_under_it_too(world):
    server, management = set_up(world)
    key = create_outside(server, management, "found", limit=5, limit_reset="weekly")
    equal(piped(world, key, "import", "found")[0], 0)
    equal(world.keywright("edit", "found", "--guardrail", "research", "--yes")[0], 0)

    def assigned():
        code, out, err = world.run(SDK_PYTHON, "-c", ASSIGNED, server, management)
        equal((code, err), (0, ""))
        return json.loads(out)

    for command in (["rotate", "found", "--yes"], ["panic", "found", "--yes"]):
        old = world.lookup(server, "found")
        code, out, err = world.keywright(*command)
        equal((command, code), (command, 0))
        new = world.lookup(server, "found")
        assert new not in ("", old), f"{command}: no replacement is stored"
        contains(json.dumps(assigned()), hashlib.sha256(new.encode()).hexdigest())
        equal((whoami(server, new)["limit"], whoami(server, new)["limit_reset"]), (5, "weekly"))
        shown = json.loads(world.keywright("show", "found", "--json")[1])
        equal((command, shown["guardrail"]), (command, "research"))
        assert "not carried" not in out + err, out + err
    # Without the management key none of that can be carried over; this is reported before anything changes.
    old = world.lookup(server, "found")
    equal(world.keywright("management", "forget")[0], 0)
    code, _, err = world.keywright("rotate", "found")
    assert code != 0, "nobody confirmed it"
    contains(err, "guardrail 'research'")
    equal((world.lookup(server, "found"), whoami(server, old)["limit"]), (old, 5))


@test
def a_key_is_edited_and_put_under_a_guardrail(world):
    server, management = set_up(world)
    key = create_outside(server, management, "found", limit=5, limit_reset="weekly")
    equal(piped(world, key, "import", "found")[0], 0)

    def run(*arguments):
        return world.run("keywright", *arguments)

    code, out, err = run("edit", "found", "--limit", "7", "--guardrail", "research", "--yes")
    equal((code, err), (0, ""))
    contains(out, "limit: $5.00 → $7.00, guardrail: none → research")
    equal(sdk(world, server, management, key), [False, 7])
    code, out, err = world.run(SDK_PYTHON, "-c", ASSIGNED, server, management)
    equal((code, json.loads(out)), (0, [hashlib.sha256(key.encode()).hexdigest()]))
    # The keychain has the same key as before.
    equal(world.lookup(server, "found"), key)

    shown = json.loads(run("guardrail", "show", "research", "--json")[1])
    equal((shown["keys"], shown["limit_usd"]), (["found"], 20.0))
    code, _, err = run("edit", "found", "--guardrail", "reserch", "--yes")
    equal(code, 2)
    contains(err, "did you mean research?")
    # On a terminal the change is shown and confirmed.
    pane = Pane(world, size=(120, 40))
    pane.type("keywright edit found --guardrail none")
    pane.press("Enter")
    pane.wait("guardrail: research → none")
    pane.type("n")
    pane.press("Enter")
    pane.wait("cancelled")
    equal(json.loads(run("guardrail", "show", "research", "--json")[1])["keys"], ["found"])
    equal(run("edit", "found", "--guardrail", "none", "--yes")[0], 0)
    equal(json.loads(run("guardrail", "show", "research", "--json")[1])["keys"], [])
