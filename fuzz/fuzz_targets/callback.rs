//! Fuzzes the property `callback`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keywright::properties::callback(data));
