//! What the error codes of the keychains of macOS and Windows mean, and what to do about them.
//!
//! Independent of the platform, so that the tests of every platform cover it.

use super::Error;

/// A known error of the system's keychain, in words.
#[derive(PartialEq, Eq, Debug)]
pub struct SystemError {
    pub(super) message: &'static str,
    pub(super) advice: &'static str,
}

const WRONG_PASSWORD: SystemError = SystemError {
    message: "the macOS keychain refused the password, or does not let Keywright read this entry",
    advice: "try again and choose Always Allow in the prompt; after each update of Keywright macOS \
             may ask again",
};
const NO_PROMPT_POSSIBLE: SystemError = SystemError {
    message: "the macOS keychain is locked, and macOS cannot show its prompt here, as over SSH",
    advice: "run `security unlock-keychain ~/Library/Keychains/login.keychain-db`, then try again; \
             or store keys in an encrypted file with `--store file`",
};
const NO_KEYCHAIN: SystemError = SystemError {
    message: "this user has no default macOS keychain",
    advice: "log in once at the screen of the Mac, or run `security create-keychain \
             login.keychain-db && security default-keychain -s login.keychain-db`, then try again",
};
const READ_ONLY: SystemError = SystemError {
    message: "the macOS keychain is read-only",
    advice: "check its owner and mode with `ls -l ~/Library/Keychains`, then try again; or store \
             keys in an encrypted file with `--store file`",
};
const DAMAGED: SystemError = SystemError {
    message: "the default macOS keychain is damaged",
    advice: "`security default-keychain` names the file; restore it from a backup, or store keys \
             in an encrypted file with `--store file`",
};
const FOREIGN_ENTRY: SystemError = SystemError {
    message: "another program owns the entry with this name in the macOS keychain",
    advice: "delete the entry in Keychain Access, or choose another label",
};
const NOT_SIGNED: SystemError = SystemError {
    message: "macOS gives this build of Keywright no access to the keychain, because it is not signed",
    advice: "install a release of Keywright, or sign your build: `codesign --force --sign - \
             \"$(command -v keywright)\"`",
};
const ASLEEP: SystemError = SystemError {
    message: "the macOS keychain is not available while the Mac is asleep",
    advice: "wake the Mac, then try again",
};

const NO_LOGON_SESSION: SystemError = SystemError {
    message: "this Windows session has no Credential Manager, as over SSH with a public key, in a \
              service, or where a policy forbids storing credentials",
    advice: "log in with a password, or store keys in an encrypted file with `--store file`",
};
const FULL: SystemError = SystemError {
    message: "Windows Credential Manager has no room for another entry",
    advice: "remove entries that are no longer used: `cmdkey /list` and `cmdkey /delete:TARGET`; or \
             store keys in an encrypted file with `--store file`",
};
const ENTRY_TOO_LARGE: SystemError = SystemError {
    message: "the secret is longer than the 2,560 bytes of an entry in Windows Credential Manager",
    advice: "check that it is a key and nothing else; or store it in an encrypted file with \
             `--store file`",
};
const ACCESS_DENIED: SystemError = SystemError {
    message: "Windows denied access to the Credential Manager",
    advice: "run Keywright as the user who is logged in, not with `runas`; or store keys in an \
             encrypted file with `--store file`",
};
const SERVICE_STOPPED: SystemError = SystemError {
    message: "the Windows service of the Credential Manager is not running",
    advice: "start it in a terminal of an administrator: `sc.exe config VaultSvc start= demand` and \
             `sc.exe start VaultSvc`",
};

/// Converts an `OSStatus` of macOS's Security framework. `text` is the system's own message.
#[cfg_attr(not(any(target_os = "macos", test)), expect(dead_code, reason = "only on macOS"))]
pub(super) fn from_os_status(status: i32, text: &str) -> Error {
    Error::System(match status {
        -128 => return Error::PromptDismissed, // userCanceledErr
        -25300 => return Error::NoEntry,       // errSecItemNotFound
        // errSecAuthFailed, errSecNoAccessForItem
        -25293 | -25243 => &WRONG_PASSWORD,
        // errSecInteractionNotAllowed, errSecInteractionRequired, errSecInternalComponent
        -25308 | -25315 | -2070 => &NO_PROMPT_POSSIBLE,
        // errSecNotAvailable, errSecNoSuchKeychain, errSecNoDefaultKeychain
        -25291 | -25294 | -25307 => &NO_KEYCHAIN,
        // errSecReadOnly, wrPermErr
        -25292 | -61 => &READ_ONLY,
        -25295 => &DAMAGED, // errSecInvalidKeychain
        // errSecInvalidOwnerEdit, errSecDuplicateItem
        -25244 | -25299 => &FOREIGN_ENTRY,
        -34018 => &NOT_SIGNED, // errSecMissingEntitlement
        -25320 => &ASLEEP,     // errSecInDarkWake
        _ => return Error::other(&format!("{text} (OSStatus {status})")),
    })
}

