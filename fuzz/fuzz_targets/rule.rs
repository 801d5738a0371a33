//! The target `rule`: see `tests/src/fuzz/rule.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tracking_fuzz::checks::rule(data));
