//! Fuzzes the property `exchange`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keywright::properties::exchange(data));
