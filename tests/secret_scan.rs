//! Scans directory trees with known keys in plaintext.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

#[path = "secret_scan/planted_home.rs"]
mod planted_home;

use std::fs;
use std::path::{Path, PathBuf};

use keywright::services::secret_scan::{self, Encoding, ScanLimits, ScanReport, ScanRoots};
use tempfile::TempDir;

/// Returns the key with this number.
fn key(number: usize) -> String {
    format!("sk-or-v1-{number:064x}")
}

/// Writes a file and creates the directories above it.
fn write(root: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn create_dir() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().canonicalize().unwrap();
    (dir, root)
}

fn named(paths: &[&Path]) -> ScanRoots {
    let paths: Vec<_> = paths.iter().map(|path| path.to_path_buf()).collect();
    ScanRoots::named(&paths).unwrap()
}

fn scan(root: &Path) -> ScanReport {
    secret_scan::scan_files(&named(&[root]), &ScanLimits::default())
}

/// Returns file, line (0 in binary files) and hash of each finding.
fn summarize(root: &Path, report: &ScanReport) -> Vec<(String, u64, String)> {
    let name = |path: &Path| path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
    report
        .findings
        .iter()
        .map(|finding| (name(&finding.path), finding.line.unwrap_or(0), finding.hash.clone()))
        .collect()
}

fn expected(mut all: Vec<(&str, u64, usize)>) -> Vec<(String, u64, String)> {
    all.sort_unstable();
    let hash = |number| keywright::domain::ApiKey::from(key(number)).hash();
    all.into_iter().map(|(name, line, number)| (name.to_owned(), line, hash(number))).collect()
}

#[test]
fn every_key_in_a_tree_is_found_on_its_line() {
    let (_dir, root) = create_dir();
    write(&root, ".gitignore", ".env\n");
    write(&root, ".env", format!("A=1\nOPENROUTER_API_KEY=\"{}\"\n", key(1)));
    write(&root, "no newline", key(2));
    write(&root, "crlf.ini", format!("[a]\r\n\r\nkey={}\r\n", key(3)));
    write(
        &root,
        ".hidden/.deeper/two.json",
        format!("{{\"a\":\"{}\",\n\"b\":\"{}\"}}", key(4), key(5)),
    );
    write(&root, "twice on a line", format!("{0} {0}\n{0}", key(6)));
    write(&root, ".git/config", format!("url = https://x:{}@example.com", key(7)));
    write(&root, ".git/objects/aa/bb", key(8));
    write(&root, "program", format!("\x7fELF\0{}", key(9)));
    write(&root, "example.md", "export OPENROUTER_API_KEY=sk-or-v1-...\nsk-or-v1-your-key\n");
    // The end of the first block falls on each byte of the key and around it.
    for shift in 0..100 {
        let filler = "x\n".repeat((128 * 1024 - 80) / 2 + shift / 2) + &"y".repeat(shift % 2);
        write(&root, &format!("border/{shift:03}"), format!("{filler}{}\n", key(100 + shift)));
    }
    let line = "z".repeat(3 << 20);
    write(&root, "long line", format!("{line}{}{line}\n{}\n", key(10), key(11)));

    let names: Vec<_> = (0..100).map(|shift| format!("border/{shift:03}")).collect();
    let mut all = vec![
        (".env", 2, 1),
        ("no newline", 1, 2),
        ("crlf.ini", 3, 3),
        (".hidden/.deeper/two.json", 1, 4),
        (".hidden/.deeper/two.json", 2, 5),
        ("twice on a line", 1, 6),
        ("twice on a line", 2, 6),
        (".git/config", 1, 7),
        ("program", 1, 9),
        ("long line", 1, 10),
        ("long line", 2, 11),
    ];
    for (shift, name) in names.iter().enumerate() {
        let line = (128 * 1024 - 80) / 2 + shift / 2 + 1;
        all.push((name, line as u64, 100 + shift));
    }
    let report = scan(&root);
    assert_eq!(summarize(&root, &report), expected(all));
    assert_eq!(
        (
            report.files_scanned,
            report.unreadable,
            report.files_too_large,
            report.dirs_too_deep,
            report.findings_omitted
        ),
        (110, 0, 0, 0, 0)
    );
}