/// Converts an error code of Windows from a function of the Credential Manager.
fn from_windows_code(code: u32) -> Error {
    Error::System(match code {
        1168 => return Error::NoEntry,         // ERROR_NOT_FOUND
        1223 => return Error::PromptDismissed, // ERROR_CANCELLED
        1312 => &NO_LOGON_SESSION,             // ERROR_NO_SUCH_LOGON_SESSION
        // ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY, ERROR_NO_SYSTEM_RESOURCES, ERROR_NOT_ENOUGH_QUOTA
        8 | 14 | 1450 | 1816 => &FULL,
        1783 => &ENTRY_TOO_LARGE, // RPC_X_BAD_STUB_DATA
        5 => &ACCESS_DENIED,      // ERROR_ACCESS_DENIED
        // ERROR_SERVICE_DISABLED, ERROR_SERVICE_NOT_ACTIVE, RPC_S_SERVER_UNAVAILABLE
        1058 | 1062 | 1722 => &SERVICE_STOPPED,
        _ => return Error::other(&format!("Windows error code {code}")),
    })
}

/// Converts the message of an error of the Windows store, whose type is private: it names or
/// contains the code.
#[cfg_attr(not(any(windows, test)), expect(dead_code, reason = "only on Windows"))]
pub(super) fn from_windows_message(text: &str) -> Error {
    let code = match text {
        "Windows ERROR_NO_SUCH_LOGON_SESSION" => Some(1312),
        "Windows ERROR_NOT_FOUND" => Some(1168),
        _ => text.strip_prefix("Windows error code ").and_then(|code| code.parse().ok()),
    };
    code.map_or_else(|| Error::other(text), from_windows_code)
}

/// Converts "too long": `attribute` names what exceeds the keychain's `limit`.
#[cfg_attr(
    not(any(target_os = "macos", windows, test)),
    expect(dead_code, reason = "only on macOS and Windows")
)]
pub(super) fn from_length_limit(attribute: &str, limit: u32) -> Error {
    let is_secret = attribute.starts_with("password") || attribute.starts_with("secret");
    if is_secret && limit == 2560 { Error::System(&ENTRY_TOO_LARGE) } else { Error::TooLong }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(error: &Error) -> (String, String) {
        assert!(matches!(error, Error::System(_)), "{error:?}");
        (error.to_string(), error.advice().into_owned())
    }

    #[test]
    fn a_locked_mac_keychain_over_ssh_is_unlocked_with_a_command() {
        for status in [-25308, -25315, -2070] {
            let (message, advice) =
                words(&from_os_status(status, "User interaction is not allowed."));
            assert!(message.contains("as over SSH"), "{message}");
            assert!(advice.starts_with("run `security unlock-keychain "), "{advice}");
        }
    }

    #[test]
    fn os_statuses_with_an_error_of_their_own_are_that_error() {
        assert_eq!(from_os_status(-128, "User canceled"), Error::PromptDismissed);
        assert_eq!(from_os_status(-25300, "not found"), Error::NoEntry);
        assert_eq!(from_windows_code(1223), Error::PromptDismissed);
        assert_eq!(from_windows_code(1168), Error::NoEntry);
    }

    #[test]
    fn known_os_statuses_are_explained() {
        for status in [
            -25293, -25243, -25291, -25294, -25307, -25292, -61, -25295, -25244, -25299, -34018,
            -25320,
        ] {
            let (message, advice) = words(&from_os_status(status, ""));
            for text in [message, advice] {
                assert!(text.starts_with(|c: char| c.is_lowercase() || c == '`'), "{text}");
                assert!(!text.ends_with('.') && !text.contains("  "), "{text}");
            }
        }
        let (message, advice) = words(&from_os_status(-25293, ""));
        assert!(message.contains("refused the password") && advice.contains("Always Allow"));
    }

    #[test]
    fn unknown_codes_keep_the_words_of_the_system_and_the_code() {
        assert_eq!(
            from_os_status(-50, "One or more parameters\nwere not valid."),
            Error::Other("One or more parameters were not valid. (OSStatus -50)".into())
        );
        assert_eq!(from_windows_code(87), Error::Other("Windows error code 87".into()));
        assert_eq!(
            from_windows_message("Windows ERROR_INVALID_FLAGS"),
            Error::Other("Windows ERROR_INVALID_FLAGS".into())
        );
    }

    #[test]
    fn windows_errors_are_recognized_in_the_messages_of_the_store() {
        let session = from_windows_message("Windows ERROR_NO_SUCH_LOGON_SESSION");
        assert!(words(&session).0.contains("over SSH with a public key"));
        let full = from_windows_message("Windows error code 8");
        assert!(words(&full).1.contains("cmdkey /delete:"));
        for code in [5, 8, 14, 1058, 1062, 1312, 1450, 1722, 1783, 1816] {
            let (message, advice) = words(&from_windows_code(code));
            for text in [message, advice] {
                assert!(!text.ends_with('.') && !text.contains("  "), "{text}");
            }
        }
    }

    #[test]
    fn a_secret_over_2560_bytes_is_not_blamed_on_the_label() {
        let too_large = from_length_limit("password encoded as UTF-16", 2560);
        assert!(words(&too_large).0.contains("2,560 bytes"));
        assert_eq!(from_length_limit("user", 513), Error::TooLong);
        assert_eq!(from_length_limit("target", 32767), Error::TooLong);
    }

    #[test]
    fn nothing_was_written_after_a_system_error() {
        assert_eq!(
            from_windows_code(1312).meaning(),
            "nothing was written and the stored keys are safe"
        );
    }
}
