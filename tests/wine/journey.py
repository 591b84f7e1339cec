"""Keywright for Windows from its first key to the last, under Wine, against a sandbox on this machine.

What the program stored is also read by `helper.c`, which uses the functions of Windows itself, and by
Keywright for this machine.
"""

import json
import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "e2e"))

from support import consent, contains, equal, fetch, names, post, shows, until, whoami  # noqa: E402

from prefix import ROOT, WINE, compile_c  # noqa: E402

LABEL = "a ü"
steps = []


def step(function):
    """Registers a step. Its name describes the behaviour it checks."""
    steps.append(function)
    return function


class Journey:
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


class Console:
    """The program in a console of Wine, which draws into a pseudo-terminal."""

    def __init__(self, journey, *arguments):
        self.output = b""
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            # Wine leaves the echo of the pseudo-terminal on: what is echoed then is the console's doing.
            modes = termios.tcgetattr(0)
            modes[3] &= ~termios.ECHO
            termios.tcsetattr(0, termios.TCSANOW, modes)
            os.execvpe(WINE, [WINE, *journey.arguments(*arguments)], journey.prefix.env)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.terminal)

    def read(self):
        """Reads what is there; returns whether the console is still open."""
        if select.select([self.terminal], [], [], 0.05)[0]:
            try:
                self.output += os.read(self.terminal, 65536)
            except OSError:
                return False
        return True

    def text(self):
        """Returns the output without the sequences that Wine writes around each character."""
        return re.sub(rb"\x1b\[[0-9;?]*[A-Za-z]|[\r\n]", b"", self.output).decode(errors="replace")

    def wait(self, words):
        """Reads until words are there."""
        def is_there():
            self.read()
            return words in self.text()

        try:
            until(words, is_there, 30)
        except AssertionError as error:
            raise AssertionError(f"{error}: {self.output}") from error

    def type(self, text):
        os.write(self.terminal, text.encode())

    def end(self):
        """Returns the exit code, of 8 bits."""
        end = time.monotonic() + 30
        while self.read():
            if time.monotonic() > end:
                raise AssertionError(f"the program did not end: {self.output}")
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


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
def new_with_a_callback_stores_a_key(journey):
    new = journey.start("new", LABEL, "--limit", "5", "--no-open")
    address = read_address(new)
    status, _, _ = fetch(consent(address))
    equal(status, 200)
    _, err = new.communicate(timeout=60)
    equal((new.returncode, err if new.returncode else ""), (0, ""))


@step
def new_with_a_pasted_code_stores_a_key(journey):
    new = journey.start("new", "pasted", "--no-browser")
    address = read_address(new)
    page = fetch(address, data=b"decision=approve")[2]
    code = re.search(r'id="code">([^<]+)<', page)[1]
    _, err = new.communicate(code + "\r\n", timeout=60)
    equal((new.returncode, err if new.returncode else ""), (0, ""))
    assert code not in err, "the code was shown"


@step
def another_process_and_the_functions_of_windows_read_the_keys(journey):
    stored = journey.credentials()
    for label in (LABEL, "pasted"):
        key = journey.get(label)
        equal(whoami(journey.server, key)["is_management_key"], False)
        # 2: it stays on this machine (CRED_PERSIST_LOCAL_MACHINE).
        equal(stored[f"{label}@{journey.service}"], (label, 2, key))
    equal(len(stored), 2)


@step
def exit_codes_are_those_of_every_system(journey):
    contains(journey.run("get", "missing", code=3), "missing")
    journey.run("get", code=2)
    journey.run("list", "--server", "http://127.0.0.1:9", "--refresh")
    journey.run("import", "x", code=2, text="not a key\r\n")


@step
def doctor_lists_the_keys_and_names_windows(journey):
    report = json.loads(journey.run("doctor", "--json"))["checks"]
    checks = {check["name"]: check for check in report}
    contains(checks["versions"]["message"], ", Windows, x86_64")
    failed = [check for check in report if check["status"] == "fail"]
    equal(failed, [])


