//! What links cost that do nothing.

use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::{
    over_distri,
    process::{Server, cpu_time, load, resident, runtime},
    system::System,
};

/// Links dialled at once: below the bound on handshakes of a node.
const DIALING: usize = 64;

/// How long the links are then left alone: some intervals of the keep-alive.
const LEFT_ALONE: Duration = Duration::from_secs(15);

/// Links `count` clients to a node in another process, and prints what they cost that node.
pub(crate) fn run(count: usize) {
    let server = Server::start(System::Distri);
    let before = (resident(server.id()), cpu_time(server.id()));
    runtime().block_on(async {
        let start = Instant::now();
        let clients = link(&server.target, count).await;
        let (dialed, dialing) = (start.elapsed(), cpu_time(server.id()) - before.1);
        let after = resident(server.id());
        tokio::time::sleep(LEFT_ALONE).await;
        let (settled, idle) = (resident(server.id()), cpu_time(server.id()));
        tokio::time::sleep(LEFT_ALONE).await;
        let idle = cpu_time(server.id()) - idle;
        let per_link = |bytes: u64| (bytes - before.0) as f64 / count as f64 / 1024.0;
        println!(
            "links                      {count} in {dialed:.1?}, load {:.1}",
            load()
        );
        println!("node alone                 {:.1} MiB", mib(before.0));
        println!(
            "just linked                {:.1} MiB, {:.2} KiB a link",
            mib(after),
            per_link(after)
        );
        println!(
            "after {LEFT_ALONE:?}                  {:.1} MiB, {:.2} KiB a link",
            mib(settled),
            per_link(settled)
        );
        println!(
            "CPU of the node a link     {:.0} µs to link",
            dialing.as_secs_f64() * 1e6 / count as f64
        );
        println!(
            "CPU of the node, idle      {:.1} % of a core",
            idle.as_secs_f64() / LEFT_ALONE.as_secs_f64() * 100.0
        );
        assert!(clients.iter().all(|client| client.nodes().len() == 1));
    });
}

async fn link(target: &str, count: usize) -> Vec<distri::Client> {
    let mut clients = Vec::new();
    let mut dialing = JoinSet::new();
    for _ in 0..count {
        let target = target.to_owned();
        // A key each, as strangers have.
        dialing.spawn(async move { over_distri::link(&target, over_distri::transport()).await });
        if dialing.len() == DIALING {
            clients.extend(
                dialing
                    .join_next()
                    .await
                    .map(|client| client.expect("a link")),
            );
        }
    }
    clients.extend(dialing.join_all().await);
    clients
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
