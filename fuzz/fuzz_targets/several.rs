//! Two images of a message over three. The length of the first is in the last two bytes.

#![no_main]

use distri_fuzz::{PAYLOAD, key, settings};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((files, length)) = bytes.split_last_chunk() else {
        return;
    };
    let Some((one, other)) = files.split_at_checked(u16::from_le_bytes(*length).into()) else {
        return;
    };
    if let Ok(gathered) = settings().reveal_from(&[one, other], &key()) {
        assert!(
            gathered.revealed.payload == PAYLOAD,
            "a payload that nobody hid"
        );
    }
});
