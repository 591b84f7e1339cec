//! A home directory with a key in each place where the documentation of shells, agents, editors and
//! other tools says that settings, histories or credentials are.

use super::*;

/// Places of text files, relative to the home directory.
const TEXT_FILES: &[&str] = &[
    // shells and session environment
    ".bashrc",
    ".bash_profile",
    ".bash_history",
    ".bash_login",
    ".bash_sessions/1.history",
    ".cshrc",
    ".kshrc",
    ".mkshrc",
    ".netrc",
    ".pam_environment",
    ".profile",
    ".xonshrc",
    ".zprofile",
    ".zsh_history",
    ".zsh_sessions/1.history",
    ".zshenv",
    ".zshrc",
    ".config/elvish/rc.elv",
    ".config/environment.d/50-keys.conf",
    ".config/fish/config.fish",
    ".config/fish/conf.d/keys.fish",
    ".config/nushell/env.nu",
    ".config/nushell/history.txt",
    ".config/powershell/Microsoft.PowerShell_profile.ps1",
    ".config/systemd/user/agent.service",
    ".config/direnv/direnvrc",
    ".config/mise/config.toml",
    ".local/share/fish/fish_history",
    ".local/share/powershell/PSReadLine/ConsoleHost_history.txt",
    ".local/share/Trash/files/.env",
    ".local/state/bash/history",
    ".local/state/mise/state.toml",
    ".python_history",
    ".node_repl_history",
    ".sqlite_history",
    ".psql_history",
    ".lesshst",
    ".wget-hsts",
    ".ssh/environment",
    ".ssh/config",
    "AppData/Roaming/Microsoft/Windows/PowerShell/PSReadLine/ConsoleHost_history.txt",
    "Documents/PowerShell/Microsoft.PowerShell_profile.ps1",
    "Documents/WindowsPowerShell/profile.ps1",
    "Library/LaunchAgents/environment.plist",
    "Library/Preferences/tool.plist",
    // agents and assistants
    ".aider.conf.yml",
    ".aider/oauth-keys.env",
    ".claude.json",
    ".claude/settings.json",
    ".cline/data/secrets.json",
    ".codex/auth.json",
    ".codex/config.toml",
    ".continue/config.yaml",
    ".crush.json",
    ".cursor/mcp.json",
    ".gemini/.env",
    ".gemini/settings.json",
    ".goosehints",
    ".kilocode/cli/config.json",
    ".llm/keys.json",
    ".openclaw/openclaw.json",
    ".pi/agent/auth.json",
    ".pi/agent/models.json",
    ".qwen/settings.json",
    ".roo/mcp.json",
    ".tool-of-next-year/settings.json",
    ".config/aichat/config.yaml",
    ".config/amp/settings.json",
    ".config/crush/crush.json",
    ".config/fabric/.env",
    ".config/goose/config.yaml",
    ".config/io.datasette.llm/keys.json",
    ".config/litellm/config.yaml",
    ".config/mods/mods.yml",
    ".config/opencode/opencode.json",
    ".config/shell_gpt/.sgptrc",
    ".config/gptcommit/config.toml",
    ".config/tool-of-next-year/config.toml",
    ".local/share/crush/crush.json",
    ".local/share/opencode/auth.json",
    ".local/share/tool-of-next-year/auth.json",
    "AppData/Roaming/Claude/claude_desktop_config.json",
    "Library/Application Support/Claude/claude_desktop_config.json",
    "Library/Application Support/io.datasette.llm/keys.json",
    // editors
    ".config/Code/User/settings.json",
    ".config/Code/User/globalStorage/saoudrizwan.claude-dev/settings.json",
    ".config/Code/User/History/1a2b/entries.json",
    ".config/Cursor/User/settings.json",
    ".config/VSCodium/User/settings.json",
    ".config/Windsurf/User/settings.json",
    ".config/emacs/init.el",
    ".config/helix/config.toml",
    ".config/nvim/init.lua",
    ".config/zed/settings.json",
    ".config/JetBrains/IdeaIC2026.2/options/other.xml",
    ".config/sublime-text/Packages/User/LLM.sublime-settings",
    ".emacs.d/init.el",
    ".local/state/nvim/swap/env.swp",
    ".vim/vimrc",
    ".viminfo",
    ".vscode-server/data/Machine/settings.json",
    ".vscode-server/data/User/History/1/a.env",
    ".vscode/argv.json",
    "AppData/Roaming/Code/User/settings.json",
    "Library/Application Support/Code/User/settings.json",
    // version control, containers, clouds, notebooks, packaged programs
    ".config/git/config",
    ".config/git/credentials",
    ".config/containers/auth.json",
    ".config/gcloud/properties",
    ".config/gh/hosts.yml",
    ".git-credentials",
    ".gitconfig",
    ".aws/credentials",
    ".azure/config",
    ".docker/config.json",
    ".kube/config",
    ".terraformrc",
    ".npmrc",
    ".pypirc",
    ".cargo/config.toml",
    ".jupyter/jupyter_notebook_config.py",
    ".local/share/jupyter/runtime/kernel.json",
    ".ipython/profile_default/startup/keys.py",
    "analysis.ipynb",
    "notes.txt",
    ".var/app/com.visualstudio.code/config/Code/User/settings.json",
    "snap/code/current/.config/Code/User/settings.json",
];

