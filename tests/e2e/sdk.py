#!/usr/bin/env python3
"""OpenRouter's official Python SDK, unmodified, against a running sandbox.

    pip install openrouter
    keywright sandbox --port 4000 &
    SERVER=http://127.0.0.1:4000 MANAGEMENT_KEY=sk-or-v1-... python3 tests/e2e/sdk.py

The SDK validates every answer, so a missing field or a wrong type fails here even where nothing
below looks at it. Both values can also be given as arguments. The last line is the tally.
"""

import base64
import hashlib
import os
import secrets
import sys
import traceback
import warnings
from datetime import datetime, timedelta, timezone

from openrouter import OpenRouter, errors
from openrouter.utils import BackoffStrategy, RetryConfig

SERVER = (sys.argv[1:] + [os.environ.get("SERVER", "")])[0].rstrip("/")
MANAGEMENT_KEY = (sys.argv[2:] + [os.environ.get("MANAGEMENT_KEY", "")])[0]
EXPIRY = datetime(2099, 12, 31, 23, 59, 59, tzinfo=timezone.utc)
WORKSPACE = "0df9e665-d932-5740-b2c7-b52af166bc11"
# A retry would hide a first answer that should not have been.
ONCE = RetryConfig("backoff", BackoffStrategy(1, 1, 1.0, 1), False)

# Nonsense is sent on purpose, and the SDK warns of it on the way out.
warnings.filterwarnings("ignore", message="Pydantic serializer warnings")

checks = []


def check(function):
    """Collects what is to be run, in order."""
    checks.append(function)
    return function


def sdk(key):
    return OpenRouter(
        api_key=key,
        server_url=f"{SERVER}/api/v1",
        http_referer="https://keywright.example",
        x_open_router_title="Keywright",
        x_open_router_categories="cli-agent",
        retry_config=ONCE,
        timeout_ms=10_000,
    )


def management():
    return sdk(MANAGEMENT_KEY).api_keys


def equal(got, expected):
    assert got == expected, f"{got!r} is not {expected!r}"


def raises(error, status, words, call):
    try:
        call()
    except error as caught:
        equal((caught.status_code, words in caught.message), (status, True))
    else:
        raise AssertionError(f"no {error.__name__}")


def pkce():
    verifier = secrets.token_urlsafe(32)
    digest = hashlib.sha256(verifier.encode()).digest()
    return verifier, base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def create(**terms):
    made = management().create(**{"name": "sdk", **terms})
    return made.key, made.data


@check
def a_code_is_made_with_a_key_and_exchanged_for_another():
    parent, _ = create()
    verifier, challenge = pkce()
    code = sdk(parent).o_auth.create_auth_code(
        callback_url="http://localhost:3000/callback",
        code_challenge=challenge,
        code_challenge_method="S256",
        key_label="from a code",
        limit=12.5,
        usage_limit_type="weekly",
        expires_at=EXPIRY,
        workspace_id=WORKSPACE,
    ).data
    assert code.id and isinstance(code.app_id, int)
    datetime.fromisoformat(code.created_at.replace("Z", "+00:00"))

    def exchange(**proof):
        return sdk(None).o_auth.exchange_auth_code_for_api_key(code=code.id, **proof)

    raises(errors.ForbiddenResponseError, 403, "Invalid code or code_verifier",
           lambda: exchange(code_verifier="wrong", code_challenge_method="S256"))
    raises(errors.BadRequestResponseError, 400, "Invalid code_challenge_method",
           lambda: exchange(code_verifier=verifier, code_challenge_method="plain"))
    bought = exchange(code_verifier=verifier, code_challenge_method="S256")
    assert bought.key.startswith("sk-or-v1-") and bought.user_id
    raises(errors.ForbiddenResponseError, 403, "Invalid code or code_verifier",
           lambda: exchange(code_verifier=verifier, code_challenge_method="S256"))

    me = sdk(bought.key).api_keys.get_current_key_metadata().data
    equal((me.limit, me.limit_remaining, me.limit_reset, me.expires_at, me.workspace_id),
          (12.5, 12.5, "weekly", EXPIRY, WORKSPACE))
    equal(me.label, f"{bought.key[:12]}...{bought.key[-4:]}")
    row = management().get(hash=hashlib.sha256(bought.key.encode()).hexdigest()).data
    equal((row.name, row.label, row.workspace_id), ("from a code", me.label, WORKSPACE))


