//! What a person can do: remedies for what the service refuses, and words for what it warns of.
//!
//! The service does not know flags and file names, so what it says is completed here.

use distri_services::stego::{
    Error, Exposure, HideOptions, JpegError, JpegKind, JpegPast, Metadata, Profile, Warning,
};

/// What helps against `error`, for whoever asked to hide with `options`; `covers` says of each cover whether it
/// is a JPEG file.
pub(crate) fn remedy(error: &Error, options: &HideOptions, covers: &[bool]) -> Option<String> {
    match error {
        Error::InCover { number, source } => {
            let its = covers.get(*number).map_or(covers, std::slice::from_ref);
            let inner = remedy(source, options, its);
            let another = "or put another image in its place".to_owned();
            Some(inner.map_or_else(|| another.clone(), |inner| format!("{inner}; {another}")))
        }
        Error::CoverTooSmall { .. } => Some(room(options, covers)),
        Error::JpegPast { .. } => Some(past(covers)),
        Error::NotAsJpeg { source } => Some(not_as_jpeg(*source, options)),
        Error::UnsupportedPixels { .. } => {
            Some("save the cover with 8 or 16 bits a sample first".to_owned())
        }
        Error::TooLarge { .. } => Some(
            "send a smaller one; the limits are the nodes' (`[services.stego]` in distri.toml)"
                .to_owned(),
        ),
        _ => None,
    }
}

/// What gives a payload more room. Scaling a JPEG would make it another file, so it does not help one that is
/// to stay as it is.
fn room(options: &HideOptions, covers: &[bool]) -> String {
    let stays = match options.jpeg {
        JpegPast::Stay => true,
        JpegPast::ByProfile => options.profile == Profile::Stealth,
        _ => false,
    };
    let more = match options.profile {
        Profile::Stealth => ", or hide more than is safe with --profile auto",
        _ => "",
    };
    let helps = if stays && covers.iter().any(|is_jpeg| *is_jpeg) {
        "hide less, send a larger JPEG, hide over several (--cover and --out again), or let --out \
         end in .png, which resamples it"
    } else {
        "hide less, send a larger cover, or let --scale-cover do it"
    };
    format!("{helps}{more}")
}

fn past(covers: &[bool]) -> String {
    let own = if covers.iter().any(|is_jpeg| *is_jpeg) {
        "let --out end in .jpg, so that it stays a JPEG"
    } else {
        "send a picture that never was a JPEG, or the JPEG file itself"
    };
    format!("{own}, or hide with --profile auto")
}

fn not_as_jpeg(source: JpegError, options: &HideOptions) -> String {
    let png = "let --out end in .png, to get a PNG";
    match source {
        JpegError::Unsupported(JpegKind::SeveralPictures) if options.metadata == Metadata::Keep => {
            format!("leave out --metadata keep, to get the first picture alone, or {png}")
        }
        _ => png.to_owned(),
    }
}

/// A sentence for each warning.
pub(crate) fn words(warning: &Warning) -> String {
    match warning {
        Warning::JpegPast { quality } => {
            let quality = quality.map_or_else(String::new, |quality| {
                format!(" of quality {quality} or so")
            });
            format!("the cover is or was a JPEG{quality}: that it was changed can be proven")
        }
        Warning::Exposed {
            exposure,
            recommended,
            better,
        } => {
            let found = match exposure {
                Exposure::Low => "hard to find",
                Exposure::Moderate => "found now and then",
                Exposure::High => "found more often than not",
                Exposure::Open => "found",
            };
            format!(
                "whoever searches with trained detectors: {found}. Recommended here are \
                 {recommended} bytes, or a cover of {} × {}",
                better.width, better.height
            )
        }
        Warning::Synthetic => {
            "the cover looks drawn or captured from a screen: there is no noise to hide in".into()
        }
        Warning::Matched => "too much to hide adaptively: trained detectors find this".into(),
        Warning::Metadata => {
            "the image says all that its cover says beside the picture, which may be where it was \
             taken"
                .into()
        }
        Warning::MetadataLost => {
            "what the cover says beside the picture was not kept: the image is of another format \
             or size"
                .into()
        }
        Warning::RestDropped => {
            "the cover's file held more than its picture (further pictures, a film); that was left \
             out"
            .into()
        }
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use distri_services::stego::Size;

    use super::*;

    fn too_small() -> Error {
        let size = Size {
            width: 1,
            height: 1,
        };
        Error::CoverTooSmall {
            payload: 2,
            room: 1,
            has: size,
            needs: size,
        }
    }

    #[test]
    fn scaling_is_advised_only_where_it_helps() {
        let options = |jpeg, profile| HideOptions {
            jpeg,
            profile,
            ..HideOptions::default()
        };
        let advised = |options: &HideOptions, covers: &[bool]| {
            let said = remedy(&too_small(), options, covers).unwrap();
            said.contains("--scale-cover")
        };

        assert!(!advised(&options(JpegPast::Stay, Profile::Auto), &[true]));
        assert!(!advised(
            &options(JpegPast::ByProfile, Profile::Stealth),
            &[true]
        ));
        assert!(advised(
            &options(JpegPast::ByProfile, Profile::Stealth),
            &[false]
        ));
        assert!(advised(
            &options(JpegPast::ByProfile, Profile::Auto),
            &[true]
        ));
        assert!(advised(
            &options(JpegPast::Resample, Profile::Auto),
            &[true]
        ));
    }

    #[test]
    fn one_cover_of_several_gets_the_advice_for_itself() {
        let options = HideOptions {
            profile: Profile::Stealth,
            ..HideOptions::default()
        };
        let in_cover = |number| Error::InCover {
            number,
            source: Box::new(too_small()),
        };

        let jpeg = remedy(&in_cover(0), &options, &[true, false]).unwrap();
        let other = remedy(&in_cover(1), &options, &[true, false]).unwrap();

        assert!(
            jpeg.contains("larger JPEG") && !jpeg.contains("--scale-cover"),
            "{jpeg}"
        );
        assert!(other.contains("--scale-cover"), "{other}");
        assert!(jpeg.contains("another image in its place"), "{jpeg}");
    }
}
