//! Lists the entries of the Windows Credential Manager.
//!
//! The search of `windows-native-keyring-store` reads the records through references, which must be
//! aligned. The documentation of `CredEnumerateW` promises no alignment, and Wine packs the records
//! without any.
#![expect(unsafe_code, reason = "the records are in memory of the system")]

use std::{io, ptr, slice};

use secrecy::zeroize::Zeroize;
use windows_sys::Win32::Foundation::ERROR_NOT_FOUND;
use windows_sys::Win32::Security::Credentials::{
    CRED_TYPE_GENERIC, CREDENTIALW, CredEnumerateW, CredFree,
};

/// Returns the names of the targets of all generic credentials, or the code of the system's error.
pub(super) fn list_target_names() -> Result<Vec<String>, i32> {
    let mut count = 0;
    let mut records: *mut *mut CREDENTIALW = ptr::null_mut();
    // SAFETY: both pointers are valid for writes; a null filter selects everything.
    if unsafe { CredEnumerateW(ptr::null(), 0, &raw mut count, &raw mut records) } == 0 {
        let code = io::Error::last_os_error().raw_os_error().unwrap_or_default();
        return if code.cast_unsigned() == ERROR_NOT_FOUND { Ok(Vec::new()) } else { Err(code) };
    }
    // SAFETY: after a success `records` points to `count` pointers to records, all in one allocation
    // that is freed below and used by nothing else.
    let names = (0..count as usize)
        .filter_map(|index| unsafe { take_target_name(records.add(index).read_unaligned()) })
        .collect();
    unsafe { CredFree(records.cast()) };
    Ok(names)
}

/// Wipes the secret of a record and returns the name of its target, if it is a generic credential.
///
/// # Safety
///
/// `record` points to a record whose pointers are null or valid; its target is null or ends with a zero,
/// and its secret is used by nothing else. Nothing needs to be aligned.
unsafe fn take_target_name(record: *const CREDENTIALW) -> Option<String> {
    // SAFETY: the caller guarantees the conditions above.
    unsafe {
        let record = record.read_unaligned();
        if !record.CredentialBlob.is_null() {
            let length = record.CredentialBlobSize as usize;
            slice::from_raw_parts_mut(record.CredentialBlob, length).zeroize();
        }
        if record.Type != CRED_TYPE_GENERIC || record.TargetName.is_null() {
            return None;
        }
        let units = (0..).map(|index| record.TargetName.add(index).read_unaligned());
        let name: Vec<u16> = units.take_while(|&unit| unit != 0).collect();
        Some(String::from_utf16_lossy(&name))
    }
}

#[cfg(test)]
mod tests {
    use windows_sys::Win32::Security::Credentials::CRED_TYPE_DOMAIN_PASSWORD;

    use super::*;

    /// Puts a record and its target at an address that is not aligned, as Wine does, and reads it.
    fn read_unaligned_record(target: &str, secret: &mut [u8], kind: u32) -> Option<String> {
        let units: Vec<u16> = target.encode_utf16().chain([0]).collect();
        let mut memory = vec![0_u64; 1 + (size_of::<CREDENTIALW>() + 2 * units.len()) / 8 + 1];
        // SAFETY: the record and the name lie one after the other in the memory, from its byte 1 on.
        unsafe {
            let place: *mut CREDENTIALW = memory.as_mut_ptr().byte_add(1).cast();
            let name: *mut u16 = place.add(1).cast();
            for (index, unit) in units.into_iter().enumerate() {
                name.add(index).write_unaligned(unit);
            }
            place.write_unaligned(CREDENTIALW {
                Type: kind,
                TargetName: name,
                CredentialBlobSize: secret.len().try_into().unwrap(),
                CredentialBlob: secret.as_mut_ptr(),
                ..Default::default()
            });
            take_target_name(place)
        }
    }

    #[test]
    fn records_without_alignment_are_read_and_their_secrets_wiped() {
        let mut secret = *b"sk-or-v1-0";
        let name = read_unaligned_record("a ü@keywright", &mut secret, CRED_TYPE_GENERIC);
        assert_eq!(name.as_deref(), Some("a ü@keywright"));
        assert_eq!(secret, [0; 10]);
    }

    #[test]
    fn only_generic_credentials_are_listed() {
        let mut secret = *b"password";
        let name = read_unaligned_record("server", &mut secret, CRED_TYPE_DOMAIN_PASSWORD);
        assert_eq!((name, secret), (None, [0; 8]));
    }
}
