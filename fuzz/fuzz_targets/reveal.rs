//! Any bytes at all as an image that may hold a message.

#![no_main]

use distri_fuzz::{PAYLOAD, key, settings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|file: &[u8]| {
    // The seeds are sealed with this key; what nobody sealed does not come out.
    if let Ok(revealed) = settings().reveal(file, &key()) {
        assert!(revealed.payload == PAYLOAD, "a payload that nobody hid");
    }
});
