//! Finds a guardrail or a workspace of the account by what the user wrote: its id, slug or name.

use super::resource_error::ResourceError;
use crate::domain::{Guardrail, Workspace, sort_by};
use crate::services::diagnostic::{format_suggestion, redact_excerpt};

/// The maximum number of names in an error.
const MAX_NAMES: usize = 12;

/// A resource of an account that has an id and names.
pub trait Named {
    /// What it is, as in `guardrail`.
    const NOUN: &'static str;
    /// Returns its UUID.
    fn id(&self) -> &str;
    /// Returns the names that the user may write, the shortest first.
    fn names(&self) -> Vec<&str>;
}

impl Named for Guardrail {
    const NOUN: &'static str = "guardrail";
    fn id(&self) -> &str {
        &self.id
    }
    fn names(&self) -> Vec<&str> {
        vec![&self.name]
    }
}

impl Named for Workspace {
    const NOUN: &'static str = "workspace";
    fn id(&self) -> &str {
        &self.id
    }
    fn names(&self) -> Vec<&str> {
        vec![&self.slug, &self.name]
    }
}

/// Returns the one of `all` with this id or name: as it is written, else regardless of capitals.
pub fn find_by_name<'a, T: Named>(text: &str, all: &'a [T]) -> Result<&'a T, ResourceError> {
    let text = text.trim();
    let lower = text.to_lowercase();
    let has_name = |resource: &&T| {
        resource.id().eq_ignore_ascii_case(text) || resource.names().contains(&text)
    };
    let has_similar_name =
        |resource: &&T| resource.names().iter().any(|name| name.trim().to_lowercase() == lower);
    let mut found: Vec<&T> = all.iter().filter(has_name).collect();
    if found.is_empty() {
        found = all.iter().filter(has_similar_name).collect();
    }
    match found[..] {
        [one] => Ok(one),
        [] => Err(unknown_name(text, all)),
        _ => Err(ResourceError::AmbiguousName {
            noun: T::NOUN,
            name: redact_excerpt(text),
            candidates: found.iter().map(|resource| describe(*resource)).collect(),
        }),
    }
}

fn unknown_name<T: Named>(text: &str, all: &[T]) -> ResourceError {
    let mut known: Vec<&str> =
        all.iter().flat_map(Named::names).filter(|name| !name.is_empty()).collect();
    sort_by(&mut known, Ord::cmp);
    known.dedup();
    let shown = all
        .iter()
        .filter_map(|resource| resource.names().into_iter().find(|name| !name.is_empty()));
    let mut names: Vec<String> = shown.take(MAX_NAMES).map(str::to_owned).collect();
    if all.len() > MAX_NAMES {
        names.push("…".into());
    }
    ResourceError::UnknownName {
        noun: T::NOUN,
        name: if text.is_empty() { String::new() } else { redact_excerpt(text) },
        suggestion: format_suggestion(text, &known),
        known: names,
    }
}

/// Returns the id with the names, for a choice between several.
fn describe<T: Named>(one: &T) -> String {
    format!("{} ({})", one.id(), one.names().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace(id: &str, slug: &str, name: &str) -> Workspace {
        Workspace { id: id.into(), name: name.into(), slug: slug.into() }
    }

    fn find(text: &str, all: &[Workspace]) -> String {
        match find_by_name(text, all) {
            Ok(found) => found.id.clone(),
            Err(error) => {
                let error = error.to_user_error();
                format!("{} / {}", error.message, error.advice)
            }
        }
    }

    #[test]
    fn an_id_a_slug_and_a_name_find_the_same_one() {
        let all = [workspace("A1", "research", "Research lab"), workspace("B2", "ops", "Research")];
        for text in ["A1", "a1", "research", "Research lab", "RESEARCH LAB", " research "] {
            assert_eq!(find(text, &all), "A1", "{text}");
        }
        assert_eq!(find("Research", &all), "B2", "the exact name counts more than a similar one");
        assert_eq!(find("OPS", &all), "B2");
    }

    #[test]
    fn an_unknown_name_gets_a_suggestion_and_an_ambiguous_one_its_candidates() {
        let all = [workspace("A1", "research", "Lab"), workspace("B2", "ops", "Lab")];
        assert_eq!(
            find("reserch", &all),
            "the account has no workspace 'reserch'; did you mean research? / \
             the account's workspaces: research, ops"
        );
        assert_eq!(
            find("Lab", &all),
            "'Lab' is the name of 2 workspaces / \
             give the id of one: A1 (research, Lab), B2 (ops, Lab)"
        );
        assert_eq!(
            find("x", &[]),
            "the account has no workspace 'x' / the management key sees no workspace in its account"
        );
    }
}
