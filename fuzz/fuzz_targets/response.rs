//! The target `response`: see `tests/src/fuzz/response.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tracking_fuzz::checks::response(data));
