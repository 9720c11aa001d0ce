//! placeholder
pub(crate) async fn run(_seed: u64, _nodes: usize) {}
