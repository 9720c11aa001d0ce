//! [`Standing`]: whether a node takes calls, and if not, why.
#![warn(
    clippy::disallowed_methods,
    reason = "a machine, though inside a driver"
)]

/// How far a node has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Starting,
    Serving,
    Draining,
}

/// How a node stands with the directory that it keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Directory {
    /// Its part has ended, since its disk failed.
    pub(super) stopped: bool,
    /// It knows who leads.
    pub(super) has_leader: bool,
    /// How many nodes vote.
    pub(super) voters: usize,
    /// Of those, how many do not answer or have stopped. A leader that is cut off knows by this that
    /// it cannot write, and a node without a vote that the leader it knows of is gone.
    pub(super) voters_away: usize,
    /// It knows who is a member.
    pub(super) members_known: bool,
}

/// All that readiness depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) stage: Stage,
    /// None for a node that keeps no directory.
    pub(super) directory: Option<Directory>,
}

impl Standing {
    /// Why no calls should come here now; `None` if they may.
    pub(super) fn why_not_ready(&self) -> Option<String> {
        match self.stage {
            Stage::Starting => Some("starting: the services are being made".to_owned()),
            Stage::Draining => Some("draining: no new calls are taken".to_owned()),
            Stage::Serving => {
                let why = self.directory?.why_unusable()?;
                Some(format!("no directory: {why}"))
            }
        }
    }
}

impl Directory {
    fn why_unusable(&self) -> Option<String> {
        let there = self.voters.saturating_sub(self.voters_away);
        let needed = self.voters / 2 + 1;
        if self.stopped {
            Some("this node's part in it has ended, see its log".to_owned())
        } else if there < needed {
            let voters = self.voters;
            Some(format!(
                "{there} of {voters} voters are there, it takes {needed}"
            ))
        } else if !self.has_leader {
            Some("this node knows of no leader".to_owned())
        } else if !self.members_known {
            Some("the cluster's members are not known yet".to_owned())
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WELL: Directory = Directory {
        stopped: false,
        has_leader: true,
        voters: 3,
        voters_away: 1,
        members_known: true,
    };

    fn why(stage: Stage, directory: Option<Directory>) -> Option<String> {
        Standing { stage, directory }.why_not_ready()
    }

    #[test]
    fn a_node_is_ready_between_its_start_and_its_drain() {
        for directory in [None, Some(WELL)] {
            assert_eq!(why(Stage::Serving, directory), None);
            let starting = why(Stage::Starting, directory).unwrap();
            assert!(starting.starts_with("starting: "));
            let draining = why(Stage::Draining, directory).unwrap();
            assert!(draining.starts_with("draining: "));
        }
    }

    #[test]
    fn a_node_whose_directory_cannot_be_used_is_not_ready() {
        let reason = |directory| why(Stage::Serving, Some(directory));
        let mut directory = WELL;
        directory.members_known = false;
        assert!(reason(directory).unwrap().contains("members"));
        directory.has_leader = false;
        assert!(reason(directory).unwrap().contains("no leader"));
        directory.voters_away = 2;
        assert_eq!(
            reason(directory).unwrap(),
            "no directory: 1 of 3 voters are there, it takes 2"
        );
        directory.stopped = true;
        assert!(reason(directory).unwrap().contains("has ended"));
    }

    #[test]
    fn a_node_alone_is_a_majority() {
        let alone = Directory {
            voters: 1,
            voters_away: 0,
            ..WELL
        };

        assert_eq!(why(Stage::Serving, Some(alone)), None);
    }
}
