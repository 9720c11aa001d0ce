//! Two pieces of work, each done by whichever node is least loaded, until it is done or cannot be.
//!
//! distri itself repeats a call on another node while no reply has come. A stego image is a
//! [`Blob`], which streams in after the reply has begun; when the node goes away in the middle of
//! that, only the program can know that asking once more does no harm. Hiding and revealing leave
//! nothing behind on a node, so here they are asked for again, as a [`Whole`].

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use distri::{Blob, Client, Code, Error, cli::ProgressLine, client::Whole, id::PublicKey};
use distri_services::stego::{Capacity, HideOptions, Key, Report, StegoClient};

/// The stego service of a cloud.
#[derive(Clone)]
pub(crate) struct Stego {
    client: Client,
    service: StegoClient,
    patience: Duration,
    progress: Option<Arc<ProgressLine>>,
}

/// What is to be hidden in what.
#[derive(Clone)]
pub(crate) struct Secret {
    pub(crate) cover: Bytes,
    pub(crate) payload: Bytes,
    pub(crate) key: Key,
    pub(crate) options: HideOptions,
}

/// A piece of work that was done.
#[derive(Debug)]
pub(crate) struct Done<T> {
    pub(crate) value: T,
    /// The node that did it.
    pub(crate) node: PublicKey,
    /// How long it took, with every try.
    pub(crate) took: Duration,
    pub(crate) repeats: Repeats,
}

impl<T> Done<T> {
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Done<U> {
        Done {
            value: change(self.value),
            node: self.node,
            took: self.took,
            repeats: self.repeats,
        }
    }
}

/// How often a piece of work was asked for again, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Repeats {
    /// The node or the link to it went away.
    pub(crate) lost: u32,
    /// The node had no room.
    pub(crate) busy: u32,
}

/// A stego image and what is known of it.
#[derive(Debug)]
pub(crate) struct StegoImage {
    pub(crate) file: Bytes,
    pub(crate) report: Report,
}

/// What had been hidden.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) payload: Bytes,
    pub(crate) label: Vec<u8>,
}

/// What the directory is told of a stego image.
#[distri::message]
#[derive(Clone, Copy, Debug)]
pub(crate) struct Noted {
    pub(crate) bytes: u64,
}

/// How long a piece of work may take unless the user says otherwise: long enough for the largest
/// images on a busy machine, short enough to wait for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The most that is taken from a node: more than an image of the largest size that nodes make.
const RESULT_MAX: u64 = 512 << 20;

impl Stego {
    pub(crate) fn new(client: &Client) -> Self {
        let service = StegoClient::new(client);
        Self {
            client: client.clone(),
            service,
            patience: PATIENCE,
            progress: None,
        }
    }

    /// Waits at most so long for each piece of work.
    pub(crate) fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Shows on stderr what the node says of its progress.
    pub(crate) fn show_progress(mut self) -> Self {
        self.progress = Some(Arc::new(ProgressLine::new()));
        self
    }

    /// What a node calls itself; its key's first letters if that is not known.
    pub(crate) fn name_of(&self, node: PublicKey) -> String {
        let nodes = self.client.nodes();
        let known = nodes
            .into_iter()
            .find(|view| view.key == node && !view.name.is_empty());
        known.map_or_else(|| node.short(), |view| view.name)
    }

    /// Hides what `secret` says.
    ///
    /// # Errors
    /// What the service fails with, or why no node did it.
    pub(crate) async fn hide(&self, secret: &Secret) -> Result<Done<StegoImage>, Error> {
        self.repeat(|left, told| async move {
            let Secret {
                cover,
                payload,
                key,
                options,
            } = secret.clone();
            let call = self
                .service
                .hide(Blob::from(cover), Blob::from(payload), key, options)
                .timeout(left)
                .on_progress(self.progress())
                .on_retry(move |_, error| told.note(error));
            let (hidden, node) = call.served().await?;
            let file = hidden.image.bytes(RESULT_MAX).await?;
            Ok((
                StegoImage {
                    file,
                    report: hidden.report,
                },
                node,
            ))
        })
        .await
    }

    /// Reveals what is hidden in `image`.
    ///
    /// # Errors
    /// What the service fails with, or why no node did it.
    pub(crate) async fn reveal(&self, image: &Bytes, key: &Key) -> Result<Done<Found>, Error> {
        self.repeat(|left, told| async move {
            let call = self
                .service
                .reveal(Blob::from(image.clone()), key.clone())
                .timeout(left)
                .on_progress(self.progress())
                .on_retry(move |_, error| told.note(error));
            let (revealed, node) = call.served().await?;
            let payload = revealed.payload.bytes(RESULT_MAX).await?;
            Ok((
                Found {
                    payload,
                    label: revealed.label,
                },
                node,
            ))
        })
        .await
    }

