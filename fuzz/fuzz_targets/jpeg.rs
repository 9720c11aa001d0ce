//! Any bytes at all as the coefficients of a JPEG: refused, or read again as they were read.

#![no_main]

use distri_services::stego::lab::rewrites;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    const MEMORY_MAX: u64 = 1 << 22;
    assert!(
        rewrites(file, MEMORY_MAX) != Some(false),
        "coefficients that differ"
    );
});
