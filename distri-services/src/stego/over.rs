//! One message over several covers, some of which may get lost.

use std::ops::ControlFlow;

use zeroize::Zeroizing;

use super::{
    Error, Hidden, HideOptions, Job, Key, LABEL_MAX, Revealed, Settings, Step,
    layout::Stream,
    message::{Content, Found},
    parts::{self, PARTS_MAX, Part},
    random_seed,
};

/// Covers of one message.
#[derive(Clone, Copy, Debug)]
pub struct Covers<'a> {
    /// Image files, up to 255. Each carries a part of equal length, so the smallest decides.
    pub files: &'a [&'a [u8]],
    /// How many of the images are to suffice. With fewer, more may get lost and each carries more:
    /// of 1, each carries all; of all, none may be missing. 0 is all.
    pub needed: usize,
}

/// One piece of hiding over several covers, with its randomness. See [`Job`].
#[derive(Clone, Copy)]
pub struct JobOver<'a> {
    /// Where to.
    pub covers: Covers<'a>,
    /// What to hide.
    pub payload: &'a [u8],
    /// What is to open it.
    pub key: &'a Key,
    /// How to hide it.
    pub options: &'a HideOptions,
    /// Random bytes, never used before.
    pub seed: &'a [u8; 32],
    /// Asked now and then, by any thread: false gives up.
    pub go_on: &'a (dyn Fn() -> bool + Sync),
}

impl std::fmt::Debug for JobOver<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Neither the payload nor the seed belongs in a log.
        let (bytes, covers) = (self.payload.len(), self.covers.files.len());
        write!(f, "JobOver({bytes} bytes in {covers} covers)")
    }
}

/// What came out of several stego images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gathered {
    /// What was hidden; the method is that of the first image that opened.
    pub revealed: Revealed,
    /// The images that gave nothing, by their place among those that were given, and why. They were
    /// not needed.
    pub lost: Vec<(usize, Error)>,
}

impl Settings {
    /// Seals `payload` under `key` and hides a part of it in each of `covers`, so that as many of the
    /// images as it says give it back, whichever they are: see [`reveal_from`](Self::reveal_from).
    /// The results are in the order of the covers.
    ///
    /// Each part is a stego image like any other, with keys of its own, and checked as any other.
    /// Label and compression are of the message as a whole. That parts belong together shows to
    /// nobody without the key; with it, each tells how many there are and gives its piece of the
    /// message.
    ///
    /// Many covers are no way around the square-root law: whoever examines all of them has all
    /// evidence together.
    ///
    /// # Errors
    ///
    /// [`Error::Covers`] for a number of covers that does not fit what is needed;
    /// [`Error::InCover`] with what [`hide`](Self::hide) says of the first cover that is refused.
    pub fn hide_over(
        &self,
        covers: Covers<'_>,
        payload: &[u8],
        key: &Key,
        options: &HideOptions,
    ) -> Result<Vec<Hidden>, Error> {
        let seed = random_seed()?;
        let job = JobOver {
            covers,
            payload,
            key,
            options,
            seed: &seed,
            go_on: &|| true,
        };
        self.hide_over_with(&job, &mut |_, _| ControlFlow::Continue(()))
    }

