#!/usr/bin/env python3
"""OpenRouter's official Python SDK, unmodified, against a running sandbox.

    pip install openrouter
    keywright sandbox --port 4000 &
    SERVER=http://127.0.0.1:4000 MANAGEMENT_KEY=sk-or-v1-... python3 tests/e2e/sdk.py

The SDK validates every response, so a missing field or a wrong type fails here even if no check
reads it. Both values can also be passed as arguments. The last line is the summary.
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
# Without retries, so that they cannot hide a wrong first response.
NO_RETRIES = RetryConfig("backoff", BackoffStrategy(1, 1, 1.0, 1), False)

# The SDK warns about the invalid values that are sent on purpose.
warnings.filterwarnings("ignore", message="Pydantic serializer warnings")

checks = []


def check(function):
    """Registers a check; they run in order."""
    checks.append(function)
    return function


def sdk(key):
    return OpenRouter(
        api_key=key,
        server_url=f"{SERVER}/api/v1",
        http_referer="https://keywright.example",
        x_open_router_title="Keywright",
        x_open_router_categories="cli-agent",
        retry_config=NO_RETRIES,
        timeout_ms=10_000,
    )


def management():
    return sdk(MANAGEMENT_KEY).api_keys


def equal(got, expected):
    assert got == expected, f"{got!r} is not {expected!r}"


def raises(error, status, message, call):
    try:
        call()
    except error as caught:
        equal((caught.status_code, message in caught.message), (status, True))
    else:
        raise AssertionError(f"no {error.__name__}")


def pkce():
    verifier = secrets.token_urlsafe(32)
    digest = hashlib.sha256(verifier.encode()).digest()
    return verifier, base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def create(**options):
    created = management().create(**{"name": "sdk", **options})
    return created.key, created.data


@check
def existing_key_creates_a_code_that_is_exchanged_for_a_key():
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

    def exchange(**pkce_fields):
        return sdk(None).o_auth.exchange_auth_code_for_api_key(code=code.id, **pkce_fields)

    raises(errors.ForbiddenResponseError, 403, "Invalid code or code_verifier",
           lambda: exchange(code_verifier="wrong", code_challenge_method="S256"))
    raises(errors.BadRequestResponseError, 400, "Invalid code_challenge_method",
           lambda: exchange(code_verifier=verifier, code_challenge_method="plain"))
    exchanged = exchange(code_verifier=verifier, code_challenge_method="S256")
    assert exchanged.key.startswith("sk-or-v1-") and exchanged.user_id
    raises(errors.ForbiddenResponseError, 403, "Invalid code or code_verifier",
           lambda: exchange(code_verifier=verifier, code_challenge_method="S256"))

    me = sdk(exchanged.key).api_keys.get_current_key_metadata().data
    equal((me.limit, me.limit_remaining, me.limit_reset, me.expires_at, me.workspace_id),
          (12.5, 12.5, "weekly", EXPIRY, WORKSPACE))
    equal(me.label, f"{exchanged.key[:12]}...{exchanged.key[-4:]}")
    row = management().get(hash=hashlib.sha256(exchanged.key.encode()).hexdigest()).data
    equal((row.name, row.label, row.workspace_id), ("from a code", me.label, WORKSPACE))


@check
def plain_challenge_and_no_challenge_are_accepted():
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
    exchanged = oauth.exchange_auth_code_for_api_key(code=code, code_challenge_method=None)
    me = sdk(exchanged.key).api_keys.get_current_key_metadata().data
    equal((me.limit, me.limit_remaining, me.limit_reset, me.expires_at), (None,) * 4)


@check
def codes_are_not_created_without_a_valid_key_or_with_invalid_values():
    parent, _ = create()
    https = "https://example.com/callback"
    raises(errors.UnauthorizedResponseError, 401, "",
           lambda: sdk("sk-or-v1-unknown").o_auth.create_auth_code(callback_url=https))
    for invalid in (
        {"callback_url": "http://example.com/callback"},
        {"callback_url": https, "key_label": "x" * 101},
        {"callback_url": https, "limit": -1.0},
        {"callback_url": https, "usage_limit_type": "yearly"},
        {"callback_url": https, "workspace_id": "default"},
        {"callback_url": https, "code_challenge": "x", "code_challenge_method": "S512"},
        {"callback_url": https, "expires_at": EXPIRY.astimezone(timezone(timedelta(hours=2)))},
    ):
        raises(errors.BadRequestResponseError, 400, "",
               lambda: sdk(parent).o_auth.create_auth_code(**invalid))


@check
def key_is_created_with_every_parameter():
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
def null_and_absent_parameters_create_an_unlimited_key():
    for options in ({}, {"limit": None, "limit_reset": None, "expires_at": None,
                       "creator_user_id": None}):
        _, data = create(**options)
        equal((data.limit, data.limit_remaining, data.limit_reset, data.expires_at), (None,) * 4)
    raises(errors.BadRequestResponseError, 400, "name", lambda: create(name=""))


@check
def update_sets_given_fields_and_clears_null_fields():
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
def deleted_key_is_rejected_and_not_found():
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
def list_is_paged_and_filtered():
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
def management_key_is_reported_as_one():
    me = management().get_current_key_metadata().data
    equal((me.is_management_key, me.limit, me.budgets, me.effective_budget), (True, None, [], None))


@check
def only_the_management_key_manages_keys():
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


@check
def guardrails_are_created_assigned_and_enforced_as_budgets():
    rails = sdk(MANAGEMENT_KEY).guardrails
    rail = rails.create(
        name="strict", limit_usd=1.5, reset_interval="weekly", allowed_models=["openai/gpt-4.1"]
    ).data
    key, data = create()
    equal(rails.bulk_assign_keys(id=rail.id, key_hashes=[data.hash]).assigned_count, 1)
    rows = rails.list_guardrail_key_assignments(id=rail.id).result.data
    equal([(row.guardrail_id, row.key_hash) for row in rows], [(rail.id, data.hash)])
    assert data.hash in {row.key_hash for row in rails.list_key_assignments().result.data}
    layer = sdk(key).api_keys.get_current_key_metadata().data.effective_budget
    equal((layer.scope, layer.guardrail_id, layer.limit_usd), ("api_key", rail.id, 1.5))
    equal(layer.reset_interval, "weekly")
    assert layer.resets_at > datetime.now(timezone.utc)
    equal(rails.update(id=rail.id, name="stricter", limit_usd=None).data.limit_usd, None)
    equal(sdk(key).api_keys.get_current_key_metadata().data.budgets, [])
    equal(rails.get(id=rail.id).data.name, "stricter")
    assert rail.id in {row.id for row in rails.list().result.data}
    equal(rails.bulk_unassign_keys(id=rail.id, key_hashes=[data.hash]).unassigned_count, 1)
    rails.delete(id=rail.id)
    raises(errors.NotFoundResponseError, 404, "", lambda: rails.get(id=rail.id))


@check
def workspaces_have_budgets():
    workspaces = sdk(MANAGEMENT_KEY).workspaces
    rows = workspaces.list().result.data
    default = next(row for row in rows if row.slug == "default")
    equal(workspaces.get(id="default").data.id, default.id)
    lifetime = {"workspace_ref": "default", "interval": "lifetime"}
    budget = workspaces.set_budget(**lifetime, limit_usd=9000).data
    equal((budget.limit_usd, budget.reset_interval), (9000, None))
    equal([row.id for row in workspaces.list_budgets(workspace_ref="default").data], [budget.id])
    # A narrower window has a lower limit.
    raises(
        errors.BadRequestResponseError,
        400,
        "",
        lambda: workspaces.set_budget(workspace_ref="default", interval="daily", limit_usd=9000),
    )
    workspaces.delete_budget(**lifetime)
    equal(workspaces.list_budgets(workspace_ref=default.id).data, [])


@check
def provider_keys_can_be_restricted_to_keys():
    byok = sdk(MANAGEMENT_KEY).byok
    row = byok.list().result.data[0]
    _, data = create()
    restricted = byok.update(id=row.id, allowed_api_key_hashes=[data.hash]).data
    equal(restricted.allowed_api_key_hashes, [data.hash])
    equal(byok.get(id=row.id).data.allowed_api_key_hashes, [data.hash])
    equal(byok.update(id=row.id, allowed_api_key_hashes=None).data.allowed_api_key_hashes, None)


@check
def credits_and_activity_need_the_management_key():
    credits = sdk(MANAGEMENT_KEY).credits.get_credits().data
    assert credits.total_credits > credits.total_usage >= 0
    rows = sdk(MANAGEMENT_KEY).analytics.get_user_activity().data
    assert rows and all(row.requests > 0 and row.usage > 0 for row in rows)
    day = rows[0].date_
    filtered = sdk(MANAGEMENT_KEY).analytics.get_user_activity(request={"date_": day}).data
    assert filtered and all(row.date_ == day for row in filtered)
    key, _ = create()
    raises(errors.ForbiddenResponseError, 403, "", lambda: sdk(key).credits.get_credits())
    raises(errors.ForbiddenResponseError, 403, "", lambda: sdk(key).analytics.get_user_activity())


def main():
    if not SERVER or not MANAGEMENT_KEY:
        sys.exit("SERVER and MANAGEMENT_KEY are required, as environment variables or arguments")
    failed = 0
    for function in checks:
        try:
            function()
            print(f"ok      {function.__name__}")
        except Exception:  # The summary is printed whatever the SDK raises.
            failed += 1
            print(f"FAILED  {function.__name__}\n{traceback.format_exc()}")
    print(f"{len(checks) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
