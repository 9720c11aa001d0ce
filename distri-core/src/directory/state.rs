//! stub
use super::command::*;
use super::*;
use std::io;
#[derive(Default)]
pub(crate) struct State;
pub(crate) struct View;
impl View {
    pub(crate) fn find(&self, _: &Query) -> Result<Page, Refusal> {
        todo!()
    }
    pub(crate) fn count(&self, _: &Filter) -> Result<u64, Refusal> {
        todo!()
    }
}
impl State {
    pub(crate) fn apply(&mut self, _: &Batch) -> Result<Vec<Verdict>, std::fmt::Error> {
        todo!()
    }
    pub(crate) fn revision(&self) -> u64 {
        0
    }
    pub(crate) fn time_ms(&self) -> u64 {
        0
    }
    pub(crate) fn next_expiry_ms(&self) -> Option<u64> {
        None
    }
    pub(crate) fn last_change(&self, _: &str) -> u64 {
        0
    }
    pub(crate) fn get(&self, _: &Actor, _: &str, _: &str) -> Result<Option<Document>, Refusal> {
        todo!()
    }
    pub(crate) fn view(&self, _: &Actor, _: &str) -> Result<View, Refusal> {
        todo!()
    }
    pub(crate) fn collections(&self, _: &Actor) -> Vec<CollectionInfo> {
        todo!()
    }
    pub(crate) fn events_after(
        &self,
        _: &Actor,
        _: &str,
        _: u64,
        _: Option<&Filter>,
        _: usize,
    ) -> Result<Events, Refusal> {
        todo!()
    }
    pub(crate) fn freeze(&self) -> std::iter::Empty<Vec<u8>> {
        todo!()
    }
    pub(crate) fn from_blocks(
        _: &mut dyn Iterator<Item = io::Result<Vec<u8>>>,
    ) -> io::Result<State> {
        todo!()
    }
}
impl Command {
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        todo!()
    }
}