    /// Does what `job` says, and calls `begin` before each step with each cover, counted from 0, which
    /// may stop it there.
    ///
    /// # Errors
    ///
    /// As [`hide_over`](Self::hide_over), and [`Error::Stopped`].
    pub fn hide_over_with(
        &self,
        job: &JobOver<'_>,
        begin: &mut dyn FnMut(usize, Step) -> ControlFlow<()>,
    ) -> Result<Vec<Hidden>, Error> {
        let files = job.covers.files;
        let needed = match job.covers.needed {
            0 => files.len(),
            needed => needed,
        };
        if files.is_empty() || files.len() > PARTS_MAX || needed > files.len() {
            return Err(Error::Covers {
                covers: files.len(),
                needed,
                most: PARTS_MAX,
            });
        }
        let label = &job.options.label;
        if label.len() > LABEL_MAX {
            return Err(Error::LabelTooLong {
                is: label.len(),
                limit: LABEL_MAX,
            });
        }
        let compress = !job.options.uncompressed;
        let parts = parts::cut(label, job.payload, compress, files.len(), needed)?;
        let options = HideOptions {
            label: Vec::new(),
            uncompressed: true,
            ..job.options.clone()
        };
        let mut seeds = Stream::new(job.seed, 0);
        let mut all = Vec::with_capacity(files.len());
        for (number, (cover, part)) in files.iter().zip(&parts).enumerate() {
            let seed = Zeroizing::new(seeds.next_bytes());
            let one = Job {
                cover,
                payload: &part.to_bytes(),
                key: job.key,
                options: &options,
                seed: &seed,
                go_on: job.go_on,
            };
            let hidden = self.hide_content(&one, Content::Part, &mut |step| begin(number, step));
            all.push(hidden.map_err(|error| in_cover(number, error))?);
        }
        Ok(all)
    }

    /// Opens the message of which `images` hold parts, in any order, some of them twice if need be.
    /// Images that give nothing, because they are damaged or none of them, are passed over as long
    /// as the others suffice. Of a message in one image, that image is enough.
    ///
    /// # Errors
    ///
    /// [`Error::PartsMissing`] if parts open, but too few; [`Error::PartsOfOthers`] if two images
    /// hold different messages; what [`reveal`](Self::reveal) says of the first image if none
    /// opens.
    pub fn reveal_from(&self, images: &[&[u8]], key: &Key) -> Result<Gathered, Error> {
        let (mut found, mut lost) = (Vec::new(), Vec::new());
        for (number, image) in images.iter().enumerate() {
            match self.open(image, key) {
                Ok(one) => found.push((number, one)),
                Err(error) => lost.push((number, error)),
            }
        }
        let Some((first, one)) = found.first() else {
            let error = lost.into_iter().next().map(|(_, error)| error);
            return Err(error.unwrap_or(Error::NoMessage));
        };
        let method = one.revealed.method;
        if one.content == Content::Message {
            return match found.get(1) {
                Some((other, _)) => Err(others(*first, *other)),
                None => {
                    let (_, one) = found.remove(0);
                    let revealed = one.revealed;
                    Ok(Gathered { revealed, lost })
                }
            };
        }
        let mut parts: Vec<Part> = Vec::with_capacity(found.len());
        for (number, one) in &found {
            let part = match one.content {
                Content::Message => return Err(others(*first, *number)),
                Content::Part => one.part()?,
            };
            if parts.first().is_some_and(|before| !before.is_beside(&part)) {
                return Err(others(*first, *number));
            }
            parts.push(part);
        }
        let (label, payload) = parts::join(&parts, &self.limits)?;
        let revealed = Revealed {
            payload,
            label,
            method,
        };
        Ok(Gathered { revealed, lost })
    }

    /// What one image alone gives.
    pub(super) fn alone(&self, found: Found) -> Result<Revealed, Error> {
        match found.content {
            Content::Message => Ok(found.revealed),
            Content::Part => {
                let (label, payload) = parts::join(&[found.part()?], &self.limits)?;
                Ok(Revealed {
                    payload,
                    label,
                    method: found.revealed.method,
                })
            }
        }
    }
}

impl Found {
    fn part(&self) -> Result<Part, Error> {
        Part::from_bytes(&self.revealed.payload).ok_or(Error::Damaged)
    }
}

fn others(first: usize, other: usize) -> Error {
    Error::PartsOfOthers { first, other }
}

fn in_cover(number: usize, error: Error) -> Error {
    match error {
        Error::Stopped => Error::Stopped,
        error => Error::InCover {
            number,
            source: Box::new(error),
        },
    }
}
