//! The images service: `media` is about files from strangers, `records` about what people sign, `cloud`
//! about the cloud's part, `delivery` about images on their way, `person` about whole people, `fetching`
//! about what goes on by itself for them, `events` about what they hear, `away` about those who are not
//! there, or no longer where they were, `renewed` about keys that are replaced, `damaged` about profiles that
//! cannot be read.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod away;
mod cloud;
mod damaged;
mod delivery;
mod events;
mod fetching;
mod forged;
mod killed;
mod media;
mod person;
mod records;
mod renewed;
mod sharing;
