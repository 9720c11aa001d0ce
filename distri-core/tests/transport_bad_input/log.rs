//! What an operator would read while strangers call.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Counts what an operator would read: lines of level info and above, from the transport.
#[derive(Clone, Default)]
pub(super) struct Log {
    lines: Arc<AtomicUsize>,
    /// Events of any level: how often something was tried.
    pub(super) turns: Arc<AtomicUsize>,
}

impl Log {
    pub(super) fn lines(&self) -> usize {
        self.lines.load(Ordering::Relaxed)
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, about: &tracing::Metadata<'_>) -> bool {
        about.target().starts_with("distri_core")
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        self.turns.fetch_add(1, Ordering::Relaxed);
        if *event.metadata().level() <= tracing::Level::INFO {
            self.lines.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
