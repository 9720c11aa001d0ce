//! Nodes are killed, hung, stopped and started again under clients at work.

use std::time::Duration;

use tokio::runtime::Runtime;

use crate::{
    cloud::{Cloud, State},
    dice::Dice,
    seeds::for_seeds,
    siege::Siege,
};

/// How long the clients go on when all is well again: long enough to meet what the faults left.
const PEACE: Duration = Duration::from_secs(1);

#[test]
fn answers_of_three_processes_are_those_of_one_copy() {
    for_seeds(1..=1, 12, "answers_of_three", |seed, deeds| {
        trial(3, seed, deeds);
    });
}

#[test]
fn answers_of_five_processes_are_those_of_one_copy() {
    for_seeds(2..=2, 12, "answers_of_five", |seed, deeds| {
        trial(5, seed, deeds);
    });
}

fn trial(nodes: usize, seed: u64, deeds: usize) {
    let mut cloud = Cloud::of(nodes);
    let siege = Siege::of(&cloud, seed, Runtime::new().unwrap());
    let mut nemesis = Nemesis {
        dice: Dice::of(seed, 0x006e_656d_6573_6973),
    };

    for _ in 0..deeds {
        let pause = nemesis.dice.millis(100..=1200);
        std::thread::sleep(pause);
        let deed = nemesis.act(&mut cloud, &siege);
        println!(
            "after {pause:?}: {deed}; {} operations known",
            siege.known()
        );
    }
    cloud.recover_all();
    std::thread::sleep(PEACE);

    siege.lift();
}

/// Who makes things go wrong, as its dice say.
struct Nemesis {
    dice: Dice,
}

impl Nemesis {
    fn act(&mut self, cloud: &mut Cloud, siege: &Siege) -> String {
        let up = cloud.those(State::Up);
        let ill = cloud.size() - up.len();
        // The more are ill, the likelier one gets well.
        if self.dice.percent(100 * ill as u64 / cloud.size() as u64) {
            let ill: Vec<_> = (0..cloud.size()).filter(|at| !up.contains(at)).collect();
            let place = *self.dice.pick(&ill).unwrap();
            cloud.recover(place);
            return format!("{place} recovers");
        }
        let any = *self.dice.pick(&up).unwrap();
        match self.dice.below(12) {
            0..=2 => {
                let place = self.leader(cloud, siege).unwrap_or(any);
                cloud.kill(place);
                format!("kill {place}, the leader if there was one")
            }
            3 | 4 => {
                cloud.kill(any);
                format!("kill {any}")
            }
            5 => {
                for place in cloud
                    .those(State::Up)
                    .into_iter()
                    .chain(cloud.those(State::Hung))
                {
                    cloud.kill(place);
                }
                cloud.recover_all();
                "kill all, and start them".to_owned()
            }
            6 => {
                cloud.stop(any);
                format!("stop {any} in order")
            }
            7 | 8 => {
                let place = self.leader(cloud, siege).unwrap_or(any);
                cloud.hang(place);
                format!("hang {place}, the leader if there was one")
            }
            9 | 10 => {
                cloud.hang(any);
                format!("hang {any}")
            }
            _ => {
                cloud.recover_all();
                "all recover".to_owned()
            }
        }
    }

    /// The leader, if there is one that runs.
    fn leader(&self, cloud: &Cloud, siege: &Siege) -> Option<usize> {
        let place = cloud.place_of(siege.leader()?)?;
        cloud.those(State::Up).contains(&place).then_some(place)
    }
}
