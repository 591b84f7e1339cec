"""Profiles with the real keychain: each has its own server, keys and management key."""

import hashlib
import json
import os

from rig import Pane, contains, equal, test, whoami
from test_account import create_outside, piped


def secret(world, service, label):
    """Returns the key under a label, read by another tool; empty when there is none."""
    return world.run("secret-tool", "lookup", "service", service, "username", label)[1].strip()


def two_profiles(world):
    """Starts a keychain and two servers, one of the default profile and one of `work`."""
    world.keyring()
    servers = [world.sandbox(), world.sandbox()]
    config = os.path.join(world.home, ".config", "keywright")
    os.makedirs(config)
    with open(os.path.join(config, "config.toml"), "w", encoding="utf-8") as file:
        for name, (server, _) in zip(("default", "work"), servers):
            file.write(f'[profiles.{name}]\nserver = "{server}"\n')
    return servers


@test
def two_profiles_have_the_same_label_and_each_its_own_keychain_service(world):
    (home, home_management), (work, work_management) = two_profiles(world)
    keys = {}
    for profile, server, management in (("default", home, home_management), ("work", work, work_management)):
        code, out, err = piped(world, management, "--profile", profile, "management", "set")
        equal((profile, code), (profile, 0))
        keys[profile] = create_outside(server, management, f"ci of {profile}", limit=5)
        equal(piped(world, keys[profile], "--profile", profile, "import", "ci")[0], 0)
    services = [f"keywright/{home.split('//')[1]}", f"keywright/work/{work.split('//')[1]}"]
    equal([secret(world, service, "ci") for service in services], [keys["default"], keys["work"]])

    # The option, the environment and `profile use` choose the profile.
    equal(world.keywright("get", "ci")[1].strip(), keys["default"])
    equal(world.keywright("--profile", "work", "get", "ci")[1].strip(), keys["work"])
    equal(world.keywright("get", "ci", KEYWRIGHT_PROFILE="work")[1].strip(), keys["work"])
    equal(world.keywright("profile", "use", "work")[0], 0)
    equal(world.keywright("get", "ci")[1].strip(), keys["work"])

    # A leak in one profile leaves the key of the other as it is.
    equal(world.keywright("panic", "ci", "--yes")[0], 0)
    new = secret(world, services[1], "ci")
    assert new not in ("", keys["work"]), "no replacement is stored"
    equal((whoami(work, keys["work"]), whoami(work, new)["limit"]), (401, 5))
    equal(secret(world, services[0], "ci"), keys["default"])
    equal(whoami(home, keys["default"])["limit"], 5)
    equal(world.keywright("--profile", "default", "get", "ci")[1].strip(), keys["default"])
    # A profile that does not exist gets a suggestion, and nothing is created for it.
    code, _, err = world.keywright("--profile", "wrok", "list")
    equal(code, 2)
    contains(err, "work")


@test
def a_key_in_two_profiles_of_one_account_is_noticed_by_its_hash(world):
    (server, management), _ = two_profiles(world)
    config = os.path.join(world.home, ".config", "keywright", "config.toml")
    with open(config, "w", encoding="utf-8") as file:
        file.write(f'[profiles.default]\nserver = "{server}"\n[profiles.work]\nserver = "{server}"\n')
    key = create_outside(server, management, "ci")
    equal(piped(world, key, "import", "ci")[0], 0)
    code, _, err = piped(world, key, "--profile", "work", "import", "nightly")
    equal(code, 0)
    contains(err, "'nightly' is also stored as 'ci' in profile default")
    code, _, err = world.keywright("--profile", "work", "rm", "nightly", "--yes")
    equal(code, 0)
    contains(err, "also stored as 'ci' in profile default")
    # Only this copy is gone.
    equal(world.keywright("get", "ci")[1].strip(), key)
    equal(secret(world, f"keywright/work/{server.split('//')[1]}", "nightly"), "")


@test
def the_dashboard_switches_to_another_profile_and_says_which_one_it_shows(world):
    (home, home_management), (work, work_management) = two_profiles(world)
    for profile, server, management, label in (
        ("default", home, home_management, "of-home"), ("work", work, work_management, "of-work"),
    ):
        key = create_outside(server, management, label)
        equal(piped(world, key, "--profile", profile, "import", label)[0], 0)
    pane = Pane(world, size=(120, 40))
    pane.dashboard()
    pane.wait("of-home")
    pane.press("p")
    pane.wait("work")
    pane.press("Down")
    pane.press("Enter")
    pane.wait("of-work")
    pane.wait_gone("of-home")
    pane.wait("work")
    pane.press("q")


@test
def the_key_of_another_account_is_handed_out_with_a_warning(world):
    (server, management), _ = two_profiles(world)
    key = create_outside(server, management, "ci")
    equal(piped(world, key, "import", "ci")[0], 0)
    path = os.path.join(world.home, ".local", "share", "keywright", "inventory.json")
    with open(path, encoding="utf-8") as file:
        inventory = json.load(file)
    equal(inventory["keys"][0]["hash"], hashlib.sha256(key.encode()).hexdigest())
    inventory["keys"][0]["other_account"] = {"confirmed": False}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(inventory, file)
    for command in (["get", "ci"], ["run", "ci", "--", "printenv", "OPENROUTER_API_KEY"]):
        code, out, err = world.keywright(*command)
        equal((command, code, out.strip()), (command, 0, key))
        contains(err, "belongs to another account")
        assert key not in err