#[test]
fn thousands_of_files_are_all_scanned() {
    let (_dir, root) = create_dir();
    let names: Vec<_> =
        (0..3_000).map(|n| format!("{}/{n:05}", ["flat", "flat/a/b", "c"][n % 3])).collect();
    let mut all = Vec::new();
    for (n, name) in names.iter().enumerate() {
        let text = if n % 7 == 0 { key(n) } else { "nothing".into() };
        write(&root, name, text);
        if n % 7 == 0 {
            all.push((name.as_str(), 1, n));
        }
    }
    let report = scan(&root);
    assert_eq!(summarize(&root, &report), expected(all));
    assert_eq!(report.files_scanned, 3_000);
}

#[test]
fn files_beyond_the_limits_are_counted_and_not_read() {
    let (_dir, root) = create_dir();
    write(&root, "a/b/c/d", key(1));
    write(&root, "a/b/d", key(2));
    write(&root, "long", format!("{}{}", key(3), " ".repeat(1_000)));
    for n in 0..10 {
        write(&root, &format!("many/{n}"), key(10 + n));
    }
    let limits = ScanLimits {
        max_file_bytes: 1_000,
        max_depth: 2,
        max_findings: 11,
        ..ScanLimits::default()
    };
    let report = secret_scan::scan_files(&named(&[&root]), &limits);
    assert_eq!(
        (
            report.findings.len(),
            report.findings_omitted,
            report.files_too_large,
            report.dirs_too_deep
        ),
        (11, 0, 1, 1)
    );
    let report =
        secret_scan::scan_files(&named(&[&root]), &ScanLimits { max_findings: 4, ..limits });
    assert_eq!((report.findings.len(), report.findings_omitted), (4, 7));
}

#[test]
fn a_root_inside_another_is_scanned_once() {
    let (_dir, root) = create_dir();
    write(&root, "a/b", key(1));
    write(&root, "a-b", key(2));
    let paths = [root.join("a"), root.clone(), root.join("a/b"), root.join("a-b")];
    let roots = ScanRoots::named(&paths).unwrap();
    let report = secret_scan::scan_files(&roots, &ScanLimits::default());
    assert_eq!((report.findings.len(), report.files_scanned), (2, 2));
    assert_eq!(ScanRoots::named(&[root.join("none")]).unwrap_err().0, root.join("none"));
}

#[test]
fn keys_in_binary_files_and_other_encodings_are_found() {
    use base64::Engine;
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let utf16 = |text: &str, to_bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        text.encode_utf16().flat_map(to_bytes).collect()
    };
    let (_dir, root) = create_dir();
    write(&root, "state.vscdb", format!("SQLite format 3\0\0\x10\0{}\0", key(1)));
    write(&root, "fish_variables", format!("# x\nSETUVAR K:{}\n", key(2).replace('-', r"\x2d")));
    write(
        &root,
        "profile.ps1",
        utf16(&format!("\u{feff}# x\r\n$k='{}'\r\n", key(3)), u16::to_le_bytes),
    );
    write(&root, "big-endian", utf16(&format!("# x\n{}\n", key(4)), u16::to_be_bytes));
    write(&root, "kube.yaml", format!("data:\n  key: {}\n", base64(&key(5))));
    write(
        &root,
        "basic",
        format!("Authorization: Basic {}\n", base64(&format!("user:{}", key(6)))),
    );
    write(&root, "url", format!("https://x/?key={}\n", key(7).replace('-', "%2D")));
    write(&root, "history.1.gz", gzip(&format!("ls\nexport K={}\n", key(8))));
    write(&root, "archive.zip", b"PK\x03\x04compressed");
    let report = scan(&root);
    let all = vec![
        ("state.vscdb", 0, 1),
        ("fish_variables", 2, 2),
        ("profile.ps1", 2, 3),
        ("big-endian", 2, 4),
        ("kube.yaml", 2, 5),
        ("basic", 1, 6),
        ("url", 1, 7),
        ("history.1.gz", 0, 8),
    ];
    assert_eq!(summarize(&root, &report), expected(all));
    assert_eq!((report.files_scanned, report.files_compressed, report.unreadable), (9, 1, 0));
    let location = |name: &str| {
        let finding = report.findings.iter().find(|finding| finding.path.ends_with(name)).unwrap();
        (finding.offset, finding.encoding)
    };
    assert_eq!(location("state.vscdb"), (19, Encoding::Plain));
    assert_eq!(location("history.1.gz"), (12, Encoding::Plain));
    assert_eq!(location("kube.yaml"), (13, Encoding::Base64));
    assert_eq!(location("big-endian"), (9, Encoding::Utf16));
}

