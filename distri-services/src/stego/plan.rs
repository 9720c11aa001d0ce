//! How much to hide in what: profiles, and what a payload means for being found.
//!
//! What can be hidden safely grows with the square root of a cover's samples, not with their number
//! (Ker, Pevný, Kodovský, Fridrich, *The Square Root Law of Steganographic Capacity*, 2008): a
//! fixed share of a larger picture is a larger body of evidence. The constant is anchored at a
//! published measurement: 0.05 bit a sample at 512 × 512 grey, where a trained network (EfficientNet
//! B0, ALASKA 2, Aletheia's figures) is right 57 times in 100. It is a recommendation, not a proof.

use super::error::Size;

/// How a message is to be hidden.
#[distri::message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// The gentlest way that carries the payload: adaptive, or matching where adaptive does not
    /// hold as much. What a cover or a payload does to being found is in the report, as a warning.
    #[default]
    Auto,
    /// Adaptive, and refused where it would be found anyway: too large a payload for the cover, or
    /// a cover that was a JPEG.
    Stealth,
    /// ±1 matching: the fastest, for deliveries that nobody examines. Simple statistics do not find
    /// it, trained detectors do.
    Fast,
}

/// What to do about a cover that is, or was, a JPEG. Whoever suspects such a picture can prove that
/// its pixels were changed, however few were: they are no longer what any JPEG decodes to.
#[distri::message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "snake_case")]
pub enum JpegPast {
    /// As the profile has it. `auto`: a JPEG file stays one, if it is of a kind that can and the payload is
    /// within four times the recommendation, else it is resampled; another file with traces of JPEG is used
    /// as it is, with a warning. `stealth`: a JPEG file stays one, what cannot is refused. `fast`: used
    /// as it is, with a warning.
    #[default]
    ByProfile,
    /// Hide in the coefficients of a JPEG file and give a JPEG with the same quality and tables, or refuse it.
    /// Whatever the profile, a message is adaptive there.
    Stay,
    /// Scale the cover to three quarters of its width and height (or up by a quarter, if the payload needs the
    /// room), so that the traces go.
    Resample,
    /// Refuse it.
    Refuse,
    /// Use it as it is, with a warning in the report.
    Keep,
}

/// What becomes of what a cover's file says beside its picture: EXIF with places and dates, XMP, IPTC,
/// comments, texts, times, thumbnails, data of any program.
#[distri::message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Metadata {
    /// It is left out, whatever the format. What is needed to show the picture stays: what its colours mean, the
    /// shape of a pixel, which way up it is. Of a JPEG with further pictures or a film behind it, the first
    /// picture alone is left.
    #[default]
    Strip,
    /// It stays, byte for byte and where it was, if the image is of the cover's format and size, with a
    /// warning that it may tell where and when the picture was taken. Thumbnails show the cover, which looks
    /// like the image. Signatures over the file (C2PA) hold no longer. A JPEG that holds several pictures (MPF)
    /// cannot stay one.
    Keep,
}

/// How easily a message is found by those who search with trained detectors, by the square-root
/// law.
#[distri::message]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[serde(rename_all = "snake_case")]
pub enum Exposure {
    /// Within the recommendation: the best published detectors do little better than a coin.
    Low,
    /// Up to twice as much.
    Moderate,
    /// Up to four times as much: a trained detector is right more often than not.
    High,
    /// Beyond: it will be found by whoever searches seriously.
    Open,
}

/// Something a person should know before sending the image.
#[distri::message]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Warning {
    /// The cover is or was a JPEG of about this quality and was used as it is: the change can be
    /// proven.
    JpegPast {
        /// On the scale of 1 to 100 of the common encoders.
        quality: Option<u8>,
    },
    /// The payload exceeds what is recommended for the cover.
    Exposed {
        /// How far.
        exposure: Exposure,
        /// Bytes that are recommended.
        recommended: u64,
        /// A cover of the same shape for which this payload would be recommended.
        better: Size,
    },
    /// The cover looks drawn, rendered or captured from a screen: with hardly any noise of its own
    /// there is nothing for changes to hide in.
    Synthetic,
    /// The payload does not fit an adaptive message in this cover and was matched.
    Matched,
    /// All that the cover's file says beside the picture (EXIF, XMP, IPTC, comments, texts) was kept, as asked
    /// for. It may tell where and when the picture was taken.
    Metadata,
    /// What the cover's file says beside the picture was to be kept, and is not: the image is of another format
    /// or size, and it would not be true of it.
    MetadataLost,
    /// The cover's file held more than its picture: further ones (MPF, as phones have them for portraits and
    /// bright screens), or data behind its end, such as a film. They were left out.
    RestDropped,
}

