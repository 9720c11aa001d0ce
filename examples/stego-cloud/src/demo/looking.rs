//! The second half: Bob looks as often as he may, a node dies in between, and then nothing is left.

use std::time::{Duration, Instant};

use distri::cli::Failure;
use distri_services::{
    images::person::{PersonEvent, State, Terms, View},
    permissions::RequestId,
};

use super::{Story, cast::event, failed, lacks, sharing::in_a_week, wrong};
use crate::show::{self, Align, Table};

/// Longer than a cloud of three takes to go on without one.
const PATIENCE: Duration = Duration::from_secs(30);

impl Story {
    /// Bob looks once.
    pub(super) async fn look(&mut self, request: RequestId) -> Result<(), Failure> {
        let alice = self.cast.alice.person()?;
        let cursor = alice.log().cursor();
        let (view, took) = self.looked(request, "first").await?;
        let seen = Instant::now();
        self.shows(view, (1, 2))?;
        let viewed = |told: &PersonEvent| match told {
            PersonEvent::Viewed {
                request: of,
                view: 1,
                ..
            } if *of == request => Some(()),
            _ => None,
        };
        event(alice.log(), cursor, "news of the view", viewed).await?;
        let heard = seen.elapsed();
        self.way
            .step("Bob looks: the key is joined, the picture opened", took);
        lacks(self.cast.bob.home.folder().to_owned(), self.trace()?)?;
        self.folder.leave("seen.jpg", &self.published)?;
        self.tell.step("Bob looks: view 1 of 2", took)?;
        self.tell
            .line("The cloud gives its half of the key and counts; the picture opens in memory.")?;
        // She may well know before the picture is open.
        let when = if heard < Duration::from_millis(1) {
            "at once".to_owned()
        } else {
            format!("{} later", show::time(heard))
        };
        self.tell.line(&format!(
            "Alice hears of it {when}, with what Bob signed for it."
        ))?;
        self.tell
            .proves("It is Alice's photograph, byte for byte; no file of Bob's has it.")
    }

    /// The node that leads is killed; Bob looks again.
    pub(super) async fn look_without_the_leader(
        &mut self,
        request: RequestId,
    ) -> Result<(usize, String), Failure> {
        let killed = self.cast.cloud.kill_the_leader();
        let (place, name) = killed.ok_or_else(|| wrong("no node leads the cloud"))?;
        let (view, took) = self.looked(request, "second").await?;
        self.shows(view, (2, 2))?;
        self.tell.step(
            &format!("{name}, which led the cloud, is killed; Bob looks"),
            took,
        )?;
        self.tell
            .line("The other two elect a leader and go on counting: view 2 of 2.")?;
        self.tell
            .proves("A node that dies takes no view with it, and gives none back.")?;
        Ok((place, name))
    }

    /// Nothing is left.
    pub(super) async fn look_in_vain(&mut self, request: RequestId) -> Result<(), Failure> {
        let (view, took) = self.looked(request, "third").await?;
        let cover = self.is_over(view, State::Exhausted)?;
        self.folder.leave("what-is-left.png", &cover)?;
        self.tell.step("Bob looks a third time, in vain", took)?;
        self.tell
            .line("All views are used. What he sees is the coffee that it was hidden in.")?;
        self.tell
            .proves("The cloud has deleted its half of the key: copies and backups open nothing.")
    }

    /// Alice gives more, and takes it back.
    pub(super) async fn extend_and_revoke(&mut self, request: RequestId) -> Result<(), Failure> {
        let alice = self.cast.alice.person()?.clone();
        let began = Instant::now();
        let terms = Terms {
            views: 4,
            expires_ms: in_a_week(),
        };
        alice.extend(request, terms).await?;
        let (view, _) = self.looked(request, "fourth").await?;
        self.shows(view, (3, 4))?;
        alice.revoke(request).await?;
        let (view, _) = self.looked(request, "fifth").await?;
        self.is_over(view, State::Revoked)?;
        self.tell.step(
            "Alice allows 4 in all, Bob looks, and she takes it back",
            began.elapsed(),
        )?;
        self.tell
            .line("View 3 of 4 with the file that he has; then refused, with 1 left.")?;
        self.tell
            .proves("Giving more sends nothing again; taking back holds from that moment on.")
    }

    /// The dead node comes back; and Alice reads who looked when.
    pub(super) async fn audit(
        &mut self,
        request: RequestId,
        (place, name): (usize, String),
    ) -> Result<(), Failure> {
        let began = Instant::now();
        self.cast.cloud.start_again(place).await?;
        let audited = self.cast.alice.person()?.audit(request).await?;
        let took = began.elapsed();
        let looks = audited
            .iter()
            .filter(|entry| entry.what.starts_with("looked"));
        if looks.count() != 3 {
            return Err(wrong("the audit does not have the three looks"));
        }
        self.tell.step(
            &format!("{name} is back; Alice reads who looked when"),
            took,
        )?;
        let mut table = Table::new(&[
            ("  after", Align::Right),
            ("who", Align::Left),
            ("what", Align::Left),
        ]);
        let first = audited.first().map_or(0, |entry| entry.at_ms);
        for entry in &audited {
            let after = Duration::from_millis(entry.at_ms.saturating_sub(first));
            table.row([
                format!("  {}", show::time(after)),
                entry.who.clone(),
                entry.what.clone(),
            ]);
        }
        self.tell.table(&table)?;
        self.tell
            .proves("Each line is signed by who did it, and chained to the one before.")
    }

    /// Looks, as often as it takes: the same look again spends no other view.
    async fn looked(&self, request: RequestId, attempt: &str) -> Result<(View, Duration), Failure> {
        let bob = self.cast.bob.person()?;
        let began = Instant::now();
        let view = loop {
            match bob.view(request, attempt).await {
                Ok(view) => break view,
                Err(error)
                    if (error.is_retryable() || error.is_unknown_outcome())
                        && began.elapsed() < PATIENCE => {}
                Err(error) => return Err(failed(error)),
            }
        };
        Ok((view, began.elapsed()))
    }

    /// Checks that the photograph was shown, as which view of how many.
    fn shows(&self, view: View, expected: (u32, u32)) -> Result<(), Failure> {
        match view {
            View::Shown(seen) if (seen.view, seen.of) != expected => {
                Err(wrong("the cloud counts otherwise"))
            }
            View::Shown(seen) if *seen.file != self.published => {
                Err(wrong("Bob sees another picture than Alice's"))
            }
            View::Shown(_) => Ok(()),
            View::Over { .. } => Err(wrong("a view that was granted was refused")),
        }
    }

    /// Checks that nothing was shown but the cover, and why.
    fn is_over(&self, view: View, why: State) -> Result<Vec<u8>, Failure> {
        match view {
            View::Over { state, cover } if state == why && cover == self.delivered => Ok(cover),
            View::Over { .. } => Err(wrong("another cover is shown, or for another reason")),
            View::Shown(_) => Err(wrong("the picture was shown once too often")),
        }
    }
}
