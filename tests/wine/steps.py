"""Keywright for Windows from its first key to the last, under Wine, against a sandbox on this machine.

What the program stored is also read by `helper.c`, which uses the functions of Windows itself, and by
Keywright for this machine.
"""

import json
import os
import re
import subprocess
import sys
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

from support import consent, contains, equal, fetch, names, post, shows, until, whoami  # noqa: E402

from console import Console  # noqa: E402
from prefix import ROOT, compile_c  # noqa: E402

LABEL = "a ü"
steps = []


def step(function):
    """Registers a step. Its name describes the behaviour it checks."""
    steps.append(function)
    return function


class World:
    """The program, its data directory and the sandbox."""

    def __init__(self, prefix, program, host_program):
        self.prefix, self.program, self.host_program = prefix, program, host_program
        self.helper = prefix.path("helper.exe")
        compile_c("helper.c", self.helper)
        self.data = prefix.path("Daten für Keywright")
        self.sandbox = subprocess.Popen([host_program, "sandbox"], env={**prefix.env, "RUST_LOG": ""},
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.server = self.sandbox.stdout.readline().split()[-1]
        self.management = self.sandbox.stdout.readline().split()[-1]
        self.service = f"keywright/{self.server.removeprefix('http://')}"

    def arguments(self, *arguments):
        """The program's command line. It takes paths of this machine: the drive Z: has them."""
        return [self.program, "--server", self.server, "--data-dir", self.data, *arguments]

    def run(self, *arguments, code=0, **options):
        """Runs the program; returns its output. Its exit code must be `code`."""
        got, out, err = self.prefix.run(*self.arguments(*arguments), **options)
        assert got == code, f"{arguments}: exit code {got}, not {code}\n{out}\n{err}"
        return out if code == 0 else out + err

    def start(self, *arguments, **options):
        return self.prefix.start(*self.arguments(*arguments), **options)

    def get(self, label=LABEL):
        return self.run("get", label).removesuffix("\n")

    def system(self, *arguments, code=0, **options):
        """Runs the helper; returns its output."""
        got, out, err = self.prefix.run(self.helper, *arguments, **options)
        assert got == code, f"{arguments}: exit code {got}, not {code}\n{out}\n{err}"
        return out

    def credentials(self):
        """Returns user, persistence and secret of each credential, by the name of its target."""
        rows = [line.split("\t") for line in self.system("credentials").splitlines()]
        return {target: (user, int(persistence), secret) for target, user, persistence, secret in rows}

    def create_key(self, name):
        """Creates a key without Keywright."""
        return post(f"{self.server}/api/v1/keys", self.management, {"name": name})["key"]

    def write_plan(self, name, text):
        path = self.prefix.path(name)
        with open(path, "w", encoding="utf-8", newline="\r\n") as file:
            file.write(text)
        return path

    def close(self):
        self.sandbox.kill()
        self.sandbox.wait()


def windows_path(path):
    return "Z:" + path.replace("/", "\\")


def read_address(process):
    """Reads the address of a sign-in from the program's errors."""
    seen = ""
    while not (address := re.search(r"^\s*(http://\S+/auth\S+)\s*$", seen, re.M)):
        line = process.stderr.readline()
        assert line, f"no address in: {seen}"
        seen += line
    return address[1]


@step
def new_with_a_callback_stores_a_key(world):
    new = world.start("new", LABEL, "--limit", "5", "--no-open")
    address = read_address(new)
    status, _, _ = fetch(consent(address))
    equal(status, 200)
    _, err = new.communicate(timeout=60)
    equal((new.returncode, err if new.returncode else ""), (0, ""))


@step
def new_with_a_pasted_code_stores_a_key(world):
    new = world.start("new", "pasted", "--no-browser")
    address = read_address(new)
    page = fetch(address, data=b"decision=approve")[2]
    code = re.search(r'id="code">([^<]+)<', page)[1]
    _, err = new.communicate(code + "\r\n", timeout=60)
    equal((new.returncode, err if new.returncode else ""), (0, ""))
    assert code not in err, "the code was shown"


@step
def another_process_and_the_functions_of_windows_read_the_keys(world):
    stored = world.credentials()
    for label in (LABEL, "pasted"):
        key = world.get(label)
        equal(whoami(world.server, key)["is_management_key"], False)
        # 2: it stays on this machine (CRED_PERSIST_LOCAL_MACHINE).
        equal(stored[f"{label}@{world.service}"], (label, 2, key))
    equal(len(stored), 2)


@step
def exit_codes_are_those_of_every_system(world):
    contains(world.run("get", "missing", code=3), "missing")
    world.run("get", code=2)
    world.run("list", "--server", "http://127.0.0.1:9", "--refresh")
    world.run("import", "x", code=2, text="not a key\r\n")


@step
def doctor_lists_the_keys_and_names_windows(world):
    report = json.loads(world.run("doctor", "--json"))["checks"]
    checks = {check["name"]: check for check in report}
    contains(checks["versions"]["message"], ", Windows, x86_64")
    failed = [check for check in report if check["status"] == "fail"]
    equal(failed, [])


@step
def doctor_rebuilds_a_lost_inventory_from_the_credential_manager(world):
    os.rename(f"{world.data}/inventory.json", world.prefix.path("inventory.json"))
    contains(world.run("doctor"), LABEL)
    labels = {key["label"] for key in json.loads(world.run("list", "--json"))}
    equal(labels, {LABEL, "pasted"})
    os.replace(world.prefix.path("inventory.json"), f"{world.data}/inventory.json")


@step
def run_passes_every_argument_as_it_is(world):
    words = ["a b", 'say "x"', "100%", "%PATH%", "a^b", "back\\slash\\", "", "ü €", "&|<>", "it's", "*"]
    out = world.run("run", LABEL, "--", world.helper, "arguments", "7", *words, code=7,
                      OPENROUTER_MANAGEMENT_KEY="sk-or-v1-0")
    equal(out.splitlines(), [*words, f"0:{world.get()}", "1:"])


@step
def run_ends_with_the_codes_of_the_program(world):
    world.run("run", LABEL, "--", "cmd", "/c", "exit 9", code=9)
    contains(world.run("run", LABEL, "--", "no-such-program", code=127), "program not found")
    key = world.get()
    out = world.run("run", LABEL, "--", "cmd", "/c", "echo %OPENROUTER_API_KEY%")
    equal(out.strip(), key)


@step
def run_finds_programs_by_their_extension(world):
    bin_dir = world.prefix.path("bin")
    os.mkdir(bin_dir)
    with open(os.path.join(bin_dir, "tool.cmd"), "w", encoding="ascii", newline="\r\n") as file:
        file.write("@echo %~1\n@exit /b 6\n")
    out = world.run("run", LABEL, "--", "tool", "a b", code=6, WINEPATH=windows_path(bin_dir))
    equal(out.strip(), "a b")


@step
def ctrl_c_reaches_the_program_that_run_started_and_its_exit_code_counts(world):
    with Console(world, "run", LABEL, "--", world.helper, "wait") as console:
        console.wait("waiting")
        console.type("\x03")
        equal(console.end(), 42)


@step
def ctrl_c_cancels_a_sign_in(world):
    with Console(world, "new", "cancelled", "--no-open") as console:
        console.wait("/auth?")
        console.type("\x03")
        equal(console.end(), 5)
    world.run("get", "cancelled", code=3)
    equal(json.loads(world.run("recover", "--json"))["unresolved"], [])


@step
def copy_puts_the_key_on_the_clipboard_and_keeps_it_out_of_the_history(world):
    began = time.monotonic()
    # Standard error is a file here: Wine itself, not Windows, hands it on to the helper process.
    copy = world.start("copy", LABEL, stderr=subprocess.DEVNULL)
    out, _ = copy.communicate(timeout=60)
    equal(copy.returncode, 0)
    contains(out, f"copied {LABEL}")
    # The helper process clears the clipboard after 45 seconds; the output ends before.
    assert time.monotonic() - began < 30, "the helper process holds the pipe of the output"
    text, *hints = world.system("clipboard").splitlines()
    equal(text, world.get())
    assert "ExcludeClipboardContentFromMonitorProcessing" in hints, hints


@step
def apply_that_was_killed_goes_on(world):
    count = 12
    keys = "".join(f'[[key]]\nlabel = "team ü {n}"\nlimit = 1\n' for n in range(count))
    plan = world.write_plan("Plan ä.toml", keys)
    secret = {"OPENROUTER_MANAGEMENT_KEY": world.management}

    def created():
        return [name for name in names(world.server, world.management) if name.startswith("team")]

    apply = world.start("apply", plan, "--yes", env=secret)
    until("some keys", lambda: len(created()) >= 3 or apply.poll() is not None, 60)
    apply.kill()
    apply.wait()
    assert len(created()) < count, "apply was not killed in time"
    out = json.loads(world.run("apply", plan, "--yes", "--json", **secret))
    equal(out["failed"], [])
    equal(sorted(created()), sorted(f"team ü {n}" for n in range(count)))
    equal(json.loads(world.run("recover", "--json", **secret))["unresolved"], [])
    stored = world.credentials()
    for n in range(count):
        key = stored[f"team ü {n}@{world.service}"][2]
        equal(whoami(world.server, key)["label"][:8], key[:8])


@step
def an_error_in_a_plan_with_crlf_has_its_line(world):
    plan = world.write_plan("wrong.toml", '[[key]]\nlabel = "x"\nlimt = 1\n')
    contains(world.run("apply", plan, "--dry-run", code=2), "line 3, column 1: unknown field 'limt'")


@step
def recover_lists_an_attempt_whose_program_was_killed(world):
    new = world.start("new", "killed", "--no-open")
    address = read_address(new)
    new.kill()
    new.wait()
    # The code that is issued now reaches nobody, so no key exists.
    consent(address)
    equal(json.loads(world.run("recover", "--json"))["unresolved"], [])
    world.run("get", "killed", code=3)


@step
def the_age_file_is_read_by_keywright_for_this_machine(world):
    passphrase = world.prefix.path("Passwort ü.txt")
    with open(passphrase, "w", encoding="utf-8", newline="") as file:
        file.write("a passphrase ü\r\n")
    secret = {"KEYWRIGHT_PASSPHRASE_FILE": passphrase}
    key = world.create_key("in a file")
    world.run("--store", "file", "import", "in a file", text=key + "\r\n", **secret)
    equal(world.run("--store", "file", "get", "in a file", **secret).strip(), key)
    ended = subprocess.run(
        [world.host_program, *world.arguments("--store", "file", "get", "in a file")[1:]],
        env={**world.prefix.env, **secret}, capture_output=True, text=True, timeout=60, check=False)
    equal((ended.returncode, ended.stdout), (0, f"{key}\n"))
    assert "in a file@" not in str(world.credentials())


@step
def an_inventory_that_another_program_holds_is_not_damaged(world):
    inventory = f"{world.data}/inventory.json"
    with open(inventory, "rb") as file:
        before = file.read()
    hold = world.prefix.start(world.helper, "hold", inventory)
    equal(hold.stdout.readline().strip(), "held")
    out = world.run("rename", "pasted", "renamed", code=1)
    contains(out, "inventory.json")
    hold.communicate("\n", timeout=20)
    with open(inventory, "rb") as file:
        equal(file.read(), before)
    world.run("rename", "pasted", "renamed")
    assert world.get("renamed").startswith("sk-or-v1-")


@step
def completions_for_powershell_are_the_reviewed_file(world):
    with open(os.path.join(ROOT, "assets", "completions", "keywright.ps1"), encoding="utf-8") as file:
        equal(world.run("completions", "powershell"), file.read())


@step
def a_prompt_for_a_key_does_not_echo_it_as_other_prompts_do(world):
    key = world.create_key("typed")
    with Console(world, "rm", LABEL) as console:
        # Wine's console may lose what is typed before the question, and a return that comes with text.
        console.wait("[y/N]")
        console.type("nothing")
        console.wait("nothing")
        console.type("\r")
        equal(console.end(), 5)
    with Console(world, "import", "typed") as console:
        console.wait("key:")
        console.type(key)
        # Nothing of it is shown, so there is nothing to wait for.
        time.sleep(0.5)
        console.type("\r")
        equal(console.end(), 0)
        assert not shows(console.text().encode(), key), console.output
    equal(world.get("typed"), key)


@step
def rm_removes_the_key_from_the_credential_manager(world):
    world.run("rm", LABEL, "--yes")
    world.run("get", LABEL, code=3)
    assert f"{LABEL}@{world.service}" not in world.credentials()


def run(prefix, program, host_program):
    """Runs all steps in their order; returns how many passed and how many failed."""
    results = []
    world = World(prefix, program, host_program)
    try:
        for function in steps:
            name = function.__name__.replace("_", " ")
            began = time.monotonic()
            try:
                function(world)
                failure = None
            except Exception:  # The summary must be printed whatever a step raises.
                failure = traceback.format_exc()
            took = time.monotonic() - began
            print(f"{'FAILED' if failure else 'ok    '}  {name} ({took:.1f} s)", flush=True)
            if failure:
                print(failure, flush=True)
            results.append(failure is None)
    finally:
        world.close()
    return results.count(True), results.count(False)
