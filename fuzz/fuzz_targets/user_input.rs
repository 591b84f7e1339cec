//! Fuzzes the property `user_input`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| keywright::properties::user_input(data));
