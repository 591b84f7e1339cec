"""Keys passed to programs: real shells, direnv, the official SDK."""

import json
import os
import re
import shlex
import signal
import subprocess

from rig import SDK_PYTHON, Pane, contains, descendants, equal, program, test, until, whoami

ODD = (
    "my key", "it's", 'say "hi"', "a=b", "A=b,C=d", "back\\slash", "--", "--help", "-x",
    "$HOME `x`", "🔑 é", "*?[~]#;&|", "it:s @home", "%q {x,y}",
)
# Values that a key of a future format could have.
VALUES = (
    "it's", '"twice"', "$HOME `id` $(id)", "back\\slash\\", "‘curly’", "a=b #c", "!!", "🔑", " x ",
    "\\'", "'; echo x; '", "*",
)


def store(world, server, label, value):
    """Stores a secret in the keychain with another tool."""
    service = "keywright/" + server.split("//")[1]
    argv = ["secret-tool", "store", "--label", label, "service", service, "username", label]
    subprocess.run(argv, env=world.env, input=value, text=True, check=True, timeout=10)


def create_keys(world, server, labels=ODD):
    """Creates a key under each label; returns the keys by label."""
    world.env["KEYWRIGHT_SERVER"] = server
    keys = {}
    for label in labels:
        # `secret-tool` would take some of the labels for options.
        keys[label] = world.create_key(server, "plain")
        equal(world.keywright("rename", "--", "plain", label)[0], 0)
    return keys


def inventory(world, labels):
    """Creates a data directory with these labels in its inventory."""
    rows = [
        {
            "label": label, "hash": f"{n:064x}", "masked": "sk-or-v1-000...0000", "store": "os",
            "server": "https://openrouter.ai", "created_at": "2026-11-01T00:00:00Z",
        }
        for n, label in enumerate(labels)
    ]
    path = world.mkdir(f"data {len(labels)}")
    world.write(f"data {len(labels)}/inventory.json", json.dumps({"version": 1, "keys": rows}))
    return shlex.join(["keywright", "--data-dir", path])


@test
def run_passes_the_key_of_every_special_label(world):
    world.keyring()
    server, _ = world.sandbox()
    for label, key in create_keys(world, server).items():
        before = ["--"] if label.startswith("-") else []
        printed = world.keywright("run", *before, label, "--", "printenv", "OPENROUTER_API_KEY")
        equal((label, printed), (label, (0, f"{key}\n", "")))
        escaped = label.replace("\\", "\\\\").replace(",", "\\,")
        two = f"A={escaped},B={escaped}"
        printed = world.keywright("run", two, "--", "sh", "-c", 'echo "$A"; test "$A" = "$B"')
        equal((label, printed), (label, (0, f"{key}\n", "")))
        equal(world.keywright("get", "--", label), (0, f"{key}\n", ""))


STATE = """
grep -E '^(Sig(Blk|Ign|Cgt)|NoNewPrivs)' /proc/self/status
cat /proc/self/limits
for fd in /proc/self/fd/*; do echo "$fd"; done
umask
"""


@test
def run_replaces_keywrights_process_and_leaves_nothing_of_it(world):
    world.keyring()
    server, _ = world.sandbox()
    world.env["KEYWRIGHT_SERVER"] = server
    store(world, server, "ci", "sk-or-v1-0")

    def run(script, **options):
        argv = ["keywright", "run", "ci", "--", "sh", "-c", script]
        return world.spawn(argv, "run.log", stdout=subprocess.PIPE, **options)

    child = run("echo $$ $OPENROUTER_API_KEY; exit 42")
    equal(child.stdout.read().decode(), f"{child.pid} sk-or-v1-0\n")
    equal(child.wait(timeout=10), 42)
    equal(run("kill -KILL $$").wait(timeout=10), -signal.SIGKILL)

    def choose_signals():
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)

    alone = world.spawn(
        ["sh", "-c", STATE], "run.log", stdout=subprocess.PIPE, preexec_fn=choose_signals
    )
    inside = run(STATE, preexec_fn=choose_signals)
    equal(inside.stdout.read(), alone.stdout.read())
    equal(world.read("run.log"), "")
    # A signal to the process ends the program.
    child = run("echo up; exec sleep 60")
    equal(child.stdout.readline(), b"up\n")
    child.terminate()
    equal(child.wait(timeout=10), -signal.SIGTERM)
    # In a terminal the shell's job control stops and resumes it.
    pane = Pane(world)
    pane.command("keywright run ci -- sleep 1000")
    until("a sleep", lambda: "sleep" in [program(pid) for pid in descendants(os.getpid())])
    pane.press("C-z")
    pane.wait_words("Stopped")
    pane.command("kill %1; fg")
    pane.wait_words("Terminated")


SHELLS = {
    "bash": ("bash", "--norc", "-c", 'eval "$(keywright env --shell bash -- "$1")"; printf %s "$A"', "-"),
    "zsh": ("zsh", "-f", "-c", 'eval "$(keywright env --shell zsh -- "$1")"; printf %s "$A"', "-"),
    "fish": ("fish", "-N", "-c", 'keywright env --shell fish -- $argv[1] | source; printf %s "$A"'),
}


