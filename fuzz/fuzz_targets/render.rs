//! The target `render`: see `tests/src/fuzz/render.rs`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tracking_fuzz::checks::render(data));
