"""Labels that are code in some language, in everything that is printed to be pasted."""

import json
import os
import random
import shlex
import sys
import tomllib

from rig import contains, equal, test

LABELS = (
    "a;touch X;{shell get}", "{json get}", "{list get}{unit get}", '"; touch X; "', "'; touch X; '",
    "$(touch X)", "`touch X`", "${IFS}", "\\", "\\'", "''\\\"", '"""', "'''", "-x", "--help", "--",
    '\\u0022); __import__("os").system("touch X"); (', '"], shell=True, x=["', "%h $HOME %% $$",
    "a\\", "#x", "~", "*", "!!", "& | < >", "#{x}", "${{ secrets.X }}", "{env:HOME}", "🔑 é", "a=b,c",
    "END", "it's", "=ls", "{a,b}", "x: y - &z *z",
)
# The marks of the templates, and characters with a meaning in a shell, TOML, JSON, YAML or a unit.
PARTS = (
    "{shell get}", "{json get}", "{list get}", "{unit get}", "touch X", "$(", ")", "`", "'", '"', "\\",
    ";", "&", "|", "<", ">", "{", "}", "[", "]", "$", "%", "#", "!", "~", "*", "?", "=", ",", ":", "-",
    " ", "x", "é", "\\u0027", "\\x27", "''", '""',
)
# Stands in for Keywright: records its arguments and prints a key.
RECORDER = """#!/bin/sh
printf '%s\\0' "$@" "end of call" >>"$RECORD"
echo the-key
"""
STUBS = {
    "openrouter.py": "class OpenRouter:\n    def __init__(self, api_key):\n        api_key()\n",
    "langchain_openrouter.py": "class ChatOpenRouter:\n    def __init__(self, **_):\n        pass\n",
}
NODE_STUB = "export class OpenRouter { constructor(options) { options.apiKey(); } }\n"


def labels():
    dice = random.Random(4)
    odd = ("".join(dice.choices(PARTS, k=dice.randint(1, 9))).strip() for _ in range(16))
    return [*LABELS, *(label for label in odd if label)]


class Paste:
    """A project directory where printed text is pasted, with a recorder in Keywright's place."""

    def __init__(self, world):
        self.world = world
        self.project = world.mkdir("home", "project")
        self.bin = world.mkdir("recorder")
        world.write("recorder/keywright", RECORDER, 0o700)
        for name in ("aider", "direnv", "claude"):
            world.write(f"recorder/{name}", "#!/bin/sh\n", 0o700)
        for name, text in STUBS.items():
            world.write(f"home/project/{name}", text)
        world.mkdir("home", "project", "node_modules", "@openrouter", "sdk")
        package = "home/project/node_modules/@openrouter/sdk"
        world.write(f"{package}/index.mjs", NODE_STUB)
        world.write(f"{package}/package.json", '{"name": "@openrouter/sdk", "exports": "./index.mjs"}')
        self.record = world.path("record")

    def run(self, *argv):
        """Runs an interpreter; returns the arguments of the one call of Keywright."""
        world = self.world
        world.write("record", "")
        before = sorted(os.listdir(self.project))
        env = {"PATH": f"{self.bin}:{world.env['PATH']}", "RECORD": self.record}
        env |= {"PYTHONPATH": self.project, "PYTHONDONTWRITEBYTECODE": "1"}
        code, out, err = world.run("env", "-C", self.project, *argv, **env)
        equal((argv, code, out, err), (argv, 0, out, err))
        equal((argv, sorted(os.listdir(self.project))), (argv, before))
        *call, end, _ = world.read("record").split("\0")
        equal((argv, end, "end of call" in call), (argv, "end of call", False))
        return call


SHELLS = (
    ("sh", "-c"), ("bash", "--norc", "-c"), ("zsh", "-f", "-c"), ("fish", "--no-config", "-c"),
)


def arguments(label, command="get", options=()):
    return [command, *options, *(["--"] if label.startswith("-") else []), label]


def unit_words(line):
    """Parses the command of a systemd unit (systemd.service(5) and systemd.syntax(7))."""
    words = []
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.commenters = True, ""
    for word in lexer:
        words.append(word.replace("%%", "%").replace("$$", "$"))
    return words


@test
def no_label_becomes_code_in_the_configuration_of_a_tool(world):
    paste = Paste(world)
    odd_dir = world.mkdir("home", "it's $(touch X) \"dir\" {shell get}")
    for number, label in enumerate(labels()):
        options = [[], ["--store", "file"], ["--data-dir", odd_dir]][number % 3]
        get, started = arguments(label, "get", options), arguments(label, "run", options)

        def helper(tool):
            code, out, err = world.keywright("helper", tool, *options, f"--label={label}")
            equal((label, tool, code), (label, tool, 0))
            return out, err

        for shell in SHELLS[:3]:
            equal(paste.run(*shell, helper("direnv")[0]), get)
            equal(paste.run(*shell, helper("aider")[0] + "aider --x"), [*started, "--", "aider", "--x"])
        for tool, shell in zip(("continue", "docker-compose", "litellm", "opencode"), SHELLS):
            body, head = helper(tool)
            line = next(line for line in head.splitlines() if " keywright run " in line)
            call = paste.run(*shell, line[line.index("keywright run"):])
            equal(call[: len(started)], started)
            # A comment keeps to its line.
            comments = [line for line in body.splitlines() if "keywright run" in line]
            equal([line[:2] for line in comments], ["# "] * len(comments))
        for tool in ("python-sdk", "langchain"):
            world.write("home/program.py", helper(tool)[0])
            equal(paste.run(sys.executable, world.path("home", "program.py")), get)
        world.write("home/project/program.mjs", helper("typescript-sdk")[0])
        equal(paste.run("node", "program.mjs"), get)
        settings = json.loads(helper("claude-code")[0])
        equal(list(settings), ["apiKeyHelper", "env"])
        equal(paste.run("sh", "-c", settings["apiKeyHelper"]), get)
        auth = tomllib.loads(helper("codex")[0])["model_providers"]["openrouter"]["auth"]
        equal(auth, {"command": "keywright", "args": get})
        unit = helper("systemd")[0]
        line = next(line for line in unit.splitlines() if "/keywright " in line)
        equal(unit_words(line)[1:], get)
        # The commands write .envrc with a quoted here-document.
        world.write("setup.sh", helper("envrc")[0])
        world.write("home/project/.gitignore", "")
        world.write("home/project/.envrc", "")
        paste_dir = {"PATH": f"{paste.bin}:{world.env['PATH']}"}
        code, _, err = world.run("env", "-C", paste.project, "sh", "-e", world.path("setup.sh"), **paste_dir)
        equal((label, code, err), (label, 0, ""))
        equal(paste.run("bash", "--norc", "./.envrc"), get)


@test
def no_label_becomes_code_in_a_command_of_an_error(world):
    paste = Paste(world)
    server = "http://127.0.0.1:9"
    for label in labels():
        key = {
            "label": label, "hash": "0" * 64, "masked": "sk-or-v1-000...0000", "server": server,
            "store": "os", "created_at": "2026-01-01T00:00:00Z",
        }
        world.mkdir("data")
        world.write("data/inventory.json", json.dumps({"version": 1, "keys": [key]}))
        options = ["--server", server, "--store", "memory", "--data-dir", world.path("data")]
        code, _, err = world.keywright("new", "--no-open", *options, "--", label)
        equal((label, code), (label, 2))
        contains(err, "keywright --server ")
        command = err[err.index("keywright --server "):].splitlines()[0]
        for shell in SHELLS:
            equal(paste.run(*shell, command), [*options, *arguments(label, "rm")])
