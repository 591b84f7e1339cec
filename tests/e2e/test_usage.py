"""What was spent and what the account says."""

import csv
import io
import json
import os
import stat

from rig import ROOT, contains, equal, test


def readme_commands():
    """Returns the commands of the README's section, as they stand."""
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
        section = file.read().split("## Account and usage")[1].split("\n## ")[0]
    lines = section.split("```sh\n")[1].split("```")[0].splitlines()
    return [line for line in lines if line]


@test
def usage_and_account_agree_and_survive_a_damaged_cache(world):
    world.keyring()
    server, management = world.sandbox()
    access = {"KEYWRIGHT_SERVER": server, "OPENROUTER_MANAGEMENT_KEY": management}
    for label in ("ci", "laptop"):
        world.create_key(server, label)

    def printed(*arguments):
        code, out, err = world.keywright(*arguments, **access)
        equal((code, err), (0, ""))
        return out

    def document(*arguments):
        return json.loads(printed(*arguments, "--json"))

    account = document("account")
    equal(account["remaining"], round(account["total_credits"] - account["total_usage"], 9))
    equal(sum(account["keys"].values()), 6)
    equal([row["slug"] for row in account["workspaces"]], ["default", "research"])

    usage = document("usage")
    equal(usage["source"], "activity")
    by_key = document("usage", "--by", "key")["rows"]
    total = sum(row["usage"] for row in usage["rows"])
    assert abs(total - sum(row["usage"] for row in by_key)) < 1e-6, (total, by_key)
    days = document("usage", "--by", "day")["rows"]
    equal(len(days), 30)
    assert abs(total - sum(row["usage"] for row in days)) < 1e-6, (total, days)
    rows = list(csv.DictReader(io.StringIO(printed("usage", "--csv"))))
    equal([float(row["usage"]) for row in rows], [row["usage"] for row in usage["rows"]])

    cache = world.path("home", ".local", "share", "keywright", "activity.json")
    equal(stat.S_IMODE(os.stat(cache).st_mode), 0o600)
    with open(cache, "rb") as file:
        whole = file.read()
    for damaged in (whole[: len(whole) // 2], whole.replace(b"1", b"7"), b"", b"\0" * 9):
        with open(cache, "wb") as file:
            file.write(damaged)
        equal(document("usage"), usage)

    for line in readme_commands():
        code, _, err = world.run("sh", "-c", line, **access)
        equal((line, code, err), (line, 0, ""))

    # Without the management key the same commands say that the figures are Keywright's own.
    world.keywright("list", "--refresh", KEYWRIGHT_SERVER=server)
    code, out, err = world.keywright("usage", "--json", KEYWRIGHT_SERVER=server)
    equal((code, json.loads(out)["source"]), (0, "samples"))
    contains(err, "keywright management set")