#[test]
fn every_place_of_a_planted_home_is_found_and_nothing_else() {
    let (_dir, home) = create_dir();
    let mut all = Vec::new();
    for (number, name) in TEXT_FILES.iter().enumerate() {
        write(&home, name, format!("# settings\nOPENROUTER_API_KEY=\"{}\"\n", key(number)));
        all.push((*name, 2, number));
    }
    let from = TEXT_FILES.len();
    let database = |number| format!("SQLite format 3\0\0\x10{}\0", key(number)).into_bytes();
    let utf16 = |text: String, to_bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    };
    let escaped = |text: String| text.replace('-', r"\x2d").into_bytes();
    let base64 = |text: String| {
        use base64::Engine;
        base64::engine::general_purpose::STANDARD.encode(text).into_bytes()
    };
    let encoded = [
        (".local/share/atuin/history.db", 0, database(from)),
        (".config/Code/User/globalStorage/state.vscdb", 0, database(from + 1)),
        (".config/Cursor/User/globalStorage/state.vscdb.backup", 0, database(from + 2)),
        (".local/share/opencode/log/archive.log.gz", 0, gzip(&key(from + 3))),
        (".bash_history.1.gz", 0, gzip(&format!("ls\n{}\n", key(from + 4)))),
        (".config/fish/fish_variables", 1, escaped(key(from + 5))),
        (".config/powershell/profile.ps1", 1, utf16(key(from + 6), u16::to_le_bytes)),
        (".config/tool/registry.reg", 1, utf16(key(from + 7), u16::to_be_bytes)),
        (".config/k9s/secret.yaml", 1, base64(key(from + 8))),
        (".config/mcp/basic-auth", 1, base64(format!("user:{}", key(from + 9)))),
    ];
    for (index, (name, line, content)) in encoded.into_iter().enumerate() {
        write(&home, name, content);
        all.push((name, line, from + index));
    }
    // Copies of what is elsewhere, installed programs, and what only looks like a key.
    write(&home, ".cache/tool/log", key(900));
    write(&home, ".config/Code/Cache/entry", key(901));
    write(&home, ".vscode/extensions/a/test.js", key(902));
    write(&home, "project/.env", key(903));
    write(&home, ".config/tool/example.env", "OPENROUTER_API_KEY=sk-or-v1-your-key-here\n");
    write(&home, ".config/tool/masked.log", "sk-or-v1-ab1...ab12 sk-or-v1-**** sk-or-v1-\n");
    write(&home, ".config/tool/other.env", "KEY=sk-ant-api03-0123456789abcdef0123456789abcdef\n");
    let report = secret_scan::scan_files(&ScanRoots::in_home(&home), &ScanLimits::default());
    let (found, all) = (summarize(&home, &report), expected(all));
    let missing: Vec<_> = all.iter().filter(|place| !found.contains(place)).collect();
    let unexpected: Vec<_> = found.iter().filter(|place| !all.contains(place)).collect();
    assert!(missing.is_empty() && unexpected.is_empty(), "{missing:?} {unexpected:?}");
    assert_eq!((report.unreadable, report.dirs_excluded), (0, 3));
}
