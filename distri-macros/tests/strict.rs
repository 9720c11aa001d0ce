//! Generated code in a crate that denies what a strict crate denies.

#![forbid(unsafe_code)]
#![deny(
    warnings,
    future_incompatible,
    let_underscore,
    nonstandard_style,
    rust_2018_idioms,
    unused,
    missing_docs,
    missing_debug_implementations,
    missing_copy_implementations,
    unreachable_pub,
    unused_qualifications,
    unused_lifetimes,
    unused_import_braces,
    single_use_lifetimes,
    trivial_casts,
    trivial_numeric_casts,
    variant_size_differences,
    elided_lifetimes_in_paths,
    explicit_outlives_requirements,
    unit_bindings,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    clippy::cargo,
    clippy::allow_attributes_without_reason,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::use_self,
    clippy::absolute_paths,
    clippy::wildcard_enum_match_arm,
    clippy::shadow_unrelated,
    clippy::pattern_type_mismatch,
    clippy::indexing_slicing,
    clippy::missing_docs_in_private_items,
    clippy::str_to_string,
    clippy::default_numeric_fallback,
    clippy::clone_on_ref_ptr,
    clippy::module_name_repetitions
)]
#![allow(
    clippy::multiple_crate_versions,
    clippy::cargo_common_metadata,
    reason = "about other manifests than the user's"
)]

use distri::registry;

/// What a library exports.
pub mod exported {
    use std::future::ready;

    use distri::{Blob, Context, NodeHandle, Result, Stream};

    /// A size.
    #[distri::message]
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Size {
        /// In pixels.
        pub width: u32,
        /// In pixels.
        pub height: u32,
    }

    /// How it went.
    #[distri::message]
    #[derive(Clone, Debug, PartialEq, Eq)]
    #[non_exhaustive]
    pub enum Outcome {
        /// Well.
        Well,
        /// Not so well.
        Badly {
            /// Why.
            why: String,
        },
    }

    /// Scales.
    #[derive(Clone, Copy, Debug, Default)]
    pub struct Scaling;

    #[distri::service(register = false)]
    impl Scaling {
        /// Scales `image`.
        ///
        /// # Errors
        /// When the caller has given up.
        #[method(idempotent, placement = key(by))]
        pub async fn scale(&self, cx: &Context, image: Blob, by: Size) -> Result<Blob> {
            cx.check()?;
            let _: Size = by;
            Ok(image)
        }

        async fn nothing(&self) -> Result<()> {
            Ok(())
        }

        #[method(placement = every)]
        async fn everywhere(&self, times: u8) -> Result<Outcome> {
            Ok(if times == 0 {
                Outcome::Well
            } else {
                Outcome::Badly { why: String::new() }
            })
        }
    }

    /// Thumbnails.
    #[distri::service]
    pub trait Thumbnails {
        /// Shrinks.
        async fn shrink(&self, image: Blob, to: Size) -> Result<Blob>;

        /// Follows.
        async fn follow(&self, cx: &Context, sizes: Stream<Size>) -> Result<Stream<Outcome>>;

        /// Gives the image back.
        async fn keep(&self, image: Blob) -> Result<Blob> {
            Ok(image)
        }
    }

    /// Fast ones.
    #[derive(Clone, Copy, Debug)]
    pub struct FastThumbnails;

    impl FastThumbnails {
        async fn open(_: &NodeHandle, size: Size) -> Result<Self> {
            ready(size).await;
            Ok(Self)
        }
    }

    #[distri::service(init = Self::open)]
    impl Thumbnails for FastThumbnails {
        async fn shrink(&self, image: Blob, _to: Size) -> Result<Blob> {
            Ok(image)
        }

        async fn follow(&self, _cx: &Context, _sizes: Stream<Size>) -> Result<Stream<Outcome>> {
            Ok(Stream::from_items(Vec::new()))
        }
    }
}

/// What a program keeps to itself.
mod private {
    use distri::Result;

    /// Words.
    #[derive(Default)]
    struct WordCount;

    /// A word.
    #[distri::message]
    struct Word(String);

    #[distri::service]
    impl WordCount {
        /// Counts letters.
        async fn letters(&self, word: Word) -> Result<usize> {
            Ok(word.0.chars().count())
        }
    }

    /// An interface that only this program knows.
    #[distri::service]
    trait Letters {
        /// Counts letters.
        async fn letters(&self, word: Word) -> Result<usize>;
    }

    /// Serves it.
    #[derive(Default)]
    struct Counter;

    #[distri::service]
    impl Letters for Counter {
        async fn letters(&self, word: Word) -> Result<usize> {
            Ok(word.0.chars().count())
        }
    }
}

#[test]
fn generated_code_passes_strict_lints() {
    let linked = registry::linked();

    let names = linked.iter().flatten().map(registry::Registration::name);
    assert!(names.eq(["letters", "thumbnails", "word-count"]));
}