@check
def a_plain_challenge_and_none_at_all_work_as_well():
    parent, _ = create()
    oauth = sdk(parent).o_auth
    callback = "https://example.com/callback"
    verifier, _ = pkce()
    code = oauth.create_auth_code(
        callback_url=callback, code_challenge=verifier, code_challenge_method="plain"
    ).data.id
    assert oauth.exchange_auth_code_for_api_key(
        code=code, code_verifier=verifier, code_challenge_method="plain"
    ).key
    code = oauth.create_auth_code(callback_url=callback, expires_at=None).data.id
    bought = oauth.exchange_auth_code_for_api_key(code=code, code_challenge_method=None)
    me = sdk(bought.key).api_keys.get_current_key_metadata().data
    equal((me.limit, me.limit_remaining, me.limit_reset, me.expires_at), (None,) * 4)


@check
def codes_are_refused_to_strangers_and_for_nonsense():
    parent, _ = create()
    https = "https://example.com/callback"
    raises(errors.UnauthorizedResponseError, 401, "",
           lambda: sdk("sk-or-v1-unknown").o_auth.create_auth_code(callback_url=https))
    for nonsense in (
        {"callback_url": "http://example.com/callback"},
        {"callback_url": https, "key_label": "x" * 101},
        {"callback_url": https, "limit": -1.0},
        {"callback_url": https, "usage_limit_type": "yearly"},
        {"callback_url": https, "workspace_id": "default"},
        {"callback_url": https, "code_challenge": "x", "code_challenge_method": "S512"},
        {"callback_url": https, "expires_at": EXPIRY.astimezone(timezone(timedelta(hours=2)))},
    ):
        raises(errors.BadRequestResponseError, 400, "",
               lambda: sdk(parent).o_auth.create_auth_code(**nonsense))


@check
def a_key_is_created_with_every_parameter():
    key, data = create(
        name="every parameter",
        creator_user_id="user_abc123",
        expires_at=EXPIRY,
        include_byok_in_limit=True,
        limit=50.0,
        limit_reset="monthly",
        workspace_id=WORKSPACE,
    )
    equal(
        (data.name, data.creator_user_id, data.expires_at, data.include_byok_in_limit, data.limit,
         data.limit_remaining, data.limit_reset, data.workspace_id, data.disabled, data.updated_at,
         data.usage, data.usage_daily, data.usage_weekly, data.usage_monthly),
        ("every parameter", "user_abc123", EXPIRY, True, 50, 50, "monthly", WORKSPACE, False, None,
         0, 0, 0, 0),
    )
    equal(data.hash, hashlib.sha256(key.encode()).hexdigest())
    equal(management().get(hash=data.hash).data.model_dump(), data.model_dump())
    me = sdk(key).api_keys.get_current_key_metadata().data
    equal((me.is_management_key, me.include_byok_in_limit, me.effective_budget.scope),
          (False, True, "key_limit"))
    equal((me.budgets, me.effective_budget.resets_at > datetime.now(timezone.utc)),
          ([me.effective_budget], True))


@check
def nulls_and_absent_parameters_make_an_unlimited_key():
    for terms in ({}, {"limit": None, "limit_reset": None, "expires_at": None,
                       "creator_user_id": None}):
        _, data = create(**terms)
        equal((data.limit, data.limit_remaining, data.limit_reset, data.expires_at), (None,) * 4)
    raises(errors.BadRequestResponseError, 400, "name", lambda: create(name=""))


