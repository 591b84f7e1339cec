#!/usr/bin/env python3
"""Runs what was built for Windows under Wine: the tests, and steps against the sandbox.

    python3 tests/wine/run.py PROGRAM HOST_PROGRAM [TEST_PROGRAM...]

PROGRAM is `keywright.exe`, HOST_PROGRAM is Keywright for this machine, which serves the sandbox.
`.ci/platforms/wine` builds all of them. The last line is the summary.
"""

import os
import re
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import steps  # noqa: E402
from prefix import ROOT, Prefix  # noqa: E402

# Programs that are not run, each with the reason. Those that test a Unix are empty on Windows.
NOT_RUN = {
    "advice": "reads the sources and needs sh; it runs on this machine",
    "architecture": "reads the sources; it runs on this machine",
}
# Tests that need more than Wine 8 has, each with the reason.
LEFT_OUT = {
    **dict.fromkeys((
        "screens::help_lists_the_active_key_bindings",
        "screens::key_actions::details_show_usage_history_and_forecast",
        "screens::key_actions::details_show_whether_a_replaced_key_is_used",
        "screens::key_table::details_show_the_commands_that_read_the_key",
        "screens::key_table::details_show_the_usage",
        "screens::key_table::every_state_at_160_by_50",
        "screens::key_table::keys_at_160_by_50_have_their_details_beside_them",
        "screens::new_key::differences_to_the_granted_policy_are_shown",
        "screens::new_key::new_key_is_masked_and_shows_its_store",
    ), "the snapshot has or counts a line with secret-tool or ctrl-z, which are not on Windows"),
    "keywright::api::openrouter::certificates::tests::each_fault_of_a_certificate_file_is_named":
        "the system verifies certificates on Windows, without SSL_CERT_DIR",
    "cli_account::leak::panic_lists_the_files_that_contain_the_leaked_key":
        "expects files of a home directory of a Unix",
    "doctor::plaintext_keys::a_missing_search_directory_fails_with_its_path": "expects words of a Unix",
    "doctor::plaintext_keys::plaintext_keys_are_reported_with_their_owner_and_only_masked":
        "expects files of a home directory of a Unix, such as ~/.zshrc",
    "cli::new::new_and_import_end_with_the_next_command": "needs sh",
    "callback::limits::burst_of_connections_does_not_displace_a_request":
        "100 connections to one port take Wine longer than the 100 ms after which one is replaced",
    "faults::connection_settings::every_kind_of_socks_proxy_is_used_and_resolves_the_name":
        "sets all_proxy, which is ALL_PROXY on Windows",
    "faults::connection_settings::a_connect_proxy_is_used_and_no_proxy_is_obeyed":
        "sets https_proxy and HTTPS_PROXY, which are one variable on Windows",
    "faults::connection_settings::the_variable_of_unusable_certificates_is_named_by_the_error_and_by_doctor":
        "the system verifies certificates on Windows, without SSL_CERT_FILE",
    "faults::each_exchange_fault_has_its_own_message_and_a_limited_number_of_sent_codes":
        "trusts a certificate of its own with SSL_CERT_FILE",
}


# ERROR_INTERNAL_ERROR: Wine sometimes fails to start a process on a busy machine.
WINE_ERROR = "code: 1359"


def name_of(program):
    return re.sub(r"-[0-9a-f]{16}\.exe$", "", os.path.basename(program))


def run_tests(prefix, program):
    """Runs the tests of one program; returns how many passed, failed and were left out."""
    name = name_of(program)
    skipped = [test for test in LEFT_OUT if test.partition("::")[0] == name]
    arguments = [word for test in skipped for word in ("--skip", test.partition("::")[2])]
    began = time.monotonic()
    # There is no console: with this variable crossterm writes sequences, as it does in one.
    code, out, err = prefix.run(program, "--exact", *arguments, within=900, cwd=ROOT, TERM="xterm")
    if code != 0 and WINE_ERROR in out:
        print(f"again   {name}: a call of Wine failed with {WINE_ERROR}", flush=True)
        code, out, err = prefix.run(program, "--exact", *arguments, within=900, cwd=ROOT, TERM="xterm")
    took = time.monotonic() - began
    summary = re.search(r"^test result: \S+ (\d+) passed; (\d+) failed; (\d+) ignored", out, re.M)
    passed, failed = (int(summary[1]), int(summary[2])) if summary else (0, 1)
    failed = max(failed, code != 0)
    print(f"{'FAILED' if failed else 'ok    '}  {name}: {passed} tests ({took:.1f} s)", flush=True)
    if failed:
        print(out[out.find("\nfailures:"):], err, sep="\n", flush=True)
    return passed, failed, len(skipped)


def main():
    program, host_program, *test_programs = map(os.path.abspath, sys.argv[1:])
    prefix = Prefix()
    try:
        totals = [run_tests(prefix, test) for test in test_programs if name_of(test) not in NOT_RUN]
        passed, failed, left_out = map(sum, zip((0, 0, 0), *totals))
        for test, reason in (NOT_RUN | LEFT_OUT).items():
            print(f"left out  {test}: {reason}", flush=True)
        print(f"{passed} tests passed, {failed} failed, {left_out} left out", flush=True)
        step_count, broken = steps.run(prefix, program, host_program)
    finally:
        prefix.close()
    print(f"under Wine: {passed} tests and {step_count} steps passed, {failed + broken} failed")
    sys.exit(1 if failed or broken or not passed + step_count else 0)


if __name__ == "__main__":
    main()
