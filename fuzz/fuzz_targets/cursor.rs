//! The target `cursor`: see `tests/src/fuzz/cursor.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tracking_fuzz::checks::cursor(data));
