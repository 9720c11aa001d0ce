//! A method that may be served more than once: again after its node died, or by two nodes at a time.

use std::time::Duration;

use proc_macro2::Ident;

use crate::{check::options::Hedge, complaints::Complaints, model::Placement};

/// How long a call with `once` may take: the client's bound.
const ONCE_LONGEST: Duration = Duration::from_secs(300);

/// How long a call may take if nobody says: the client's default.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// What the rules depend on.
pub(super) struct Again<'a> {
    /// Of the method; complaints about it as a whole belong there.
    pub(super) name: &'a Ident,
    pub(super) idempotent: bool,
    pub(super) timeout: Option<Duration>,
}

impl Again<'_> {
    /// `once`: all its effects are writes through the directory of its context.
    pub(super) fn check_once(&self, takes_context: bool, complaints: &mut Complaints) {
        if self.idempotent {
            complaints.at(
                self.name,
                "a method that is `idempotent` may be served again without `once`: write one of them",
            );
        }
        if !takes_context {
            complaints.at(
                self.name,
                "what a method with `once` does, it writes through `cx.directory()`: add \
                 `cx: &Context` as its first argument, or leave out `once`",
            );
        }
        if self.timeout.is_some_and(|timeout| timeout > ONCE_LONGEST) {
            complaints.at(
                self.name,
                "a call with `once` takes at most five minutes, as long as its writes are surely \
                 known again: write `timeout = \"5m\"` or less",
            );
        }
    }

    /// `hedge`: a call that takes long is asked of a second node too.
    pub(super) fn check_hedge(
        &self,
        hedge: &Hedge,
        placement: &Placement,
        streams: bool,
        complaints: &mut Complaints,
    ) {
        let timeout = self.timeout.unwrap_or(DEFAULT_TIMEOUT);
        let wrong = if !self.idempotent {
            "with `hedge` two nodes may serve one call: write `idempotent` too if that does no harm, \
             else leave out `hedge`"
        } else if *placement != Placement::Any {
            "`hedge` asks another node as well, and with this placement no other may serve the call: \
             leave out one of them"
        } else if streams {
            "a stream is read or written once, so only one node is asked: leave out `hedge`"
        } else if hedge.after >= timeout {
            "the call has timed out before another node is asked: write a shorter `hedge`, or a \
             longer `timeout` (30 seconds if none is written)"
        } else {
            return;
        };
        complaints.at(&hedge.at, wrong);
    }
}