@step
def doctor_rebuilds_a_lost_inventory_from_the_credential_manager(journey):
    os.rename(f"{journey.data}/inventory.json", journey.prefix.path("inventory.json"))
    contains(journey.run("doctor"), LABEL)
    labels = {key["label"] for key in json.loads(journey.run("list", "--json"))}
    equal(labels, {LABEL, "pasted"})
    os.replace(journey.prefix.path("inventory.json"), f"{journey.data}/inventory.json")


@step
def run_passes_every_argument_as_it_is(journey):
    words = ["a b", 'say "x"', "100%", "%PATH%", "a^b", "back\\slash\\", "", "ü €", "&|<>", "it's", "*"]
    out = journey.run("run", LABEL, "--", journey.helper, "arguments", "7", *words, code=7,
                      OPENROUTER_MANAGEMENT_KEY="sk-or-v1-0")
    equal(out.splitlines(), [*words, f"0:{journey.get()}", "1:"])


@step
def run_ends_with_the_codes_of_the_program(journey):
    journey.run("run", LABEL, "--", "cmd", "/c", "exit 9", code=9)
    contains(journey.run("run", LABEL, "--", "no-such-program", code=127), "program not found")
    key = journey.get()
    out = journey.run("run", LABEL, "--", "cmd", "/c", "echo %OPENROUTER_API_KEY%")
    equal(out.strip(), key)


@step
def run_finds_programs_by_their_extension(journey):
    bin_dir = journey.prefix.path("bin")
    os.mkdir(bin_dir)
    with open(os.path.join(bin_dir, "tool.cmd"), "w", encoding="ascii", newline="\r\n") as file:
        file.write("@echo %~1\n@exit /b 6\n")
    out = journey.run("run", LABEL, "--", "tool", "a b", code=6, WINEPATH=windows_path(bin_dir))
    equal(out.strip(), "a b")


@step
def ctrl_c_reaches_the_program_that_run_started_and_its_exit_code_counts(journey):
    with Console(journey, "run", LABEL, "--", journey.helper, "wait") as console:
        console.wait("waiting")
        console.type("\x03")
        equal(console.end(), 42)


@step
def ctrl_c_cancels_a_sign_in(journey):
    with Console(journey, "new", "cancelled", "--no-open") as console:
        console.wait("/auth?")
        console.type("\x03")
        equal(console.end(), 5)
    journey.run("get", "cancelled", code=3)
    equal(json.loads(journey.run("recover", "--json"))["unresolved"], [])


