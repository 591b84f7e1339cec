//! The layers of `docs/architecture.md`, checked on the parsed sources, and rules that hold for
//! every file.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// The layers from the bottom to the top, and what each may import besides itself.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("sandbox", &[]),
    ("platform", &["domain"]),
    ("api", &["domain"]),
    ("storage", &["domain", "platform"]),
    ("services", &["domain", "platform", "api", "storage"]),
    ("cli", &["domain", "platform", "api", "storage", "services"]),
    ("tui", &["domain", "platform", "api", "storage", "services"]),
];

/// The parts of `tui`, where the model and its transitions stay pure.
const TUI: &[(&str, &[&str])] = &[
    ("state", &[]),
    ("keymap", &["state"]),
    ("update", &["keymap", "state"]),
    ("view", &["keymap", "state"]),
];

/// The parts of `tui` without I/O and without a clock.
const PURE: &[&str] = &["state", "update", "keymap"];

/// How a test file says why it is longer than 400 lines.
const LONG_FILE: &str = "Longer than 400 lines, because";

/// A module, and every path that its file names, as segments from the crate's root.
struct Module {
    path: Vec<String>,
    file: PathBuf,
    imports: BTreeSet<Vec<String>>,
}

/// Collects the paths of a file: `use` items with their groups, paths in code, and paths among the
/// tokens of macros.
struct Paths {
    module: Vec<String>,
    found: BTreeSet<Vec<String>>,
}

impl Paths {
    /// Adds a path that starts at the crate's root or at a module relative to this one.
    fn add(&mut self, segments: &[String]) {
        let mut base = match segments.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.module.clone(),
            _ => return,
        };
        let mut rest = segments;
        while let Some(first) = rest.first() {
            match first.as_str() {
                "crate" | "self" => {}
                "super" => {
                    base.pop();
                }
                _ => break,
            }
            rest = &rest[1..];
        }
        base.extend(rest.iter().cloned());
        self.found.insert(base);
    }

    fn add_use(&mut self, prefix: &[String], tree: &syn::UseTree) {
        let with = |ident: &syn::Ident| {
            let mut path = prefix.to_vec();
            path.push(ident.to_string());
            path
        };
        match tree {
            syn::UseTree::Path(path) => self.add_use(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.add(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.add(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.add(prefix),
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_use(prefix, tree);
                }
            }
        }
    }

    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => path.push(ident.to_string()),
                TokenTree::Punct(punct) if punct.as_char() == ':' => {}
                other => {
                    self.add(&std::mem::take(&mut path));
                    if let TokenTree::Group(group) = other {
                        self.add_tokens(group.stream());
                    }
                }
            }
        }
        self.add(&path);
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.add_use(&[], &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> =
            path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&segments);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.add_tokens(item.tokens.clone());
        visit::visit_macro(self, item);
    }
}

