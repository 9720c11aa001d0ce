//! No outside server is ever contacted: everything that leaves the machine is watched.
//!
//! The test runs itself in a network namespace whose default route leads to a device that counts what is
//! sent over it. Whatever would go to a name server, a relay or any other address of the world goes there.

use std::{process::Command, time::Duration};

use distri::{Node, identity::Identity};

use super::{answers, client, node_over_tcp, peer};

/// Set in the namespace.
const INSIDE: &str = "DISTRI_TEST_ALONE";
const TEST: &str = "alone::no_outside_server_is_contacted";
const DEVICE: &str = "outside0";

#[test]
fn no_outside_server_is_contacted() {
    if std::env::var_os(INSIDE).is_some() {
        return inside();
    }
    let this = std::env::current_exe().unwrap();
    let namespace = ["--net", "--map-root-user"];
    let permitted = Command::new("unshare").args(namespace).arg("true").status();
    if !permitted.is_ok_and(|status| status.success()) {
        eprintln!("no namespaces here: only the open sockets are looked at");
        run(false);
        return;
    }
    let status = Command::new("unshare")
        .args(namespace)
        .arg(this)
        .args(["--exact", TEST, "--nocapture"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "see above");
}

/// In the namespace: makes the way out, and watches it.
fn inside() {
    ip("link set lo up");
    // A bridge that leads nowhere: it counts what is sent, and says nothing of its own accord.
    ip(&format!("link add {DEVICE} type bridge mcast_snooping 0"));
    let quiet = format!("/proc/sys/net/ipv6/conf/{DEVICE}/disable_ipv6");
    std::fs::write(quiet, "1").unwrap();
    ip(&format!("addr add 192.0.2.1/24 dev {DEVICE}"));
    ip(&format!("link set {DEVICE} up"));
    ip(&format!(
        "neigh add 192.0.2.254 lladdr 02:00:00:00:00:01 dev {DEVICE} nud permanent"
    ));
    ip(&format!("route add default via 192.0.2.254 dev {DEVICE}"));
    // The watch itself works: a packet to the world is seen.
    let before = sent();
    let probe = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    probe.send_to(b"?", "198.51.100.1:9").unwrap();
    assert_eq!(sent(), before + 1);
    drop(probe);

    let before = sent();
    run(true);
    assert_eq!(sent(), before, "packets to the world");
}

/// Two peers on all interfaces call each other, and a third program calls one of them.
fn run(is_alone: bool) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let node: Node = node_over_tcp(|_| {}).await;
        let nodes = vec![node.endpoint()];
        let at = if is_alone { "0.0.0.0:0" } else { "127.0.0.1:0" };
        let alice = peer(&Identity::generate(), nodes.clone(), 1, at).await;
        let bob = peer(&Identity::generate(), nodes.clone(), 2, at).await;
        let client = client(nodes).await;
        answers(&alice.client().peer(bob.key()), 2).await;
        answers(&bob.client().peer(alice.key()), 1).await;
        answers(&client.peer(alice.key()), 1).await;
        // What is done in the background has time to show.
        for _ in 0..20 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            only_here();
        }
        alice.shutdown().await;
        bob.shutdown().await;
    });
}

/// No socket of this process is connected to any other address than this machine's.
fn only_here() {
    for (table, is_v6) in [
        ("tcp", false),
        ("udp", false),
        ("tcp6", true),
        ("udp6", true),
    ] {
        let text = std::fs::read_to_string(format!("/proc/self/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let inode = line.split_whitespace().nth(9).unwrap();
            if !ours(inode) {
                continue;
            }
            let remote = line.split_whitespace().nth(2).unwrap();
            let (ip, _port) = remote.split_once(':').unwrap();
            let is_here = if is_v6 {
                ip.bytes().all(|b| b == b'0')
                    || ip == "00000000000000000000000001000000"
                    || ip.starts_with("0000000000000000FFFF0000") && is_own(&ip[24..])
            } else {
                is_own(ip)
            };
            assert!(is_here, "{table}: {line}");
        }
    }
}

/// IPv4 as the kernel writes it: nobody, this machine, or the address of the way out.
fn is_own(ip: &str) -> bool {
    ip == "00000000" || ip.ends_with("7F") || ip == "010200C0"
}

fn ours(inode: &str) -> bool {
    let socket = format!("socket:[{inode}]");
    let files = std::fs::read_dir("/proc/self/fd").unwrap();
    files
        .filter_map(|file| std::fs::read_link(file.ok()?.path()).ok())
        .any(|target| target.to_string_lossy() == socket)
}

/// How many packets went out.
fn sent() -> u64 {
    let text = std::fs::read_to_string("/proc/self/net/dev").unwrap();
    let line = text.lines().find(|line| line.contains(DEVICE)).unwrap();
    let (_, counts) = line.split_once(':').unwrap();
    counts.split_whitespace().nth(9).unwrap().parse().unwrap()
}

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status();
    assert!(status.unwrap().success(), "ip {arguments}");
}
