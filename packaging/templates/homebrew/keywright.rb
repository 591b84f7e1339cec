class Keywright < Formula
  desc "Creates, stores and monitors OpenRouter API keys in the keychain"
  homepage "https://github.com/keywright/keywright"
  version "@VERSION@"
  license any_of: ["MIT", "Apache-2.0"]

  on_macos do
    on_arm do
      url "https://github.com/keywright/keywright/releases/download/v@VERSION@/keywright-@VERSION@-aarch64-apple-darwin.tar.gz"
      sha256 "@SHA256:aarch64-apple-darwin.tar.gz@"
    end
    on_intel do
      url "https://github.com/keywright/keywright/releases/download/v@VERSION@/keywright-@VERSION@-x86_64-apple-darwin.tar.gz"
      sha256 "@SHA256:x86_64-apple-darwin.tar.gz@"
    end
  end

  on_linux do
    on_arm do
      url "https://github.com/keywright/keywright/releases/download/v@VERSION@/keywright-@VERSION@-aarch64-unknown-linux-musl.tar.gz"
      sha256 "@SHA256:aarch64-unknown-linux-musl.tar.gz@"
    end
    on_intel do
      url "https://github.com/keywright/keywright/releases/download/v@VERSION@/keywright-@VERSION@-x86_64-unknown-linux-musl.tar.gz"
      sha256 "@SHA256:x86_64-unknown-linux-musl.tar.gz@"
    end
  end

  def install
    bin.install "keywright"
    man1.install "keywright.1"
    pkgshare.install "credential-helpers"
    bash_completion.install "completions/keywright.bash" => "keywright"
    zsh_completion.install "completions/keywright.zsh" => "_keywright"
    fish_completion.install "completions/keywright.fish"
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/keywright --version")
  end
end
