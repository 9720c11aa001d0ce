//! What operators see of nodes that hang, die, leave and come back.

use std::time::Instant;

use crate::{
    cloud::Cloud,
    support::{cluster::Member, eventually},
};

#[test]
fn status_tells_within_seconds_who_hangs_died_left_and_is_back() {
    let mut cloud = Cloud::of(3);
    let [first, second, third] = [0, 1, 2];
    let sees = |cloud: &Cloud, by: usize, whom: usize, state: &str| {
        let seen = eventually_seen(&cloud.members[by], cloud.members[whom].name, state);
        println!("{state} after {seen:.1} s");
    };
    sees(&cloud, first, third, "alive");

    cloud.hang(third);
    sees(&cloud, first, third, "suspect");
    sees(&cloud, second, third, "down");
    let roles = cloud.members[first].program.ok(&["nodes"]);
    assert_eq!(roles.matches("ready").count(), 2, "{roles}");

    cloud.recover(third);
    sees(&cloud, first, third, "alive");
    sees(&cloud, third, first, "alive");

    cloud.kill(second);
    sees(&cloud, first, second, "down");
    sees(&cloud, third, second, "down");
    cloud.recover(second);
    sees(&cloud, third, second, "alive");

    cloud.stop(first);
    sees(&cloud, second, first, "left");
    cloud.recover(first);
    sees(&cloud, second, first, "alive");
    cloud.members[first].eventually_roles(&["leader", "voter", "voter"]);
}

/// Waits until `member` lists the node `name` in this state; gives for how long it waited.
#[track_caller]
fn eventually_seen(member: &Member, name: &str, state: &str) -> f64 {
    let began = Instant::now();
    let own = member.endpoint();
    eventually(&format!("{name} {state}"), || {
        let status = member.program.run(&["status", "--json", "--node", &own]);
        let members = (status.exit == 0).then(|| status.json())?;
        let one = members.as_array()?.iter().find(|one| one["name"] == name)?;
        (one["state"] == state).then_some(())
    });
    began.elapsed().as_secs_f64()
}
