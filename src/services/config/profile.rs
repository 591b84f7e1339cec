//! Where the keys of a profile are in the keychain, and which profile is in use.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::DEFAULT_SERVER;
use crate::domain::ProfileName;
use crate::storage::json_store::{Error, SchemaVersion, StoreLocation};

/// Returns the keychain service name of a profile's keys for a server. On a loopback address, where
/// http is allowed too, https has entries of its own, so that no key stored for https is sent in
/// plaintext.
pub fn keychain_service(profile: &ProfileName, server: &str) -> String {
    let base =
        if profile.is_default() { "keywright".to_owned() } else { format!("keywright/{profile}") };
    let Some((scheme, host)) = server.split_once("://") else {
        return format!("{base}/{server}");
    };
    if server == DEFAULT_SERVER {
        base
    } else if scheme == "https" && super::parse_server(&format!("http://{host}")).is_ok() {
        format!("{base}/{server}")
    } else {
        format!("{base}/{host}")
    }
}

/// Returns the data directory of a profile that names none. `base` is that of the default profile.
pub fn profile_dir(base: PathBuf, profile: &ProfileName) -> PathBuf {
    if profile.is_default() {
        return base;
    }
    base.join("profiles").join(profile.as_str())
}

const FILE_NAME: &str = "profile.json";

/// The profile that commands use without `--profile`.
#[derive(Clone, Default, Serialize, Deserialize)]
struct ProfileInUse {
    #[serde(default)]
    version: SchemaVersion,
    #[serde(default)]
    profile: ProfileName,
    /// Fields written by a newer version, preserved on update.
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

/// Returns the profile of [`use_profile`]; `None` where there is none. `base` is the default
/// profile's data directory; a problem with it is reported when the keys are read.
pub fn read_profile_in_use(base: &StoreLocation) -> Result<Option<ProfileName>, Error> {
    if let StoreLocation::Directory(dir) = base
        && !dir.join(FILE_NAME).exists()
    {
        return Ok(None);
    }
    Ok(Some(base.read::<ProfileInUse>(FILE_NAME)?.profile))
}

/// Makes `profile` the one that commands use without `--profile`.
pub fn use_profile(base: &StoreLocation, profile: &ProfileName) -> Result<(), Error> {
    base.update(FILE_NAME, |in_use: &mut ProfileInUse| in_use.profile = profile.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_profile_and_server_has_its_own_keychain_service() {
        let (default, work) = (ProfileName::default(), "work".parse().unwrap());
        for (profile, server, service) in [
            (&default, "https://openrouter.ai", "keywright"),
            (&default, "https://example.com:444", "keywright/example.com:444"),
            (&default, "http://localhost:4000", "keywright/localhost:4000"),
            (&default, "https://localhost:4000", "keywright/https://localhost:4000"),
            (&work, "https://openrouter.ai", "keywright/work"),
            (&work, "http://localhost:4000", "keywright/work/localhost:4000"),
        ] {
            assert_eq!(keychain_service(profile, server), service);
        }
    }

    #[test]
    fn the_profile_in_use_is_remembered() {
        let base = StoreLocation::in_memory();
        assert!(read_profile_in_use(&base).unwrap().is_none_or(|profile| profile.is_default()));
        use_profile(&base, &"work".parse().unwrap()).unwrap();
        assert_eq!(read_profile_in_use(&base).unwrap(), "work".parse().ok());
    }
}
