//! Fuzzes the property `foreign_text`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keywright::properties::foreign_text(data));
