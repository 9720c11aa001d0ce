//! The `stego` service: what [`Settings`] do, on a node, for callers elsewhere.
//!
//! Files stream in and out as blobs; pixels are worked on off the async threads, a bounded number
//! of images at a time. How much may wait for that is bounded in bytes: what exceeds it is refused
//! as busy at once, so that the caller can try another node.

use std::{
    ops::ControlFlow,
    pin::Pin,
    sync::Arc,
    task::{self, Poll},
};

use bytes::Bytes;
use distri::{Blob, Code, Context, NodeHandle, Result, ServiceError};
use futures_core::Stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    Analysis, Capacity, Covers, Error, HideOptions, Job, JobOver, Key, Limits, Mark, Method,
    Report, Revealed, Settings, Step, random_seed,
};

/// `[services.stego]` in `distri.toml`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct StegoConfig {
    /// The largest image file or payload that is taken. Larger lets more detailed covers in, and
    /// each call takes as much memory more. Default 64 MiB.
    #[serde(with = "distri::config::size")]
    pub file_max: u64,
    /// The widest image, in pixels. Default 8192.
    pub width_max: u32,
    /// The highest image, in pixels. Default 8192.
    pub height_max: u32,
    /// The largest decoded image; most photographs take 3 bytes a pixel. Hiding takes up to four
    /// times as much memory while it lasts. Default 256 MiB.
    #[serde(with = "distri::config::size")]
    pub memory_max: u64,
    /// Images that are worked on at a time. More than there are processors makes none faster and
    /// all take memory; fewer leaves processors to other services. Default: one a processor.
    pub parallel: usize,
    /// Threads for each image that is worked on. More answers a single caller sooner and makes no
    /// difference when as many images are worked on as there are processors. Default 1.
    pub threads: usize,
    /// Bytes of images and payloads that may be on the node at a time, worked on and waiting. What
    /// would exceed it is refused as busy. Larger rides out longer bursts, in memory. Default
    /// 512 MiB.
    #[serde(with = "distri::config::size")]
    pub waiting_max: u64,
    /// 32 random bytes, the same on all nodes of the cloud, as hex or base64. With it, revealing
    /// can tell an image made here that this key does not open (wrong key) from one that carries
    /// no message; whoever learns it can tell images made here from others, and no more. Default:
    /// none.
    pub mark_secret: Option<Mark>,
}

impl Default for StegoConfig {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            file_max: limits.file_max,
            width_max: limits.width_max,
            height_max: limits.height_max,
            memory_max: limits.memory_max,
            parallel: std::thread::available_parallelism().map_or(1, Into::into),
            threads: 1,
            waiting_max: 512 << 20,
            mark_secret: None,
        }
    }
}

/// Seals payloads, hides them in images, and reveals them again.
#[derive(Clone, Debug)]
pub struct Stego {
    settings: Arc<Settings>,
    /// One permit for each image that may be worked on.
    workers: Arc<Semaphore>,
    /// One permit for each started [`UNIT`] of files on this node.
    room: Arc<Semaphore>,
}

/// What room for files is counted in: semaphores count to 2^32 and fewer.
const UNIT: u64 = 4096;

impl Stego {
    /// The service as `config` has it.
    ///
    /// # Errors
    ///
    /// [`Code::FailedPrecondition`] if nothing could ever be done under it.
    #[allow(
        clippy::unused_async,
        reason = "a service is opened by an async function"
    )]
    pub async fn open(_node: &NodeHandle, config: StegoConfig) -> Result<Self> {
        if config.parallel == 0 {
            let message = "services.stego.parallel is 0, so no image would ever be worked on";
            return Err(distri::Error::new(Code::FailedPrecondition, message));
        }
        if config.waiting_max < config.file_max {
            let message = "services.stego.waiting_max is below file_max, so the largest files \
                           that are allowed would always be refused";
            return Err(distri::Error::new(Code::FailedPrecondition, message));
        }
        Ok(Self::new(config))
    }

    fn new(config: StegoConfig) -> Self {
        let units = usize::try_from(config.waiting_max.div_ceil(UNIT)).unwrap_or(usize::MAX);
        Self {
            settings: Arc::new(Settings {
                limits: Limits {
                    file_max: config.file_max,
                    width_max: config.width_max,
                    height_max: config.height_max,
                    memory_max: config.memory_max,
                },
                mark: config.mark_secret,
                threads: config.threads,
            }),
            workers: Arc::new(Semaphore::new(config.parallel.min(Semaphore::MAX_PERMITS))),
            room: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))),
        }
    }

    /// The whole of `file`, and the room that it takes until dropped.
    async fn take(&self, file: Blob) -> Result<(Bytes, OwnedSemaphorePermit)> {
        let max = self.settings.limits.file_max;
        // Without a stated length it may turn out as long as any.
        let units = file.len().unwrap_or(max).min(max).div_ceil(UNIT);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room)
            .try_acquire_many_owned(units)
            .map_err(|_| {
                distri::Error::new(
                    Code::Busy,
                    "as many images are waiting here as there is room for",
                )
            })?;
        Ok((file.bytes(max).await?, room))
    }

    /// As [`take`](Self::take), of several files one after the other.
    async fn take_all(&self, files: Vec<Blob>) -> Result<Vec<(Bytes, OwnedSemaphorePermit)>> {
        let mut taken = Vec::new();
        for file in files {
            taken.push(self.take(file).await?);
        }
        Ok(taken)
    }

    /// Waits for a free worker and has it do `work`.
    async fn work<R: Send + 'static>(
        &self,
        cx: &Context,
        work: impl FnOnce(&Settings, &Context) -> Result<R, Error> + Send + 'static,
    ) -> Result<R> {
        let worker = Arc::clone(&self.workers).acquire_owned().await;
        let worker = worker.map_err(|_| distri::Error::new(Code::Unavailable, "stopping"))?;
        let (settings, inner) = (Arc::clone(&self.settings), cx.clone());
        let done = cx
            .blocking(move || {
                // Held by the work, not by the call: a call that is dropped leaves work behind
                // that runs to its next step.
                let _worker = worker;
                work(&settings, &inner)
            })
            .await?;
        Ok(done?)
    }
}