/// All files below `dir` with one of these extensions.
fn files(dir: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, extensions));
        } else if path
            .extension()
            .is_some_and(|extension| extensions.iter().any(|e| extension == *e))
        {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn is_pure(part: &str) -> bool {
    PURE.contains(&part)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn parse(path: Vec<String>, file: PathBuf, text: &str) -> Module {
    let mut paths = Paths { module: path.clone(), found: BTreeSet::new() };
    paths.visit_file(&syn::parse_file(text).unwrap());
    Module { path, file, imports: paths.found }
}

/// Every module of the library.
fn modules() -> Vec<Module> {
    let src = root().join("src");
    let mut modules = Vec::new();
    for file in files(&src, &["rs"]) {
        let inside = file.strip_prefix(&src).unwrap().with_extension("");
        let path: Vec<_> = inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
        if path == ["main"] || path == ["lib"] {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        modules.push(parse(path, file, &text));
    }
    assert!(modules.len() > 100);
    modules
}

/// The imports of `module` that `rule` does not allow, at the given depth of the module path.
fn forbidden(module: &Module, depth: usize, rule: &[(&str, &[&str])]) -> Vec<String> {
    let Some(own) = module.path.get(depth) else { return Vec::new() };
    let Some((_, allowed)) = rule.iter().find(|(name, _)| name == own) else { return Vec::new() };
    let is_layer = |name: &str| rule.iter().any(|(layer, _)| *layer == name);
    module
        .imports
        .iter()
        .filter(|import| import.get(..depth) == Some(&module.path[..depth]))
        .filter_map(|import| import.get(depth))
        .filter(|layer| is_layer(layer) && *layer != own && !allowed.contains(&layer.as_str()))
        .map(|layer| format!("{} imports {layer}", module.file.display()))
        .collect()
}

#[test]
fn each_layer_imports_only_the_layers_below_it() {
    let wrong: Vec<_> = modules().iter().flat_map(|module| forbidden(module, 0, LAYERS)).collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_model_and_its_transitions_import_no_drawing() {
    let wrong: Vec<_> = modules()
        .iter()
        .filter(|module| module.path[0] == "tui")
        .flat_map(|module| forbidden(module, 1, TUI))
        .collect();
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn the_model_and_its_transitions_import_only_the_domain() {
    let mut wrong = Vec::new();
    for module in modules() {
        if module.path[0] != "tui" || !module.path.get(1).is_some_and(|part| is_pure(part)) {
            continue;
        }
        let layers = module.imports.iter().filter_map(|import| import.first());
        let others = layers.filter(|layer| !["domain", "tui"].contains(&layer.as_str()));
        wrong.extend(others.map(|layer| format!("{} imports {layer}", module.file.display())));
    }
    assert_eq!(wrong, Vec::<String>::new());
}

#[test]
fn a_forbidden_import_is_found_in_every_form() {
    for text in [
        "use crate::tui::Screen;",
        "use crate::{domain::Label, tui};",
        "pub use crate::{domain, tui::{self, state::Model}};",
        "use super::super::tui as screens;",
        "fn f() { crate::tui::run(); }",
        "fn f() -> crate::tui::Model { todo() }",
        "mod inner { use super::super::super::tui::run; }",
        "fn f() { println!(\"{}\", crate::tui::NAME); }",
        "fn f() { tokio::select! { x = crate::tui::run() => x } }",
    ] {
        let path = vec!["services".to_owned(), "provision".to_owned()];
        let module = parse(path, PathBuf::from("provision.rs"), text);
        assert!(!forbidden(&module, 0, LAYERS).is_empty(), "{text}");
    }
    let allowed = parse(
        vec!["services".to_owned()],
        PathBuf::new(),
        "use crate::{domain::Label, storage::{inventory, journal}};",
    );
    assert_eq!(forbidden(&allowed, 0, LAYERS), Vec::<String>::new());
}

#[test]
fn modules_side_by_side_do_not_import_each_other_in_circles() {
    let modules = modules();
    let known: BTreeSet<&[String]> = modules.iter().map(|module| &module.path[..]).collect();
    // From each module to the modules beside it that it or its children import.
    let mut edges: BTreeMap<Vec<String>, BTreeSet<Vec<String>>> = BTreeMap::new();
    for module in &modules {
        for import in &module.imports {
            let common =
                module.path.iter().zip(import).take_while(|(one, other)| one == other).count();
            let (Some(own), Some(other)) = (module.path.get(..=common), import.get(..=common))
            else {
                continue;
            };
            if known.contains(other) {
                edges.entry(own.to_vec()).or_default().insert(other.to_vec());
            }
        }
    }
    let reaches = |from: &Vec<String>, to: &Vec<String>| {
        let mut seen = BTreeSet::new();
        let mut open = vec![from];
        while let Some(next) = open.pop() {
            for target in edges.get(next).into_iter().flatten() {
                if target == to {
                    return true;
                }
                if seen.insert(target) {
                    open.push(target);
                }
            }
        }
        false
    };
    let circles: Vec<_> =
        edges.keys().filter(|module| reaches(module, module)).map(|path| path.join("::")).collect();
    assert_eq!(circles, Vec::<String>::new());
}

#[test]
fn the_core_does_no_io_and_reads_no_clock() {
    const IO: &[&str] = &["tokio", "reqwest", "ratatui", "std::fs", "std::net", "Timestamp::now"];
    for module in modules() {
        let names: &[&str] = match (module.path[0].as_str(), module.path.get(1).map(String::as_str))
        {
            ("domain", _) => IO,
            ("tui", Some(part)) if is_pure(part) => IO,
            ("tui", Some("view")) => {
                &["tokio", "reqwest", "crossterm", "std::fs", "std::net", "Timestamp::now"]
            }
            _ => &[],
        };
        let text = fs::read_to_string(&module.file).unwrap();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        for name in names {
            let found = code.clone().find(|line| line.contains(name));
            assert_eq!(found, None, "{}", module.file.display());
        }
    }
}

#[test]
fn every_file_has_a_doc_comment_and_a_readable_length() {
    for dir in ["src", "tests", "benches", "fuzz/fuzz_targets"] {
        for file in files(&root().join(dir), &["rs", "py"]) {
            let text = fs::read_to_string(&file).unwrap();
            let name = file.display();
            let is_documented = ["//!", "\"\"\"", "#!"].iter().any(|start| text.starts_with(start));
            assert!(is_documented, "{name} has no documentation");
            let is_readable = text.lines().count() <= 400
                || dir != "src" && text.lines().take(10).any(|line| line.contains(LONG_FILE));
            assert!(is_readable, "{name}: more than 400 lines, or say why: `//! {LONG_FILE} …`");
            assert!(!file.ends_with("mod.rs"), "{name}");
        }
    }
}

/// On Windows the compiler only denies it.
#[test]
fn unsafe_code_is_in_two_modules_of_windows() {
    let src = root().join("src");
    let allowed =
        ["platform/standard_streams.rs", "storage/secret_store/keychain/credential_list.rs"]
            .map(|module| src.join(module));
    for file in files(&src, &["rs"]) {
        let text = fs::read_to_string(&file).unwrap();
        let is_unsafe = |line: &str| line.contains("(unsafe_code") && !line.contains("forbid(");
        assert_eq!(text.lines().any(is_unsafe), allowed.contains(&file), "{}", file.display());
    }
}

/// A label can contain anything that a shell acts on.
#[test]
fn commands_to_paste_are_formatted_by_one_function() {
    for file in files(&root().join("src"), &["rs"]) {
        let text = fs::read_to_string(&file).unwrap();
        let code = text.lines().take_while(|line| *line != "#[cfg(test)]");
        for (number, line) in code.enumerate() {
            for (at, name) in line.match_indices("keywright ") {
                let words = &line[at + name.len()..];
                let plain = |c: char| c.is_ascii_alphanumeric() || "-_'\" ".contains(c);
                let end = words.find(|c| !plain(c)).unwrap_or(words.len());
                let has_slot = words[end..].starts_with('{');
                let is_command = words.starts_with(|c: char| c.is_ascii_lowercase());
                let place = format!("{}:{}", file.display(), number + 1);
                assert!(!(has_slot && is_command), "{place}: use format_command: {line}");
            }
        }
    }
}

#[test]
fn no_snapshot_contains_a_whole_key() {
    let tests = root().join("tests");
    for dir in ["snapshots", "screens/snapshots"] {
        for entry in fs::read_dir(tests.join(dir)).unwrap().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap();
            for part in text.split("sk-or-v1-").skip(1) {
                let body = part.chars().take_while(char::is_ascii_hexdigit).count();
                assert!(body < 16, "{}", entry.path().display());
            }
        }
    }
}
