"""No secret remains in the memory of the process after its last use."""

import json
import re

from rig import Pane, consent, equal, fetch, forms, query, test, until
from test_file_store import PASSPHRASE, age_opens, file_store


def memory(pid):
    """Yields every writable mapping of a process."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps, open(f"/proc/{pid}/mem", "rb") as mem:
        for line in maps:
            first, last, mode = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if mode.startswith("rw"):
                mem.seek(int(first, 16))
                try:
                    yield line.split()[-1], mem.read(int(last, 16) - int(first, 16))
                except (OSError, ValueError):
                    pass  # The mapping is gone or not readable.


def spaced_patterns(secret):
    """Patterns for a secret whose characters have a fixed distance, as in the cells of a screen."""
    letters = [re.escape(bytes([byte])) for byte in secret.encode()]
    return [re.compile((b"[\\s\\S]{%d}" % gap).join(letters)) for gap in (1, 3, *range(7, 64, 8))]


def find_remains(pid, secrets):
    """Returns the mappings that contain sixteen characters of a named secret."""
    found = set()
    for mapping, content in memory(pid):
        for name, secret in secrets.items():
            secret = secret.removeprefix("sk-or-v1-")
            middle = len(secret) // 2
            for part in (secret[4:20], secret[middle : middle + 16], secret[-20:-4]):
                if any(form in content for form in forms(part)):
                    found.add((name, mapping))
            if any(cells.search(content) for cells in spaced_patterns(secret[8:20])):
                found.add((f"{name} in cells", mapping))
    return sorted(found)


def names(found):
    return {name for name, _ in found}


def expect_wiped(world, attempts, look_up):
    server, _ = world.sandbox()
    world.set_browser()
    pane = Pane(world)
    pane.dashboard("--server", server)
    pane.fill("fresh")
    address, pid = pane.address(), pane.pid()
    verifier = until("the attempt in the store", attempts)[0]["code_verifier"]
    secrets = {"verifier": verifier, "nonce": query(address)["callback_url"].rpartition("/")[2]}
    # The search finds the secrets that are still needed.
    equal(names(find_remains(pid, secrets)), {"verifier", "nonce", "nonce in cells"})
    back = consent(address)
    secrets["code"] = query(back)["code"]
    equal(fetch(back)[0], 200)
    pane.wait_words("fresh was created and stored")
    key = {"key": look_up(server, "fresh")}
    equal(names(find_remains(pid, key)), {"key"})
    pane.press("v")
    until("the whole key on the screen", lambda: key["key"] in pane.joined())
    equal(names(find_remains(pid, key)), {"key", "key in cells"})
    pane.press("Escape")
    pane.wait(r"\d/1\b")
    # The last callback page is served for a moment longer.
    until("no remains", lambda: find_remains(pid, {**secrets, **key}) == [], within=5)
    pane.press("Enter")
    for _ in range(2):
        pane.press("v")
        until("the whole key on the screen", lambda: key["key"] in pane.joined())
        pane.press("v")
        pane.wait_gone("shown below for")
        equal(find_remains(pid, {**secrets, **key}), [])


@test
def a_key_is_wiped_after_its_screen_closes_with_the_keychain(world):
    world.keyring()
    expect_wiped(world, world.attempts, world.lookup)


@test
def a_key_is_wiped_after_its_screen_closes_with_the_file_store(world):
    file_store(world)

    def attempts():
        entries = age_opens(world, PASSPHRASE)["entries"]
        return [json.loads(one["secret"]) for one in entries if one["service"] == "keywright-attempts"]

    expect_wiped(world, attempts, lambda server, label: world.keywright(
        "get", label, "--server", server)[1].strip())