    /// Hides what `secret` says over `covers`, which stand in for its cover, so that any `needed` of the
    /// images suffice; 0 is all.
    ///
    /// # Errors
    /// What the service fails with, or why no node did it.
    pub(crate) async fn hide_over(
        &self,
        covers: &[Bytes],
        secret: &Secret,
        needed: u8,
    ) -> Result<Done<Vec<StegoImage>>, Error> {
        self.repeat(|left, told| async move {
            let Secret {
                payload,
                key,
                options,
                ..
            } = secret.clone();
            let covers = covers.iter().cloned().map(Blob::from).collect();
            let call = self
                .service
                .hide_over(covers, Blob::from(payload), key, options, needed)
                .timeout(left)
                .on_progress(self.progress())
                .on_retry(move |_, error| told.note(error));
            let (hidden, node) = call.served().await?;
            let mut images = Vec::with_capacity(hidden.len());
            for one in hidden {
                let file = one.image.bytes(RESULT_MAX).await?;
                let report = one.report;
                images.push(StegoImage { file, report });
            }
            Ok((images, node))
        })
        .await
    }

    /// Reveals what is hidden over `images`.
    ///
    /// # Errors
    /// What the service fails with, or why no node did it.
    pub(crate) async fn reveal_from(
        &self,
        images: &[Bytes],
        key: &Key,
    ) -> Result<Done<Found>, Error> {
        self.repeat(|left, told| async move {
            let images = images.iter().cloned().map(Blob::from).collect();
            let call = self
                .service
                .reveal_from(images, key.clone())
                .timeout(left)
                .on_progress(self.progress())
                .on_retry(move |_, error| told.note(error));
            let (revealed, node) = call.served().await?;
            let payload = revealed.payload.bytes(RESULT_MAX).await?;
            let label = revealed.label;
            Ok((Found { payload, label }, node))
        })
        .await
    }

    /// Notes in the cloud's directory that an image of so many bytes was made.
    ///
    /// # Errors
    /// What the directory refuses, or why it could not be asked.
    pub(crate) async fn note(
        &self,
        album: &str,
        id: String,
        bytes: usize,
    ) -> Result<Done<()>, Error> {
        let began = Instant::now();
        let directory = self.client.directory().timeout(self.patience);
        let images = directory.collection(album);
        // The directory tries again by itself, and a write that is tried again takes effect once.
        images
            .insert(
                id,
                &Noted {
                    bytes: bytes as u64,
                },
            )
            .await?;
        Ok(Done {
            value: (),
            node: directory.leader().unwrap_or(self.client.key()),
            took: began.elapsed(),
            repeats: Repeats::default(),
        })
    }

    /// Says how much fits into `cover`.
    ///
    /// # Errors
    /// What the service fails with, or why no node did it.
    pub(crate) async fn capacity(&self, cover: &Bytes) -> Result<Done<Capacity>, Error> {
        self.repeat(|left, told| async move {
            self.service
                .capacity(Blob::from(cover.clone()))
                .timeout(left)
                .on_retry(move |_, error| told.note(error))
                .served()
                .await
        })
        .await
    }

    fn progress(&self) -> impl Fn(distri::rpc::Progress) + Send + Sync + 'static {
        let line = self.progress.clone();
        move |progress| {
            if let Some(line) = &line {
                line.show(progress.fraction, &progress.note);
            }
        }
    }

    /// Does `once` until it is done, cannot be done, or patience ends.
    async fn repeat<T, F>(&self, once: impl Fn(Duration, Arc<Told>) -> F) -> Result<Done<T>, Error>
    where
        F: Future<Output = Result<(T, PublicKey), Error>>,
    {
        let began = Instant::now();
        let told = Arc::new(Told::default());
        let result = Whole::within(self.patience)
            .on_repeat({
                let told = told.clone();
                move |error| told.note(error)
            })
            .run(|left| once(left, told.clone()))
            .await;
        if let Some(line) = &self.progress {
            line.clear();
        }
        let (value, node) = result?;
        Ok(Done {
            value,
            node,
            took: began.elapsed(),
            repeats: told.repeats(),
        })
    }
}

/// Counts repeats while they happen.
#[derive(Default)]
struct Told {
    lost: AtomicU32,
    busy: AtomicU32,
}

impl Told {
    fn note(&self, error: &Error) {
        let counter = if error.code() == Code::Busy {
            &self.busy
        } else {
            &self.lost
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn repeats(&self) -> Repeats {
        Repeats {
            lost: self.lost.load(Ordering::Relaxed),
            busy: self.busy.load(Ordering::Relaxed),
        }
    }
}