@step
def copy_puts_the_key_on_the_clipboard_and_keeps_it_out_of_the_history(journey):
    # Not with pipes: the program that keeps the key on the clipboard inherits and holds them.
    copy = journey.start("copy", LABEL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    equal(copy.wait(60), 0)
    text, *hints = journey.system("clipboard").splitlines()
    equal(text, journey.get())
    assert "ExcludeClipboardContentFromMonitorProcessing" in hints, hints


@step
def apply_that_was_killed_goes_on(journey):
    count = 12
    keys = "".join(f'[[key]]\nlabel = "team ü {n}"\nlimit = 1\n' for n in range(count))
    plan = journey.write_plan("Plan ä.toml", keys)
    secret = {"OPENROUTER_MANAGEMENT_KEY": journey.management}

    def created():
        return [name for name in names(journey.server, journey.management) if name.startswith("team")]

    apply = journey.start("apply", plan, "--yes", env=secret)
    until("some keys", lambda: len(created()) >= 3 or apply.poll() is not None, 60)
    apply.kill()
    apply.wait()
    assert len(created()) < count, "apply was not killed in time"
    out = json.loads(journey.run("apply", plan, "--yes", "--json", **secret))
    equal(out["failed"], [])
    equal(sorted(created()), sorted(f"team ü {n}" for n in range(count)))
    equal(json.loads(journey.run("recover", "--json", **secret))["unresolved"], [])
    stored = journey.credentials()
    for n in range(count):
        key = stored[f"team ü {n}@{journey.service}"][2]
        equal(whoami(journey.server, key)["label"][:8], key[:8])


@step
def an_error_in_a_plan_with_crlf_has_its_line(journey):
    plan = journey.write_plan("wrong.toml", '[[key]]\nlabel = "x"\nlimt = 1\n')
    contains(journey.run("apply", plan, "--dry-run", code=2), "line 3, column 1: unknown field 'limt'")


@step
def recover_lists_an_attempt_whose_program_was_killed(journey):
    new = journey.start("new", "killed", "--no-open")
    address = read_address(new)
    new.kill()
    new.wait()
    # The code that is issued now reaches nobody, so no key exists.
    consent(address)
    equal(json.loads(journey.run("recover", "--json"))["unresolved"], [])
    journey.run("get", "killed", code=3)


@step
def the_age_file_is_read_by_keywright_for_this_machine(journey):
    passphrase = journey.prefix.path("Passwort ü.txt")
    with open(passphrase, "w", encoding="utf-8", newline="") as file:
        file.write("a passphrase ü\r\n")
    secret = {"KEYWRIGHT_PASSPHRASE_FILE": passphrase}
    key = journey.create_key("in a file")
    journey.run("--store", "file", "import", "in a file", text=key + "\r\n", **secret)
    equal(journey.run("--store", "file", "get", "in a file", **secret).strip(), key)
    ended = subprocess.run(
        [journey.host_program, *journey.arguments("--store", "file", "get", "in a file")[1:]],
        env={**journey.prefix.env, **secret}, capture_output=True, text=True, timeout=60, check=False)
    equal((ended.returncode, ended.stdout), (0, f"{key}\n"))
    assert "in a file@" not in str(journey.credentials())


@step
def an_inventory_that_another_program_holds_is_not_damaged(journey):
    inventory = f"{journey.data}/inventory.json"
    with open(inventory, "rb") as file:
        before = file.read()
    hold = journey.prefix.start(journey.helper, "hold", inventory)
    equal(hold.stdout.readline().strip(), "held")
    out = journey.run("rename", "pasted", "renamed", code=1)
    contains(out, "inventory.json")
    hold.communicate("\n", timeout=20)
    with open(inventory, "rb") as file:
        equal(file.read(), before)
    journey.run("rename", "pasted", "renamed")
    assert journey.get("renamed").startswith("sk-or-v1-")


@step
def completions_for_powershell_are_the_reviewed_file(journey):
    with open(os.path.join(ROOT, "assets", "completions", "keywright.ps1"), encoding="utf-8") as file:
        equal(journey.run("completions", "powershell"), file.read())


@step
def a_prompt_for_a_key_does_not_echo_it_as_other_prompts_do(journey):
    key = journey.create_key("typed")
    with Console(journey, "rm", LABEL) as console:
        console.wait(LABEL.split()[-1])
        console.type("nothing\r")
        equal(console.end(), 5)
        contains(console.text(), "nothing")
    with Console(journey, "import", "typed") as console:
        console.wait("key")
        console.type(f"{key}\r")
        equal(console.end(), 0)
        assert not shows(console.text().encode(), key), console.output
    equal(journey.get("typed"), key)


@step
def rm_removes_the_key_from_the_credential_manager(journey):
    journey.run("rm", LABEL, "--yes")
    journey.run("get", LABEL, code=3)
    assert f"{LABEL}@{journey.service}" not in journey.credentials()


def run(prefix, program, host_program):
    """Runs all steps in their order; returns how many passed and how many failed."""
    results = []
    journey = Journey(prefix, program, host_program)
    try:
        for function in steps:
            name = function.__name__.replace("_", " ")
            began = time.monotonic()
            try:
                function(journey)
                failure = None
            except Exception:  # The summary must be printed whatever a step raises.
                failure = traceback.format_exc()
            took = time.monotonic() - began
            print(f"{'FAILED' if failure else 'ok    '}  {name} ({took:.1f} s)", flush=True)
            if failure:
                print(failure, flush=True)
            results.append(failure is None)
    finally:
        journey.close()
    return results.count(True), results.count(False)
