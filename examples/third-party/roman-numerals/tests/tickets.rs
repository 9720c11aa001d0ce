//! The tickets in a simulated cloud where anything goes wrong.
//!
//! What it finds: take the line `placement = key(office)` out of `src/tickets.rs`, or `concurrency = 1`,
//! and some seed hands out a number twice.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{collections::BTreeSet, time::Duration};

use distri::testing::{Chaos, Invariant, simulate};
use roman_numerals::{Tickets, TicketsClient};

#[test]
fn no_ticket_is_handed_out_twice() {
    simulate(1..=8, async |sim| {
        let cluster = sim.cluster(3).service(|| Tickets).start().await;
        cluster.watch(Invariant::OneOwner);
        let tickets = TicketsClient::new(cluster.client().await);
        let storm = cluster.chaos(Chaos::default());
        let mut drawn = BTreeSet::new();
        for _ in 0..30 {
            let draw = || tickets.draw("Rome".into()).timeout(Duration::from_secs(2));
            // Two people come at once. Some calls fail now; who got a ticket has it alone.
            let (one, other) = tokio::join!(draw(), draw());
            for ticket in [one, other].into_iter().flatten() {
                assert!(
                    drawn.insert(ticket.clone()),
                    "{ticket} was handed out twice"
                );
            }
        }
        storm.calm().await;
        assert!(tickets.draw("Rome".into()).await.is_ok());
    });
}
