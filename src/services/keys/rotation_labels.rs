//! The labels of the keys of a rotation.

use super::{Error, secret_for};
use crate::domain::{Label, StoredKey};
use crate::services::provision::{MAX_NUMBER, ServiceContext};

/// Returns the first free label of `LABEL (suffix)`, `LABEL (suffix) 2` and so on, or the one under
/// which the key with `own_hash` is already stored.
pub(super) async fn find_free_label(
    services: &ServiceContext,
    stored_keys: &[StoredKey],
    label: &Label,
    suffix: &str,
    own_hash: Option<&str>,
) -> Result<Label, Error> {
    for number in 1..=MAX_NUMBER {
        let name = numbered_label(label, suffix, number);
        match secret_for(services, &name).await {
            // The label of an entry that cannot be read is taken.
            Err(error) if !error.is_about_one_key() => return Err(error),
            Ok(Some(key)) if own_hash.is_some_and(|hash| key.hash() == hash) => return Ok(name),
            Ok(None) if stored_keys.iter().all(|key| !key.label.is_same(name.as_str())) => {
                return Ok(name);
            }
            _ => {}
        }
    }
    Err(Error::LabelTaken(numbered_label(label, suffix, 1)))
}

/// Returns the `LABEL (old)` under which the old key is stored.
pub(super) async fn find_old_key_label(
    services: &ServiceContext,
    label: &Label,
    hash: &str,
) -> Result<Option<Label>, Error> {
    for number in 1..=MAX_NUMBER {
        let name = numbered_label(label, "old", number);
        match secret_for(services, &name).await {
            Err(error) if !error.is_about_one_key() => return Err(error),
            Ok(Some(key)) if key.hash() == hash => return Ok(Some(name)),
            // The first nine may have gaps, where old keys were removed.
            Ok(None) if number > 9 => break,
            _ => {}
        }
    }
    Ok(None)
}

pub(super) fn numbered_label(label: &Label, suffix: &str, number: u8) -> Label {
    let text = if number == 1 { format!("({suffix})") } else { format!("({suffix}) {number}") };
    label.with_suffix(&text)
}
