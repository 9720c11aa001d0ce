//! The permissions service: `sealing` is about the cryptography alone, `promises` about whole clusters in
//! the simulation, `crowd` about many who look at
//! once, `disks` about what nodes leave on theirs.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod crowd;
mod disks;
mod granting;
#[path = "../../../benches/permissions/measure.rs"]
mod measure;
mod measured;
mod promises;
mod sealing;
