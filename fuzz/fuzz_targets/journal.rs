//! Fuzzes the property `journal`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keywright::properties::journal(data));