/// Bits that are recommended for a cover of 512 × 512 samples, and their number.
const ANCHOR_BITS: f64 = 0.05 * ANCHOR_SAMPLES;
const ANCHOR_SAMPLES: f64 = 512.0 * 512.0;

/// Beyond so many times the recommendation, `stealth` refuses.
const STEALTH_MAX: f64 = 4.0;

/// Bits, headers and seals among them, that are recommended for so many samples in which changes
/// can hide.
pub(crate) fn recommended_bits(samples: u64) -> f64 {
    ANCHOR_BITS * (samples as f64 / ANCHOR_SAMPLES).sqrt()
}

/// The same as bytes of payload and label.
pub(crate) fn recommended_bytes(samples: u64, overhead: usize) -> u64 {
    (recommended_bits(samples) / 8.0 - overhead as f64).max(0.0) as u64
}

/// Bytes beyond which `stealth` refuses.
pub(crate) fn stealthy_bytes(samples: u64, overhead: usize) -> u64 {
    (STEALTH_MAX * recommended_bits(samples) / 8.0 - overhead as f64).max(0.0) as u64
}

/// Samples without which `stealth` refuses so many bytes.
pub(crate) fn stealthy_samples(bytes: u64, overhead: usize) -> u64 {
    let bits = 8.0 * (bytes as f64 + overhead as f64 + 1.0);
    samples_for(bits / STEALTH_MAX)
}

fn samples_for(bits: f64) -> u64 {
    ((bits / ANCHOR_BITS).powi(2) * ANCHOR_SAMPLES).ceil() as u64
}

/// What so many bits in so many samples mean.
pub(crate) fn exposure(bits: u64, samples: u64) -> Exposure {
    match bits as f64 / recommended_bits(samples.max(1)) {
        ..=1.0 => Exposure::Low,
        ..=2.0 => Exposure::Moderate,
        ..=STEALTH_MAX => Exposure::High,
        _ => Exposure::Open,
    }
}

/// The size of the same shape for which so many bits are recommended, if `size` has so many samples.
pub(crate) fn better_size(size: Size, samples: u64, bits: u64) -> Size {
    let factor = (samples_for(bits as f64) as f64 / samples.max(1) as f64).sqrt();
    let side = |side: u32| (f64::from(side) * factor).ceil() as u32;
    Size {
        width: side(size.width),
        height: side(size.height),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_times_the_samples_carry_twice_as_much() {
        assert_eq!(recommended_bits(512 * 512), 0.05 * 512.0 * 512.0);
        assert_eq!(
            recommended_bits(1024 * 1024),
            2.0 * recommended_bits(512 * 512)
        );
    }

    #[test]
    fn exposure_grows_with_the_payload() {
        let samples = 512 * 512;
        let bits = recommended_bits(samples) as u64;

        let all = [1, 2, 4, 5].map(|times| exposure(times * bits, samples));

        assert_eq!(
            all,
            [
                Exposure::Low,
                Exposure::Moderate,
                Exposure::High,
                Exposure::Open
            ]
        );
    }

    #[test]
    fn a_better_size_is_good_enough() {
        let size = Size {
            width: 600,
            height: 400,
        };
        let better = better_size(size, 720_000, 100_000);

        let samples = 3 * u64::from(better.width) * u64::from(better.height);

        assert_eq!(exposure(100_000, samples), Exposure::Low);
        assert!(exposure(100_000, samples * 9 / 10) > Exposure::Low);
    }

    #[test]
    fn what_stealth_needs_suffices() {
        for bytes in [0, 1000, 100_000] {
            let samples = stealthy_samples(bytes, 140);

            assert!(stealthy_bytes(samples, 140) >= bytes);
            assert!(stealthy_bytes(samples * 98 / 100, 140) < bytes.max(1));
        }
    }
}
