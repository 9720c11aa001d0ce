//! Many photographs at a time: some clients, each of which hides and reveals its photographs one
//! after the other, and checks every one. Where they keep an album, each photograph hidden is noted
//! in the cloud's directory before it is revealed.

use std::time::{Duration, Instant};

use bytes::Bytes;
use distri::{Error, cli::Failure, id::PublicKey};
use distri_services::stego::HideOptions;
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    key,
    work::{Done, Repeats, Secret, Stego},
};

/// A batch about to be run.
pub(crate) struct Batch {
    /// One for each client.
    pub(crate) clients: Vec<Stego>,
    /// How many photographs each client brings.
    pub(crate) images: u32,
    pub(crate) cover: Bytes,
    pub(crate) payload: Bytes,
    pub(crate) options: HideOptions,
    /// The collection of the directory in which each photograph that was hidden is noted; `None`
    /// notes nothing.
    pub(crate) album: Option<String>,
}

/// What became of one piece of work.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) piece: Piece,
    pub(crate) outcome: Result<Success, Problem>,
}

/// The pieces of work on a photograph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Piece {
    Hide,
    Note,
    Reveal,
}

/// A piece of work that was done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Success {
    pub(crate) node: PublicKey,
    pub(crate) took: Duration,
    pub(crate) repeats: Repeats,
    /// Bytes of the stego image that was made, noted or opened.
    pub(crate) bytes: u64,
}

/// A piece of work that was not done, or not well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("{}: {error}", error.code())]
    Call { error: Error },
    #[error("what was revealed is not what was hidden")]
    Differs,
}

/// What a batch brought.
pub(crate) struct Outcome {
    pub(crate) records: Vec<Record>,
    pub(crate) took: Duration,
}

/// Records on their way to whoever counts them; more only when these are counted.
const RECORDS: usize = 64;

impl Batch {
    /// The pieces of work there are if none fails.
    pub(crate) fn pieces(&self) -> u64 {
        let each = if self.album.is_some() { 3 } else { 2 };
        each * self.clients.len() as u64 * u64::from(self.images)
    }

    /// Runs the batch, and calls `count` with each record as it comes.
    ///
    /// # Errors
    /// If there is no randomness for keys. Pieces of work that fail are records like others.
    pub(crate) async fn run(self, mut count: impl FnMut(&Record)) -> Result<Outcome, Failure> {
        let began = Instant::now();
        let (records, mut counted) = mpsc::channel(RECORDS);
        let mut clients = JoinSet::new();
        for (number, stego) in self.clients.into_iter().enumerate() {
            let secret = Secret {
                cover: self.cover.clone(),
                payload: self.payload.clone(),
                key: key::random()?.0,
                options: self.options.clone(),
            };
            let client = Client {
                number,
                stego,
                secret,
                album: self.album.clone(),
                records: records.clone(),
            };
            clients.spawn(client.run(self.images));
        }
        drop(records);
        let mut all = Vec::new();
        while let Some(record) = counted.recv().await {
            count(&record);
            all.push(record);
        }
        Ok(Outcome {
            records: all,
            took: began.elapsed(),
        })
    }
}

/// One client at work.
struct Client {
    number: usize,
    stego: Stego,
    secret: Secret,
    album: Option<String>,
    records: mpsc::Sender<Record>,
}

impl Client {
    async fn run(self, images: u32) {
        for nr in 0..images {
            // A batch that nobody counts has been given up.
            if self.one(nr).await.is_err() {
                return;
            }
        }
    }

    async fn one(&self, nr: u32) -> Result<(), mpsc::error::SendError<Record>> {
        let hidden = match self.stego.hide(&self.secret).await {
            Ok(hidden) => hidden,
            Err(error) => {
                let outcome = Err(Problem::Call { error });
                return self.record(Piece::Hide, outcome).await;
            }
        };
        let image = hidden.value.file.clone();
        let outcome = Ok(success(&hidden, image.len()));
        self.record(Piece::Hide, outcome).await?;

        if let Some(album) = &self.album {
            let id = format!("{}-{nr}", self.number);
            let outcome = match self.stego.note(album, id, image.len()).await {
                Ok(noted) => Ok(success(&noted, image.len())),
                Err(error) => Err(Problem::Call { error }),
            };
            self.record(Piece::Note, outcome).await?;
        }

        let outcome = match self.stego.reveal(&image, &self.secret.key).await {
            Ok(found) if found.value.payload != self.secret.payload => Err(Problem::Differs),
            Ok(found) if found.value.label != self.secret.options.label => Err(Problem::Differs),
            Ok(found) => Ok(success(&found, image.len())),
            Err(error) => Err(Problem::Call { error }),
        };
        self.record(Piece::Reveal, outcome).await
    }

    async fn record(
        &self,
        piece: Piece,
        outcome: Result<Success, Problem>,
    ) -> Result<(), mpsc::error::SendError<Record>> {
        self.records.send(Record { piece, outcome }).await
    }
}

fn success<T>(done: &Done<T>, bytes: usize) -> Success {
    Success {
        node: done.node,
        took: done.took,
        repeats: done.repeats,
        bytes: bytes as u64,
    }
}
