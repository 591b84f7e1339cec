//! Fuzzes the property `plan`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keywright::properties::plan(data));
