# What .ci/run runs. The end-to-end tests need the packages that .ci/run installs.

target := env("CARGO_TARGET_DIR", "target")

# The checks that need no installed packages.
default: lint test

# Formatting, clippy with warnings denied, documentation without warnings.
lint:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --locked

# The README's command.
test:
    cargo test

# Spelling of code and documents.
spelling:
    typos

# Licences, sources, duplicates and known vulnerabilities of the dependencies.
dependencies:
    cargo deny --locked check bans licenses sources
    if cargo deny --locked fetch db; then cargo deny --locked check advisories; else echo "the advisory database could not be reached: advisories were not checked"; fi

# The crate as it would be published.
package:
    cargo publish --dry-run --locked

# The workflows, the installer, the release script and the package files.
packaging:
    zizmor --quiet --offline --no-progress .github
    if command -v actionlint; then actionlint; else echo "actionlint is not installed: the syntax of the workflows was not checked"; fi
    shellcheck packaging/install.sh packaging/release .ci/run .ci/fuzz .ci/platforms/check .ci/platforms/wine assets/credential-helpers/*
    python3 tests/packaging/run.py

# The manual page and what else the packages need, made by the release binary.
stage:
    cargo build --release --locked
    python3 packaging/release.py stage {{target}}/release/keywright

# target/debian/*.deb (needs cargo-deb).
deb: stage
    cargo deb --no-build --no-strip

# target/generate-rpm/*.rpm (needs cargo-generate-rpm).
rpm: stage
    cargo generate-rpm

# Checks, tags and pushes the version of Cargo.toml; the workflow `release` builds and publishes it.
# With --dry-run: everything for this machine in target/dist, signed with a throwaway key, without tag and upload.
release *options:
    packaging/release {{options}}

# Clippy for macOS and Windows, warnings denied.
platforms:
    .ci/platforms/check

# The Windows build, warnings denied: its tests and steps against the sandbox, under Wine.
windows:
    cargo build --locked
    .ci/platforms/wine {{target}}/debug/keywright

# The end-to-end tests against the release binary and real components.
e2e:
    cargo build --release --locked
    python3 tests/packaging/key_life.py {{target}}/release/keywright
    KEYWRIGHT={{target}}/release/keywright SDK_PYTHON={{target}}/sdk/bin/python python3 tests/e2e/run.py