@test
def each_shell_reads_the_lines_of_env_for_every_label_and_key(world):
    world.keyring()
    server, _ = world.sandbox()
    values = create_keys(world, server)
    for n, value in enumerate(VALUES):
        values[f"odd {n}"] = value
        store(world, server, f"odd {n}", value)
    for label, value in values.items():
        for shell, argv in SHELLS.items():
            code, out, err = world.run(*argv, f"A={label}")
            equal((shell, label, code, out, err), (shell, label, 0, value, ""))


@test
def direnv_reads_the_output_of_helper_and_env(world):
    world.keyring()
    server, _ = world.sandbox()
    world.env["KEYWRIGHT_SERVER"] = server
    store(world, server, "it's", "from the keychain")
    project = world.mkdir("home", "project")
    _, lines, _ = world.keywright("helper", "direnv", "--label", "it's")
    world.write("home/project/.envrc", lines)
    equal(world.run("direnv", "allow", project)[0], 0)
    code, out, err = world.run("direnv", "exec", project, "printenv", "OPENROUTER_API_KEY")
    equal((code, out), (0, "from the keychain\n"))
    # direnv's own parser of dotenv files.
    world.write("home/project/.envrc", "dotenv key.env\n")
    equal(world.run("direnv", "allow", project)[0], 0)
    for value in ("plain", "$HOME `id` \\ \"x\"", "it's #1"):
        store(world, server, "odd", value)
        code, lines, err = world.keywright("env", "odd", "--shell", "dotenv")
        equal((code, err), (0, ""))
        world.write("home/project/key.env", lines)
        code, out, err = world.run("direnv", "exec", project, "printenv", "OPENROUTER_API_KEY")
        equal((value, code, out), (value, 0, f"{value}\n"))


@test
def the_envrc_of_helper_is_ignored_by_git_and_loads_the_key(world):
    world.keyring()
    server, _ = world.sandbox()
    world.env["KEYWRIGHT_SERVER"] = server
    store(world, server, "it's", "from the keychain")
    project = world.mkdir("home", "project")
    _, lines, _ = world.keywright("helper", "envrc", "--label", "it's")
    script = world.write("setup.sh", lines)
    code, _, err = world.run("sh", "-c", f'cd project && git init -q . && sh -e "{script}"')
    equal((code, err), (0, err))
    equal(world.run("git", "-C", project, "check-ignore", ".envrc")[:2], (0, ".envrc\n"))
    code, out, _ = world.run("direnv", "exec", project, "printenv", "OPENROUTER_API_KEY")
    equal((code, out), (0, "from the keychain\n"))


ASK = """
me = client.api_keys.get_current_key_metadata(server_url=os.environ["KEYWRIGHT_SERVER"] + "/api/v1")
print(me.data.limit)
"""
CHILD = f"""
import os
from openrouter import OpenRouter
client = OpenRouter(api_key=os.environ["OPENROUTER_API_KEY"])
{ASK}"""


@test
def the_official_sdk_works_in_a_child_of_run_and_with_helpers_configuration(world):
    world.keyring()
    server, _ = world.sandbox()
    world.env["KEYWRIGHT_SERVER"] = server
    key = world.create_key(server, "it's", "--limit", "7.25")
    equal(whoami(server, key)["limit"], 7.25)
    python = SDK_PYTHON
    child = world.keywright("run", "it's", "--", python, "-c", CHILD)
    equal(child, (0, "7.25\n", ""))
    _, lines, _ = world.keywright("helper", "python-sdk")
    contains(lines, '"it\'s"')
    equal(world.run(python, "-c", f"import os\n{lines}{ASK}"), (0, "7.25\n", ""))


@test
def the_helper_for_claude_code_is_a_command_that_prints_the_key(world):
    world.keyring()
    server, _ = world.sandbox()
    for label, key in create_keys(world, server, ODD[:9]).items():
        settings = json.loads(world.keywright("helper", "claude-code", f"--label={label}")[1])
        equal(world.run("/bin/sh", "-c", settings["apiKeyHelper"]), (0, f"{key}\n", ""))


# Completes `keywright get -- ` and prints the completed words.
BASH = """
source <(keywright completions bash)
COMP_WORDS=(keywright get -- "$1") COMP_CWORD=3 COMP_LINE="keywright get -- $1" COMP_POINT=$((18 + ${#1}))
_keywright keywright "$1" --
printf '%s\\n' "${COMPREPLY[@]}"
"""


@test
def bash_completes_labels_quoted_for_itself(world):
    world.keyring()
    server, _ = world.sandbox()
    keys = create_keys(world, server)
    code, out, err = world.run("bash", "--norc", "-c", BASH, "-", "")
    equal((code, err), (0, ""))
    offered = out.splitlines()
    # After a double dash labels that start with a dash are offered too.
    equal(len(offered), len(ODD))
    printed = [world.run("bash", "--norc", "-c", f"keywright get -- {word}")[1] for word in offered]
    equal(sorted(printed), sorted(f"{key}\n" for key in keys.values()))


