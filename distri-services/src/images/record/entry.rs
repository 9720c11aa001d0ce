//! What somebody offers.

use distri::{
    id::PublicKey,
    signed::{Signable, Signed},
};

use super::Unfit;
use crate::{
    images::media::{Format, Preview, SIDE_MAX, TITLE_MAX, clean_text},
    permissions::ImageId,
};

/// One image of one owner in the catalogue, as it stands: offered, or withdrawn.
///
/// A withdrawn one leaves its number behind, so that nobody can bring an old offer back.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which image: random, no hash of what it shows.
    pub image: ImageId,
    /// What is said of it; `None` if it is offered no longer.
    pub offer: Option<Offer>,
}

/// All that the public learns of an image.
#[distri::message]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// What its owner calls it.
    pub title: String,
    /// The format in which it is delivered.
    pub format: Format,
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// About how large it is: never less, and at most a sixteenth more.
    pub bytes: u64,
    /// What can be seen of it beforehand.
    pub preview: Preview,
    /// Who finds it.
    pub visibility: Visibility,
}

/// Who finds an image in the catalogue. Nobody but those with a grant ever sees it.
#[distri::message]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Everybody. The default.
    #[default]
    Public,
    /// Those who know its id.
    Unlisted,
}

impl Signable for Entry {
    const TAG: &'static str = "distri/images/entry/v1";
}

impl Entry {
    /// Refuses what no honest program signs.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn check(&self) -> Result<(), Unfit> {
        self.offer.as_ref().map_or(Ok(()), Offer::check)
    }

    /// The body of `record`, if it is the owner `key`'s and fit.
    ///
    /// # Errors
    /// [`distri::signed::RecordError`] or [`Unfit`], as an error of a service.
    pub fn of(record: &Signed<Self>, key: PublicKey) -> distri::Result<&Self> {
        let entry = record.check_by(key).map_err(distri::Error::from)?;
        entry.check()?;
        Ok(entry)
    }
}

impl Offer {
    /// The size that is told of an image of `bytes`.
    #[must_use]
    pub fn about(bytes: u64) -> u64 {
        let step = (bytes.max(1).next_power_of_two() / 32).max(1024);
        bytes.next_multiple_of(step)
    }

    fn check(&self) -> Result<(), Unfit> {
        if self.title.is_empty() || clean_text(&self.title, TITLE_MAX) != self.title {
            let problem = format!("is not 1 to {TITLE_MAX} printable characters");
            return Err(Unfit::new("the title", problem));
        }
        let sides = [self.width, self.height];
        if sides.iter().any(|side| !(1..=SIDE_MAX).contains(side)) {
            let problem = format!(
                "is {} x {}: expected 1 to {SIDE_MAX}",
                self.width, self.height
            );
            return Err(Unfit::new("the size", problem));
        }
        if !self.preview.is_fit() {
            let problem = "is too large, or neither PNG nor JPEG";
            return Err(Unfit::new("the preview", problem));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_told_to_about_a_sixteenth_and_never_below() {
        for bytes in [0, 1, 1023, 1024, 70_000, 1 << 20, (1 << 20) + 1, 60_000_000] {
            let told = Offer::about(bytes);

            assert!(
                told >= bytes && told <= bytes + (bytes / 16).max(1024),
                "{bytes} {told}"
            );
        }
    }
}