@check
def an_update_changes_what_is_given_and_clears_what_is_null():
    key, data = create(limit=50.0, limit_reset="monthly")
    keys = management()
    changed = keys.update(
        hash=data.hash, name="renamed", disabled=True, include_byok_in_limit=True, limit=75.0,
        limit_reset="daily",
    ).data
    equal((changed.name, changed.disabled, changed.include_byok_in_limit, changed.limit,
           changed.limit_reset), ("renamed", True, True, 75, "daily"))
    assert changed.updated_at
    raises(errors.UnauthorizedResponseError, 401, "",
           lambda: sdk(key).api_keys.get_current_key_metadata())
    changed = keys.update(hash=data.hash, disabled=False).data
    equal((changed.name, changed.limit, changed.limit_reset), ("renamed", 75, "daily"))
    changed = keys.update(hash=data.hash, limit=None, limit_reset=None).data
    equal((changed.name, changed.limit, changed.limit_reset), ("renamed", None, None))
    sdk(key).api_keys.get_current_key_metadata()
    raises(errors.BadRequestResponseError, 400, "No update fields provided",
           lambda: keys.update(hash=data.hash))


@check
def a_deleted_key_is_dead_and_gone():
    key, data = create()
    keys = management()
    equal(keys.delete(hash=data.hash).DELETED, True)
    raises(errors.UnauthorizedResponseError, 401, "",
           lambda: sdk(key).api_keys.get_current_key_metadata())
    for call in (
        lambda: keys.get(hash=data.hash),
        lambda: keys.update(hash=data.hash, name="x"),
        lambda: keys.delete(hash=data.hash),
    ):
        raises(errors.NotFoundResponseError, 404, "", call)


@check
def the_list_is_paged_and_filtered():
    workspace = "11111111-2222-4333-8444-555555555555"
    keys = management()
    hashes = [create(name=f"row {n}", workspace_id=workspace)[1].hash for n in range(103)]
    expired = datetime(2020, 1, 1, tzinfo=timezone.utc)
    hashes.append(create(workspace_id=workspace, expires_at=expired)[1].hash)
    keys.update(hash=hashes[0], disabled=True)

    def listed(**query):
        return [row.hash for row in keys.list(workspace_id=workspace, **query).data]

    equal(listed(), hashes[1:101])
    equal(listed(offset=100), hashes[101:103])
    equal(listed(offset=0, include_disabled=True), hashes[:100])
    equal(listed(offset=100, include_disabled=True, include_expired=True), hashes[100:])
    equal(listed(offset=100, include_disabled=False, include_expired=False), hashes[101:103])
    assert not set(hashes) & {row.hash for row in keys.list().data}
    raises(errors.BadRequestResponseError, 400, "offset", lambda: keys.list(offset=-1))
    raises(errors.BadRequestResponseError, 400, "workspace_id", lambda: keys.list(workspace_id="x"))
    for hash in hashes:
        keys.delete(hash=hash)


@check
def the_management_key_knows_what_it_is():
    me = management().get_current_key_metadata().data
    equal((me.is_management_key, me.limit, me.budgets, me.effective_budget), (True, None, [], None))


@check
def keys_are_managed_by_the_management_key_alone():
    key, data = create()
    calls = (
        lambda keys: keys.list(),
        lambda keys: keys.create(name="x"),
        lambda keys: keys.get(hash=data.hash),
        lambda keys: keys.update(hash=data.hash, name="x"),
        lambda keys: keys.delete(hash=data.hash),
    )
    for call in calls:
        raises(errors.OpenRouterError, 403, "", lambda: call(sdk(key).api_keys))
        raises(errors.OpenRouterError, 401, "", lambda: call(sdk("sk-or-v1-unknown").api_keys))


def main():
    if not SERVER or not MANAGEMENT_KEY:
        sys.exit("SERVER and MANAGEMENT_KEY are needed, as environment or as arguments")
    failed = 0
    for function in checks:
        try:
            function()
            print(f"ok      {function.__name__}")
        except Exception:  # The tally must come out whatever the SDK throws.
            failed += 1
            print(f"FAILED  {function.__name__}\n{traceback.format_exc()}")
    print(f"{len(checks) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
