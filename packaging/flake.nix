# nix run 'github:keywright/keywright?dir=packaging'
{
  description = "Creates, stores and monitors OpenRouter API keys";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs = { nixpkgs, ... }:
    let
      systems = [ "x86_64-linux" "aarch64-linux" "x86_64-darwin" "aarch64-darwin" ];
      manifest = (builtins.fromTOML (builtins.readFile ../Cargo.toml)).package;
    in
    {
      packages = nixpkgs.lib.genAttrs systems (system:
        let pkgs = nixpkgs.legacyPackages.${system};
        in {
          default = pkgs.rustPlatform.buildRustPackage {
            pname = manifest.name;
            version = manifest.version;
            src = ../.;
            cargoLock.lockFile = ../Cargo.lock;
            nativeBuildInputs = [ pkgs.installShellFiles ];
            # The tests write to a home directory and open sockets.
            doCheck = false;
            postInstall = ''
              $out/bin/keywright man >keywright.1
              installManPage keywright.1
              install -Dm755 -t $out/share/keywright/credential-helpers assets/credential-helpers/*
              installShellCompletion assets/completions/keywright.{bash,fish}
              installShellCompletion --zsh --name _keywright assets/completions/keywright.zsh
            '';
            meta = {
              inherit (manifest) description;
              homepage = manifest.repository;
              license = [ pkgs.lib.licenses.mit pkgs.lib.licenses.asl20 ];
              mainProgram = "keywright";
            };
          };
        });
    };
}
