//! A tour of what methods can take, give and tell: files, streams in both directions, progress,
//! typed errors, who calls, whose turn it is.
//!
//! ```text
//! cargo run -p example-tour -- node
//! cargo run -p example-tour -- services tour
//! cargo run -p example-tour -- call tour digest file=@Cargo.lock
//! seq 5 | cargo run -p example-tour -- call tour squares numbers=@-
//! cargo run -p example-tour -- call tour wait steps=50
//! cargo run -p example-tour -- call tour alone millis=500
//! ```
//!
//! `tests/cli.rs` takes the tour, as a shell would.

use std::{fmt, time::Duration};

use distri::{Blob, Code, Context, Result, ServiceError, Stream};

#[derive(Default)]
struct Tour;

/// What methods can take, give and tell.
#[distri::service]
impl Tour {
    /// Size and checksum of a file. A `Blob` is read chunk by chunk as it arrives, whatever its
    /// size.
    #[method(idempotent)]
    async fn digest(&self, mut file: Blob) -> Result<Digest> {
        let mut digest = Digest {
            bytes: 0,
            checksum: 0,
        };
        while let Some(chunk) = file.next_chunk().await? {
            digest.bytes += chunk.len() as u64;
            let add = |sum: u32, byte: &u8| sum.rotate_left(5) ^ u32::from(*byte);
            digest.checksum = chunk.iter().fold(digest.checksum, add);
        }
        Ok(digest)
    }

    /// `bytes` bytes that count from 0 to 255 and over again.
    #[method(idempotent)]
    async fn ramp(&self, bytes: u32) -> Result<Blob> {
        let ramp: Vec<u8> = (0..bytes).map(|at| at as u8).collect();
        Ok(ramp.into())
    }

    /// A picture with its name: a blob inside a result.
    async fn picture(&self, name: String) -> Result<Picture> {
        Ok(Picture {
            name,
            image: Blob::from(DOT),
        })
    }

    /// The sum of a stream of numbers.
    async fn sum(&self, mut numbers: Stream<f64>) -> Result<f64> {
        let mut sum = 0.0;
        while let Some(number) = numbers.next().await {
            sum += number?;
        }
        Ok(sum)
    }

    /// The square of each number, as the numbers come.
    async fn squares(&self, numbers: Stream<i64>) -> Result<Stream<i64>> {
        let (sender, squares) = Stream::channel(16);
        let mut numbers = numbers;
        // Ends with the numbers, or when nobody reads squares any more.
        tokio::spawn(async move {
            while let Some(number) = numbers.next().await {
                let sent = match number.map(|number| number.checked_mul(number)) {
                    Ok(Some(square)) => sender.send(square).await,
                    Ok(None) => return sender.fail(TourError::TooLarge).await,
                    Err(error) => return sender.fail(error).await,
                };
                sent?;
            }
            Ok(())
        });
        Ok(squares)
    }

    /// Takes its time, and says how far it is.
    async fn wait(&self, cx: &Context, steps: u32) -> Result<u32> {
        for step in 0..steps {
            cx.progress(
                step as f32 / steps as f32,
                &format!("step {step} of {steps}"),
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(steps)
    }

    /// Refuses, with an error that arrives typed.
    async fn refuse(&self, needs: u32, has: u32) -> Result<(), TourError> {
        Err(TourError::TooLittle { needs, has })
    }

    /// Who calls, as the link has proved.
    async fn who(&self, cx: &Context) -> Result<String> {
        Ok(cx.caller().key.to_string())
    }

    /// Takes its time alone, in the whole cloud, however many ask: the others wait for their turn.
    /// Whose turn it is has a number that rises with each.
    async fn alone(&self, cx: &Context, millis: u64) -> Result<u64> {
        let turn = cx.node().election("tour/alone")?.campaign().await?;
        // What is written here is refused once somebody else may have the turn.
        let _directory = cx.directory().under(&turn);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(millis)) => {}
            () = turn.lost() => return Err(TourError::Interrupted.into()),
        }
        let number = turn.fence().number();
        turn.resign().await?;
        Ok(number)
    }

    /// Only for keys that the operator lists under `[access.roles]` as `guide`.
    #[method(access = role("guide"))]
    async fn backstage(&self) -> Result<String> {
        Ok("mind the step".to_owned())
    }
}

/// What [`Tour::digest`] gives.
#[distri::message]
struct Digest {
    bytes: u64,
    checksum: u32,
}

/// What [`Tour::picture`] gives.
#[distri::message]
struct Picture {
    name: String,
    image: Blob,
}

/// Why the tour stops.
#[distri::message]
#[derive(Debug)]
enum TourError {
    /// More is needed.
    TooLittle { needs: u32, has: u32 },
    /// A number has no square.
    TooLarge,
    /// The directory could not be reached, so it may be another's turn.
    Interrupted,
}

impl fmt::Display for TourError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLittle { needs, has } => write!(f, "{needs} needed, only {has} there"),
            Self::TooLarge => f.write_str("the square is too large"),
            Self::Interrupted => f.write_str("the turn was lost"),
        }
    }
}

impl std::error::Error for TourError {}

impl ServiceError for TourError {
    fn code(&self) -> Code {
        Code::FailedPrecondition
    }
}

/// A PNG of one grey dot.
const DOT: &[u8] = b"\
    \x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\
    \x00\x01\x08\x00\x00\x00\x00\x3a\x7e\x9b\x55\x00\x00\x00\x0a\x49\x44\x41\x54\x78\xda\x63\
    \x68\x00\x00\x00\x82\x00\x81\xda\x45\x08\x3b\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\
    \x82";

distri::main!();