#[test]
fn a_gzip_file_is_unpacked_up_to_a_limit() {
    let (_dir, root) = create_dir();
    write(&root, "bomb.gz", gzip(&format!("{}\n{}{}", key(1), " ".repeat(1_000_000), key(2))));
    let truncated = gzip(&format!("{}\n{}", key(3), "0123456789".repeat(100_000)));
    write(&root, "truncated.gz", &truncated[..truncated.len() - 20]);
    let limits = ScanLimits { max_unpacked_bytes: 300_000, ..ScanLimits::default() };
    let report = secret_scan::scan_files(&named(&[&root]), &limits);
    assert_eq!(
        summarize(&root, &report),
        expected(vec![("bomb.gz", 0, 1), ("truncated.gz", 0, 3)])
    );
    assert_eq!(report.files_too_large, 2);
    let report = scan(&root);
    assert_eq!((report.findings.len(), report.unreadable, report.files_too_large), (3, 1, 0));
}

fn gzip(text: &str) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn symbolic_links_and_loops_are_not_followed() {
        let (_outside_dir, outside) = create_dir();
        write(&outside, "secret", key(1));
        let (_dir, root) = create_dir();
        write(&root, "in/real", key(2));
        symlink(outside.join("secret"), root.join("to a file")).unwrap();
        symlink(&outside, root.join("to a directory")).unwrap();
        symlink(&root, root.join("in/loop")).unwrap();
        symlink("in/real", root.join("to the real one")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        let report = scan(&root);
        assert_eq!(summarize(&root, &report), expected(vec![("in/real", 1, 2)]));
        assert_eq!(report.unreadable, 0);
    }

    #[test]
    fn a_pipe_without_a_writer_does_not_block_the_scan() {
        let (_dir, root) = create_dir();
        write(&root, "real", key(1));
        let pipe = root.join("pipe");
        let status = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(status.success());
        let report = secret_scan::scan_files(&named(&[&root, &pipe]), &ScanLimits::default());
        assert_eq!(report.special_files, 1);
        assert_eq!(summarize(&root, &report), expected(vec![("real", 1, 1)]));
    }

    #[test]
    fn unreadable_files_are_counted_and_the_rest_is_scanned() {
        let (_dir, root) = create_dir();
        write(&root, "closed", key(1));
        write(&root, "shut/inside", key(2));
        write(&root, "open", key(3));
        for name in ["closed", "shut"] {
            fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o000)).unwrap();
        }
        let report = scan(&root);
        fs::set_permissions(root.join("shut"), fs::Permissions::from_mode(0o700)).unwrap();
        // Root can read everything.
        let (all, unreadable) = if rustix::process::geteuid().is_root() {
            (vec![("closed", 1, 1), ("open", 1, 3), ("shut/inside", 1, 2)], 0)
        } else {
            (vec![("open", 1, 3)], 2)
        };
        assert_eq!(summarize(&root, &report), expected(all));
        assert_eq!(report.unreadable, unreadable);
    }

    #[test]
    fn default_paths_are_hidden_files_and_tools_inside_the_home_directory() {
        let (_outside_dir, outside) = create_dir();
        write(&outside, "zshenv", key(1));
        let (_dir, home) = create_dir();
        write(&home, ".bash_history", format!("ls\nexport K={}\n", key(2)));
        write(&home, "dotfiles/zshrc", key(3));
        write(&home, "project/.env", key(4));
        write(&home, ".config/fish/config.fish", key(5));
        write(&home, ".codex/auth.json", key(6));
        write(&home, ".cache/tool", key(7));
        symlink("dotfiles/zshrc", home.join(".zshrc")).unwrap();
        symlink(outside.join("zshenv"), home.join(".zshenv")).unwrap();
        symlink(&outside, home.join(".claude")).unwrap();
        write(&home, "notes.txt", key(8));
        write(&home, ".vscode/extensions/x.js", key(9));
        write(&home, ".var/app/x/cache/y", key(10));
        let report = secret_scan::scan_files(&ScanRoots::in_home(&home), &ScanLimits::default());
        let all = vec![
            (".bash_history", 2, 2),
            (".codex/auth.json", 1, 6),
            (".config/fish/config.fish", 1, 5),
            ("dotfiles/zshrc", 1, 3),
            ("notes.txt", 1, 8),
        ];
        assert_eq!(summarize(&home, &report), expected(all));
        assert_eq!(report.dirs_excluded, 3);
    }
}
