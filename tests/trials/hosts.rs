//! Nodes on hosts of their own, far from each other over a bad wire, while the leader is cut off.

use std::time::Duration;

use crate::{
    cloud::{Cloud, DISTRI, NAMES},
    seeds::for_seeds,
    siege::Siege,
    support::cluster::Member,
    wire::Hosts,
};

const NODES: [usize; 3] = [0, 1, 2];
/// The host of the clients.
const CLIENTS: usize = 3;

/// One way.
const DELAY: Duration = Duration::from_millis(20);

/// Answers that must come between one step and the next.
const STEP: usize = 40;

#[test]
fn a_cloud_of_distant_hosts_works_on_through_loss_and_partitions_of_its_leader() {
    for_seeds(3..=3, 1, "a_cloud_of_distant_hosts", trial);
}

/// Cuts the leader off in each way, as often as `rounds` says.
fn trial(seed: u64, rounds: usize) {
    let hosts = match Hosts::of(4, seed) {
        Ok(hosts) => hosts,
        Err(why) => return println!("skipped: this machine has no hosts of their own: {why}"),
    };
    hosts.worsen(DELAY, 1);
    let mut cloud = Cloud::from(NODES.map(|host| on(&hosts, host)));
    let siege = Siege::of(&cloud, seed, hosts.runtime(CLIENTS));
    siege.must_go_on(STEP, "1 % is lost");

    for _ in 0..rounds {
        for way in [Way::From, Way::Nodes, Way::Out, Way::In] {
            let leader = cloud.eventually_leads(&siege);
            cut(&hosts, leader, way);
            siege.must_go_on(STEP, &format!("the leader, {leader}, is cut off: {way:?}"));
            hosts.heal();
            siege.must_go_on(STEP, "the wire is mended");
        }
        hosts.worsen(DELAY, 5);
        siege.must_go_on(STEP, "5 % is lost");
        let leader = cloud.eventually_leads(&siege);
        cloud.kill(leader);
        siege.must_go_on(STEP, &format!("the leader, {leader}, is killed"));
        cloud.recover_all();
        hosts.worsen(DELAY, 1);
    }

    siege.lift();
}

/// A node for a host.
fn on(hosts: &Hosts, host: usize) -> Member {
    let address = format!("{}:4600", hosts.address(host));
    let mut member = Member::at(DISTRI, NAMES[host], address);
    member.program.within(&hosts.within(host));
    // What operators of distant machines are told to set.
    member.program.set("DISTRI_DIRECTORY__TIMING", "cloud");
    member
}

/// How a leader is cut off.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// From everybody.
    From,
    /// From the other nodes; clients reach it, and it must not answer them with what is old.
    Nodes,
    /// It hears and is not heard.
    Out,
    /// It is heard and does not hear.
    In,
}

fn cut(hosts: &Hosts, leader: usize, way: Way) {
    let nodes: Vec<usize> = NODES.into_iter().filter(|&host| host != leader).collect();
    let all = [&nodes[..], &[CLIENTS]].concat();
    match way {
        Way::From => {
            hosts.cut(&[leader], &all);
            hosts.cut(&all, &[leader]);
        }
        Way::Nodes => {
            hosts.cut(&[leader], &nodes);
            hosts.cut(&nodes, &[leader]);
        }
        Way::Out => hosts.cut(&[leader], &all),
        Way::In => hosts.cut(&all, &[leader]),
    }
}
