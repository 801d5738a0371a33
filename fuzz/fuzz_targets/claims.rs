//! The target `claims`: see `tests/src/fuzz/claims.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tracking_fuzz::checks::claims(data));
