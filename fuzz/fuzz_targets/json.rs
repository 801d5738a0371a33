//! The target `json`: see `tests/src/fuzz/json.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tracking_fuzz::checks::json(data));
