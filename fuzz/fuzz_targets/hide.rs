//! Any bytes at all as a cover, in every way of hiding: refused, or the message comes back. The last byte
//! chooses the way, so that a file as it is makes a seed.

#![no_main]

use distri_fuzz::{PAYLOAD, hide, key, settings};
use distri_services::stego::{Compression, Cover, HideOptions, JpegPast, Metadata, Profile};
use libfuzzer_sys::fuzz_target;

const PROFILES: [Profile; 3] = [Profile::Auto, Profile::Stealth, Profile::Fast];
const PASTS: [JpegPast; 4] = [
    JpegPast::ByProfile,
    JpegPast::Stay,
    JpegPast::Keep,
    JpegPast::Resample,
];

fuzz_target!(|file: &[u8]| {
    let choices = usize::from(file.last().copied().unwrap_or(0));
    let settings = settings();
    let cover = Cover::decode(file, &settings.limits);
    let analysis = settings.analyze(file);
    assert_eq!(
        analysis.is_ok(),
        cover.is_ok(),
        "a cover to one and none to the other"
    );
    let options = HideOptions {
        profile: PROFILES[choices % 3],
        jpeg: PASTS[choices / 3 % 4],
        metadata: [Metadata::Strip, Metadata::Keep][choices / 12 % 2],
        compression: [Compression::Fast, Compression::AsCover][choices / 24 % 2],
        scale_cover: choices / 48 % 2 == 1,
        ..HideOptions::default()
    };
    let payload = if choices < 192 { PAYLOAD } else { &[] };
    if let Ok(hidden) = hide(file, payload, &options) {
        let revealed = settings.reveal(&hidden.image, &key());
        let same = revealed.is_ok_and(|revealed| revealed.payload == payload);
        assert!(same, "a message that does not come back");
        assert!(cover.is_ok(), "hidden in what is no cover");
    }
});
