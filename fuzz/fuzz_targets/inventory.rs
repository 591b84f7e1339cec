//! Fuzzes the property `inventory`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keywright::properties::inventory(data));
