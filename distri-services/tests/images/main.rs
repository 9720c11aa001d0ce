//! The images service: `media` is about files from strangers, `records` about what people sign, `cloud`
//! about the cloud's part, `delivery` about images on their way, `person` about whole people.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod cloud;
mod delivery;
mod events;
mod forged;
mod media;
mod person;
mod records;
mod sharing;
