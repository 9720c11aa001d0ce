//! [`Whole`]: work that is a call and the reading of what it streams, done again as a whole when either
//! breaks.

use std::{fmt, future::Future, time::Duration};

use crate::{
    error::{Code, Error, Result},
    world,
};

/// How often work is begun again after a node or the link to it went away. Each time the call has been
/// tried on several nodes itself, so this rides out a whole cloud that restarts.
const LOSSES: u32 = 5;

/// The pause before work is begun again is drawn at random between nothing and this, which doubles up
/// to the second, and comes after what a node that is busy asked for.
const PAUSE: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_millis(500);

/// Work that is a call and the reading of what it streams, done again as a whole when either breaks.
///
/// A call is repeated until its reply has come. A [`Blob`](crate::Blob) or [`Stream`](crate::Stream) in
/// the reply comes after it, and when the node goes away in the middle of that, what was read cannot be
/// taken up elsewhere: streams that were partly consumed are never repeated. Where the call does no harm
/// when it is made again, the whole of it can be.
///
/// ```no_run
/// # extern crate distri_core as distri;
/// use std::time::Duration;
/// use distri::{Blob, Result, client::Whole};
///
/// # #[derive(Default)]
/// # struct Thumbnails;
/// #[distri::service]
/// impl Thumbnails {
///     #[method(idempotent)]
///     async fn shrink(&self, image: Blob) -> Result<Blob> {
///         # let _ = &image;
///         // …
///         # Ok(image)
///     }
/// }
///
/// # async fn example(client: distri::Client, image: bytes::Bytes) -> Result<bytes::Bytes> {
/// let (thumbnails, image) = (&ThumbnailsClient::new(client), &image);
/// let small = Whole::within(Duration::from_secs(60))
///     .run(|left| async move {
///         let small = thumbnails.shrink(Blob::from(image.clone())).timeout(left);
///         small.await?.bytes(16 << 20).await
///     })
///     .await?;
/// # Ok(small)
/// # }
/// ```
pub struct Whole {
    patience: Duration,
    on_repeat: Option<OnRepeat>,
}

type OnRepeat = Box<dyn Fn(&Error) + Send + Sync>;

impl Whole {
    /// Work that may take so long, with every repetition.
    pub fn within(patience: Duration) -> Self {
        Self {
            patience,
            on_repeat: None,
        }
    }

    /// Calls `tell` with the error of each try that is followed by another.
    #[must_use]
    pub fn on_repeat(mut self, tell: impl Fn(&Error) + Send + Sync + 'static) -> Self {
        self.on_repeat = Some(Box::new(tell));
        self
    }

    /// Does `once`, which is told how much time is left, until it succeeds, fails in a way that another
    /// try does not mend, or the time is over. It must do no harm when it is done again.
    ///
    /// # Errors
    /// The last that `once` failed with: [`Code::Busy`] when there was no room all the time,
    /// [`Code::Unavailable`] or [`Code::UnknownOutcome`] after nodes went away six times or for too
    /// long, any other at once.
    ///
    /// # Cancel safety
    /// Dropping the future drops the try under way.
    pub async fn run<T, F>(&self, mut once: impl FnMut(Duration) -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let until = world::now() + self.patience;
        let mut pause = PAUSE;
        let mut losses = 0;
        loop {
            let left = until.saturating_duration_since(world::now());
            let error = match once(left).await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let may_repeat = match error.code() {
                Code::Busy => true,
                Code::Unavailable | Code::UnknownOutcome => {
                    losses += 1;
                    losses <= LOSSES
                }
                _ => false,
            };
            let wait = error.retry_after().unwrap_or_default() + world::jitter(pause);
            if !may_repeat || world::now() + wait >= until {
                return Err(error);
            }
            if let Some(tell) = &self.on_repeat {
                tell(&error);
            }
            world::pause(wait).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Whole")
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
