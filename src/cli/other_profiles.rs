//! Keys that another profile stores too: what is done to one copy at OpenRouter happens to the other.

use super::output::print_error;
use crate::domain::{ProfileCopy, format_command};
use crate::services::config::DEFAULT_SERVER;
use crate::services::keys::find_in_other_profiles;
use crate::services::provision::ServiceContext;

/// What happens to the copy in the other profile.
#[derive(Clone, Copy, Debug)]
pub(super) enum CopyEffect {
    /// The key gets a second copy here.
    Stored,
    /// The copy here is removed.
    Removed,
    /// The key is deleted at the server.
    Revoked,
    /// The key is disabled at the server.
    Disabled,
    /// The key is enabled at the server.
    Enabled,
    /// The key is disabled, and the label here gets a new one.
    Leaked,
    /// The label here gets a new key.
    Replaced,
}

/// Prints which of the keys, each given as label here and hash, another profile stores too, and
/// what that means. Called before any question and any change.
pub(super) fn print_other_profiles<'a>(
    services: &ServiceContext,
    keys: impl IntoIterator<Item = (&'a str, &'a str)>,
    effect: CopyEffect,
) {
    if services.other_profiles.is_empty() {
        return;
    }
    let copies = find_in_other_profiles(services);
    for (label, hash) in keys {
        for copy in copies.get(hash).into_iter().flatten() {
            print_error(&format!(
                "'{label}' is {copy}: {}",
                describe_effect(copy, &services.server, effect)
            ));
        }
    }
}

fn describe_effect(copy: &ProfileCopy, server: &str, effect: CopyEffect) -> String {
    let label = copy.label.as_str();
    let command = |words: &[&str]| {
        // The other profile may be for another server.
        let server: &[&str] = if server == DEFAULT_SERVER { &[] } else { &["--server", server] };
        let words = [words, &["--profile", copy.profile.as_str()], server].concat();
        format_command(&words, &[label])
    };
    match effect {
        CopyEffect::Stored => {
            "it is one key, so disabling or deleting it at OpenRouter ends both".into()
        }
        CopyEffect::Removed => "that copy stays".into(),
        CopyEffect::Revoked => {
            format!("it stops working there too; remove that copy: {}", command(&["rm"]))
        }
        CopyEffect::Disabled => "it stops working there too".into(),
        CopyEffect::Enabled => "it works there again too".into(),
        CopyEffect::Leaked => format!(
            "it stops working there too and is not replaced there; remove that copy: {}, then import the new key",
            command(&["rm"])
        ),
        CopyEffect::Replaced => format!(
            "that profile keeps the old key; before that is deleted, remove it there: {}, then import the new key",
            command(&["rm"])
        ),
    }
}
