//! Fuzzes the property `responses`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keywright::properties::responses(data));
