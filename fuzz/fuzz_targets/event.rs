//! The target `event`: see `tests/src/fuzz/event.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tracking_fuzz::checks::event(data));