/// Seals a payload and hides it in an image, so that any viewer shows that image as before, and
/// nobody without the key can read or recognise what is in it. Reveals it again: exactly, or with
/// an error that tells which.
#[distri::service(init = Stego::open, concurrency = 1024)]
impl Stego {
    /// Seals `payload` under `key` and hides it in the image file `cover` (PNG, JPEG, WebP, BMP,
    /// GIF or TIFF). Gives a PNG, or a JPEG of a cover that stays one, which was opened again and
    /// compared before.
    #[method(idempotent)]
    async fn hide(
        &self,
        cx: &Context,
        cover: Blob,
        payload: Blob,
        key: Key,
        options: HideOptions,
    ) -> Result<StegoImage> {
        let (cover, cover_room) = self.take(cover).await?;
        let (payload, payload_room) = self.take(payload).await?;
        let (hidden, room) = self
            .work(cx, move |settings, cx| {
                let _payload_room = payload_room;
                let seed = random_seed()?;
                let job = Job {
                    cover: &cover,
                    payload: &payload,
                    key: &key,
                    options: &options,
                    seed: &seed,
                    go_on: &|| !cx.is_cancelled(),
                };
                let hidden = settings.hide_with(&job, &mut |step| {
                    let (fraction, note) = progress(step);
                    cx.progress(fraction, note);
                    if cx.is_cancelled() {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                })?;
                Ok((hidden, cover_room))
            })
            .await?;
        let image = Held::blob(hidden.image, room);
        let report = hidden.report;
        Ok(StegoImage { image, report })
    }

    /// Opens what `key` has hidden in the image file `image`: one made by `hide`, or, if that was a PNG,
    /// the same pixels saved again without loss.
    #[method(idempotent)]
    async fn reveal(&self, cx: &Context, image: Blob, key: Key) -> Result<Secret> {
        let (image, room) = self.take(image).await?;
        let (revealed, room) = self
            .work(cx, move |settings, cx| {
                if cx.is_cancelled() {
                    return Err(Error::Stopped);
                }
                cx.progress(0.0, "searching the image");
                Ok((settings.reveal(&image, &key)?, room))
            })
            .await?;
        Ok(secret(revealed, room))
    }

    /// Seals `payload` under `key` and hides a part of it in each of `covers`, so that any `needed` of
    /// the images give it back; 0 is all of them. Up to 255 covers; the smallest decides how much
    /// fits. Gives the images in the order of the covers.
    #[method(idempotent)]
    async fn hide_over(
        &self,
        cx: &Context,
        covers: Vec<Blob>,
        payload: Blob,
        key: Key,
        options: HideOptions,
        needed: u8,
    ) -> Result<Vec<StegoImage>> {
        let covers = self.take_all(covers).await?;
        let (payload, payload_room) = self.take(payload).await?;
        let made = self
            .work(cx, move |settings, cx| {
                let _payload_room = payload_room;
                let seed = random_seed()?;
                let files: Vec<&[u8]> = covers.iter().map(|(file, _)| file.as_ref()).collect();
                let count = files.len() as f32;
                let job = JobOver {
                    covers: Covers {
                        files: &files,
                        needed: needed.into(),
                    },
                    payload: &payload,
                    key: &key,
                    options: &options,
                    seed: &seed,
                    go_on: &|| !cx.is_cancelled(),
                };
                let hidden = settings.hide_over_with(&job, &mut |cover, step| {
                    let (fraction, note) = progress(step);
                    cx.progress((cover as f32 + fraction) / count, note);
                    if cx.is_cancelled() {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                })?;
                let rooms = covers.into_iter().map(|(_, room)| room);
                Ok(hidden.into_iter().zip(rooms).collect::<Vec<_>>())
            })
            .await?;
        let image = |(hidden, room): (super::Hidden, _)| StegoImage {
            image: Held::blob(hidden.image, room),
            report: hidden.report,
        };
        Ok(made.into_iter().map(image).collect())
    }

    /// Opens what `key` has hidden in `images` by `hide_over`, as many of them as are needed, in any
    /// order. Images that give nothing are passed over as long as the others suffice.
    #[method(idempotent)]
    async fn reveal_from(&self, cx: &Context, images: Vec<Blob>, key: Key) -> Result<Secret> {
        let mut images = self.take_all(images).await?;
        let (revealed, room) = self
            .work(cx, move |settings, cx| {
                if cx.is_cancelled() {
                    return Err(Error::Stopped);
                }
                cx.progress(0.0, "searching the images");
                let files: Vec<&[u8]> = images.iter().map(|(file, _)| file.as_ref()).collect();
                let revealed = settings.reveal_from(&files, &key)?.revealed;
                let (_, room) = images.swap_remove(0);
                Ok((revealed, room))
            })
            .await?;
        Ok(secret(revealed, room))
    }

    /// Says what the image file `cover` is good for: its noise, whether it was a JPEG, how much is
    /// recommended for it.
    #[method(idempotent)]
    async fn analyze(&self, cx: &Context, cover: Blob) -> Result<Analysis> {
        let (cover, room) = self.take(cover).await?;
        self.work(cx, move |settings, cx| {
            let _room = room;
            if cx.is_cancelled() {
                return Err(Error::Stopped);
            }
            settings.analyze(&cover)
        })
        .await
    }

    /// Says how many bytes fit into the image file `cover`.
    #[method(idempotent)]
    async fn capacity(&self, cx: &Context, cover: Blob) -> Result<Capacity> {
        let (cover, room) = self.take(cover).await?;
        self.work(cx, move |settings, cx| {
            let _room = room;
            if cx.is_cancelled() {
                return Err(Error::Stopped);
            }
            settings.capacity(&cover)
        })
        .await
    }
}

/// A result on its way out. It keeps the room of the file it was made from, so that callers who
/// read slowly cannot fill the node's memory.
struct Held {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl Held {
    /// Chunks of the size in which distri sends blobs. Shorter results go as they are: they may
    /// travel inside the reply, and are gone with it.
    const CHUNK: usize = 64 * 1024;

    fn blob(bytes: Vec<u8>, room: OwnedSemaphorePermit) -> Blob {
        let length = bytes.len();
        if length <= Self::CHUNK {
            return Blob::from(bytes);
        }
        let bytes = bytes.into();
        Blob::from_chunks(Some(length as u64), Self { bytes, _room: room })
    }
}

impl Stream for Held {
    type Item = Result<Bytes>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Bytes>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.bytes.len().min(Self::CHUNK);
        Poll::Ready(Some(Ok(self.bytes.split_to(length))))
    }
}

fn secret(revealed: Revealed, room: OwnedSemaphorePermit) -> Secret {
    let payload = Held::blob(revealed.payload, room);
    let (label, method) = (revealed.label, revealed.method);
    Secret {
        payload,
        label,
        method,
    }
}

/// How far hiding is when a step begins. Reading, writing and reading again take about as long
/// each; the rest is quick, except that a passphrase takes its time.
fn progress(step: Step) -> (f32, &'static str) {
    match step {
        Step::Decoding => (0.0, "reading the cover"),
        Step::Embedding => (0.35, "hiding"),
        Step::Writing => (0.45, "writing the image"),
        Step::Checking => (0.65, "checking the image"),
    }
}

/// A stego image, and how it came about.
#[distri::message]
#[derive(Debug)]
pub struct StegoImage {
    /// A PNG file, or a JPEG file of a cover that stayed one: see the report's `format`.
    pub image: Blob,
    /// What was done.
    pub report: Report,
}

/// What had been hidden in an image.
#[distri::message]
#[derive(Debug)]
pub struct Secret {
    /// The payload, exactly as it was.
    pub payload: Blob,
    /// The label that travelled with it. In JSON, base64.
    #[serde(with = "crate::text")]
    #[schemars(with = "String")]
    pub label: Vec<u8>,
    /// How it had been put in.
    pub method: Method,
}

impl ServiceError for Error {
    fn code(&self) -> Code {
        match self {
            Self::NotAnImage
            | Self::BrokenImage { .. }
            | Self::UnsupportedPixels { .. }
            | Self::Animated { .. }
            | Self::LabelTooLong { .. }
            | Self::Covers { .. }
            | Self::PartsOfOthers { .. }
            | Self::Transparent
            | Self::Height { .. }
            | Self::NotAsJpeg { .. }
            | Self::Key { .. } => Code::InvalidArgument,
            Self::TooLarge { .. } => Code::TooLarge,
            Self::CoverTooSmall { .. } | Self::JpegPast { .. } | Self::PartsMissing { .. } => {
                Code::FailedPrecondition
            }
            Self::InCover { source, .. } => source.code(),
            Self::WrongKey => Code::Denied,
            Self::NoMessage | Self::NotStego { .. } => Code::NotFound,
            Self::Damaged => Code::DataLoss,
            Self::Newer { .. } => Code::Unsupported,
            Self::Stopped => Code::Cancelled,
            Self::SelfCheck { .. } | Self::Randomness { .. } => Code::Internal,
        }
    }

    fn kind() -> &'static str {
        "StegoError"
    }
}
