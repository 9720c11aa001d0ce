//! Who calls the writer: a thread of the log, or those who ask.

#![allow(
    clippy::disallowed_methods,
    reason = "a driver: the thread that writes the log"
)]

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
};

use super::{
    queue::{Shared, Work},
    writer::LogWriter,
};
use crate::storage::StorageError;

/// Runs the writer; ends with the last handle.
#[derive(Debug)]
pub(super) struct Driver {
    shared: Arc<Shared>,
    runs: Runs,
}

#[derive(Debug)]
enum Runs {
    Thread(Option<JoinHandle<()>>),
    Inline(Mutex<Option<Box<LogWriter>>>),
}

impl Driver {
    pub(super) fn start(
        shared: Arc<Shared>,
        writer: LogWriter,
        inline: bool,
    ) -> Result<Self, StorageError> {
        let runs = if inline {
            Runs::Inline(Mutex::new(Some(Box::new(writer))))
        } else {
            let shared = shared.clone();
            let thread = thread::Builder::new()
                .name("distri-log".into())
                .spawn(move || run(&shared, writer))
                .map_err(StorageError::io("start the thread of", "log"))?;
            Runs::Thread(Some(thread))
        };
        Ok(Self { shared, runs })
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Puts something in the queue, and sees to it that it is carried out.
    pub(super) fn ask<T>(&self, ask: impl FnOnce(&Shared) -> T) -> T {
        let answer = ask(&self.shared);
        if let Runs::Inline(writer) = &self.runs {
            run_inline(&self.shared, writer);
        }
        answer
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.ask(|shared| shared.close(Box::new(drop)));
        if let Runs::Thread(thread) = &mut self.runs
            && let Some(thread) = thread.take()
            // A callback may have held the last handle; the thread then ends by itself.
            && thread.thread().id() != thread::current().id()
        {
            // It cannot have panicked with anything left to tell.
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, mut writer: LogWriter) {
    loop {
        match shared.wait_for_work() {
            Work::Batch(batch) => shared.carry_out(&mut writer, batch),
            Work::Finish => return shared.finish(Some(writer)),
        }
    }
}

/// Works until the queue is empty. What callbacks ask for meanwhile is done here too, in order.
fn run_inline(shared: &Shared, writer: &Mutex<Option<Box<LogWriter>>>) {
    while let Some(work) = shared.begin_work() {
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        match (work, &mut *writer) {
            (Work::Batch(batch), Some(writer)) => shared.carry_out(writer, batch),
            (Work::Batch(_), None) => {}
            (Work::Finish, writer) => {
                let writer = writer.take().map(|writer| *writer);
                shared.finish(writer);
                return shared.end_work();
            }
        }
        drop(writer);
        shared.end_work();
    }
}
