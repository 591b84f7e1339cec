//! Paths of entries: `PREFIX/LABEL`, and a folder below the prefix for what is not a key of the
//! default server.

use crate::storage::secret_store::EntryId;

/// Returns the path of an entry, relative to the mount. `base` is the keychain service of the
/// profile's keys on the default server; `prefix` is where these keys are.
pub(super) fn entry_path(prefix: &str, base: &str, entry_id: &EntryId) -> String {
    format!("{}/{}", folder_path(prefix, base, &entry_id.service), encode_name(&entry_id.account))
}

/// Returns the folder of a keychain service, relative to the mount. The names of folders cannot
/// collide with those of entries: an entry's name has no slash.
pub(super) fn folder_path(prefix: &str, base: &str, service: &str) -> String {
    let rest = service.strip_prefix(base).unwrap_or(service);
    let (server, purpose) = rest.split_once(' ').unwrap_or((rest, ""));
    let mut path = prefix.to_owned();
    let server = server.trim_start_matches('/');
    if !server.is_empty() {
        path.push('/');
        path.push_str(&encode_name(server));
    }
    if !purpose.is_empty() {
        // A server's name does not start with this character.
        path.push_str("/~");
        path.push_str(&encode_name(purpose));
    }
    path
}

/// Returns `name` as one segment of a path: the characters that the engine refuses in a path, the
/// slash and the percent sign are percent-encoded.
pub(super) fn encode_name(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    let mut previous = '.';
    for (index, c) in name.char_indices() {
        let is_last = index + c.len_utf8() == name.len();
        let is_plain = match c {
            '%' | '/' | '\\' => false,
            // The engine refuses `..`, and a URL drops a segment that is a dot.
            '.' => previous != '.',
            ' ' => index > 0 && !is_last,
            c if c.is_ascii() => c.is_ascii_graphic(),
            c => c.is_alphanumeric(),
        };
        if is_plain {
            encoded.push(c);
        } else {
            for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                encoded.push('%');
                encoded.extend([byte >> 4, byte & 15].map(hex_digit));
            }
        }
        previous = c;
    }
    encoded
}

fn hex_digit(value: u8) -> char {
    char::from(if value < 10 { b'0' + value } else { b'A' + value - 10 })
}

/// Returns the name that [`encode_name`] encoded; `None` if it is no such name.
pub(super) fn decode_name(encoded: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ordinary_labels_are_names_as_they_are() {
        for (label, name) in [
            ("ci", "ci"),
            ("My laptop é", "My laptop é"),
            ("a/b", "a%2Fb"),
            ("100%", "100%25"),
            ("..", "%2E%2E"),
            (".", "%2E"),
            ("a..b", "a.%2Eb"),
            ("v1.2", "v1.2"),
            ("🔑", "%F0%9F%94%91"),
            ("c:\\x", "c:%5Cx"),
        ] {
            assert_eq!(encode_name(label), name);
            assert_eq!(decode_name(name).as_deref(), Some(label));
        }
        assert_eq!(decode_name("%"), None);
        assert_eq!(decode_name("%zz"), None);
    }

    #[test]
    fn each_service_has_a_folder_of_its_own() {
        let folder = |base: &str, service: &str| folder_path("keywright/p", base, service);
        for (base, service, path) in [
            ("keywright", "keywright", "keywright/p"),
            ("keywright", "keywright/example.com:444", "keywright/p/example.com:444"),
            (
                "keywright",
                "keywright/https://localhost:4000",
                "keywright/p/https:%2F%2Flocalhost:4000",
            ),
            ("keywright", "keywright trash", "keywright/p/~trash"),
            ("keywright/work", "keywright/work", "keywright/p"),
            ("keywright/work", "keywright/work/a.example trash", "keywright/p/a.example/~trash"),
        ] {
            assert_eq!(folder(base, service), path);
        }
        let entry_id = EntryId { service: "keywright".into(), account: "a/b".into() };
        assert_eq!(entry_path("team", "keywright", &entry_id), "team/a%2Fb");
    }

    proptest! {
        #[test]
        fn every_name_is_one_segment_and_read_back(name in "\\PC{1,40}") {
            let encoded = encode_name(&name);
            prop_assert!(!encoded.contains('/') && !encoded.contains(".."));
            prop_assert_eq!(decode_name(&encoded), Some(name));
        }
    }
}