def start_shells(world):
    """Configures completion for three shells; returns their commands."""
    rc = "source <(keywright completions {}); PS1='ready> '; cd"
    world.write("home/.bashrc", rc.format("bash"))
    world.mkdir("home", "zsh")
    world.write("home/zsh/.zshrc", rc.format("zsh"))
    world.env["ZDOTDIR"] = world.path("home", "zsh")
    config = world.mkdir("home", ".config", "fish")
    with open(os.path.join(config, "config.fish"), "w", encoding="utf-8") as file:
        file.write("keywright completions fish | source\nset -g fish_autosuggestion_enabled 0\n")
        file.write("function fish_prompt; echo 'ready> '; end\n")
    return "bash --noprofile -i", "zsh -i", "fish"


def complete_line(pane, line):
    """Types a line and a tab, waits for the completion, and runs it; returns its output."""
    out = pane.world.path("home", "out")
    os.path.exists(out) and os.remove(out)
    pane.type(line)
    pane.press("Tab")
    until(f"a completion of {line}", lambda: not pane.screen().endswith(line))
    pane.type(" >out; echo done")
    pane.press("Enter")
    until(f"an output of {line}", lambda: os.path.exists(out))
    pane.wait(r"^done.*\n+ready>$")
    printed = pane.world.read("home/out")
    pane.type("clear")
    pane.press("Enter")
    pane.wait(r"\A\s*ready>$")
    return printed


@test
def a_tab_in_bash_zsh_and_fish_completes_a_label(world):
    world.keyring()
    server, _ = world.sandbox()
    keys = create_keys(world, server, ("my key", "it's", "co:x", "x$(touch RAN)", "other"))
    starts = (
        ("my", "my key"), ("'my", "my key"), ('"my', "my key"), ("it", "it's"), ('"it', "it's"),
        ("co:", "co:x"), ("'co:", "co:x"), ("x", "x$(touch RAN)"), ("'x", "x$(touch RAN)"),
        ('"x', "x$(touch RAN)"),
    )
    for shell in start_shells(world):
        pane = Pane(world)
        pane.command(shell)
        pane.wait(r"ready>$")
        for start, label in starts:
            printed = complete_line(pane, f"keywright get {start}")
            equal((shell, start, printed), (shell, start, f"{keys[label]}\n"))
    equal(os.path.exists(world.path("home", "RAN")), False)


@test
def a_tab_completes_items_of_lists_values_and_files(world):
    data = inventory(world, ("ci", "co:x"))
    world.env["KEYWRIGHT_DATA_DIR"] = shlex.split(data)[-1]
    world.write("home/daily.toml", "")
    completions = (
        ("run ci,c", "run ci,c"), ("run ci,ci", "run ci,ci"), ("run ci,A=co", "run ci,A=co:x"),
        ("new x --reset mon", "new x --reset monthly"), ("new x --reset=mon", "new x --reset=monthly"),
        ("list --store f", "list --store file"), ("list --store=f", "list --store=file"),
        ("apply dai", "apply daily.toml"), ("run ci -- cat dai", "run ci -- cat daily.toml"),
        ("new x --limit dai", "new x --limit dai"),
    )
    for shell in start_shells(world):
        pane = Pane(world)
        pane.command(shell)
        for line, completed in completions:
            pane.wait(r"ready>$")
            pane.type(f"keywright {line}")
            pane.press("Tab")
            pane.type("|")
            until(
                f"{shell}: {completed} in {pane.screen()!r}",
                lambda: re.search(rf"keywright {re.escape(completed)} ?\|$", pane.screen(), re.M),
            )
            pane.press("C-c")
            pane.type("clear")
            pane.press("Enter")


@test
def fish_completes_every_label(world):
    world.keyring()
    server, _ = world.sandbox()
    keys = create_keys(world, server)
    script = "keywright completions fish | source; complete -C 'keywright get -- {}'"
    offered = []
    for start in ("", "-"):
        code, out, _ = world.run("fish", "-N", "-c", script.format(start))
        equal(code, 0)
        offered += [line.split("\t")[0] for line in out.splitlines()]
    missing = [label for label in keys if label not in offered]
    equal(missing, [])


@test
def the_manual_page_has_no_warnings(world):
    code, page, err = world.keywright("man")
    equal((code, err), (0, ""))
    ended = subprocess.run(
        ["man", "-l", "--warnings", "-"], input=page, capture_output=True, text=True,
        env={**world.env, "MANPAGER": "cat", "MANWIDTH": "80"}, timeout=20,
    )
    equal((ended.returncode, ended.stderr), (0, ""))
    for words in ("KEYWRIGHT_QUIET", "CLICOLOR_FORCE", "EXIT STATUS", "keywright run"):
        contains(ended.stdout, words)
