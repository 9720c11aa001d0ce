//! All commands of the program, and the order in which `--help` tells them.

use clap::{ArgMatches, Command as Clap, FromArgMatches, Subcommand};
use distri::cli::{self, Global, JoinArgs};

use crate::{
    capacity::{self, CapacityArgs},
    completions::{self, CompletionsArgs},
    hide::{self, HideArgs},
    load::{self, LoadArgs},
    page::{self, UiArgs},
    people::People,
    reveal::{self, RevealArgs},
};

/// Everything that can be typed.
#[derive(Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    People(People),
    /// Share pictures on a page in the browser, served to this machine only
    Ui(UiArgs),
    /// Hide a file in an image
    Hide(HideArgs),
    /// Get a hidden file back
    Reveal(RevealArgs),
    /// Say how much an image can hide
    Capacity(CapacityArgs),
    /// Measure a cloud: clients hide and reveal photographs
    Load(LoadArgs),
    /// Print what a shell needs to complete commands and flags
    Completions(CompletionsArgs),
    #[command(flatten)]
    Stock(Stock),
}

/// distri's own commands. Its `join` makes a folder's node a member of a cluster; here people join,
/// and that one is called `join-node`.
pub(crate) struct Stock(cli::Command);

const JOIN: &str = "join";
const JOIN_NODE: &str = "join-node";

/// The commands that stand together in `--help`, under a heading; those in no group stand under the
/// last one.
const GROUPS: [(&str, &[&str]); 3] = [
    ("People", &People::NAMES),
    ("Page", &["ui"]),
    ("Stego", &["hide", "reveal", "capacity", "load"]),
];

const REST: &str = "Cloud";

impl Command {
    /// Does what was typed.
    pub(crate) fn run(self, global: &Global, program: Clap) -> std::process::ExitCode {
        match self {
            Self::People(verb) => cli::run_async(global, verb.run(global)),
            Self::Ui(args) => cli::run_async(global, page::run(args, global)),
            Self::Hide(args) => cli::run_async(global, hide::run(args, global)),
            Self::Reveal(args) => cli::run_async(global, reveal::run(args, global)),
            Self::Capacity(args) => cli::run_async(global, capacity::run(args, global)),
            Self::Load(args) => cli::run_async(global, load::run(args, global)),
            Self::Completions(args) => {
                cli::run_async(global, async { completions::run(args, program) })
            }
            Self::Stock(Stock(stock)) => cli::run(stock, global),
        }
    }
}

impl Subcommand for Stock {
    fn augment_subcommands(command: Clap) -> Clap {
        let stock = cli::Command::augment_subcommands(Clap::new("stock"));
        stock
            .get_subcommands()
            .cloned()
            .fold(command, |command, sub| {
                let sub = if sub.get_name() == JOIN {
                    sub.name(JOIN_NODE)
                } else {
                    sub
                };
                command.subcommand(sub)
            })
    }

    fn augment_subcommands_for_update(command: Clap) -> Clap {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        name == JOIN_NODE || (name != JOIN && cli::Command::has_subcommand(name))
    }
}

impl FromArgMatches for Stock {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        match matches.subcommand() {
            Some((JOIN_NODE, of_it)) => {
                JoinArgs::from_arg_matches(of_it).map(|args| Self(cli::Command::Join(args)))
            }
            _ => cli::Command::from_arg_matches(matches).map(Self),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// `program` with its commands in groups in `--help`.
pub(crate) fn grouped(program: Clap) -> Clap {
    let mut text = String::new();
    let subs: Vec<(String, String)> = program
        .get_subcommands()
        .filter(|sub| !sub.is_hide_set())
        .map(|sub| {
            let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
            (sub.get_name().to_owned(), about)
        })
        .collect();
    let widest = subs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let is_grouped = |name: &str| GROUPS.iter().any(|(_, names)| names.contains(&name));
    let mut group = |heading: &str, names: &[&str]| {
        text.push_str(&format!("{heading}:\n"));
        for name in names {
            if let Some((name, about)) = subs.iter().find(|(sub, _)| sub == name) {
                text.push_str(&format!("  {name:<widest$}  {about}\n"));
            }
        }
        text.push('\n');
    };
    for (heading, names) in GROUPS {
        group(heading, names);
    }
    let rest: Vec<&str> = subs.iter().map(|(name, _)| name.as_str()).collect();
    let rest: Vec<&str> = rest.into_iter().filter(|name| !is_grouped(name)).collect();
    group(REST, &rest);
    program.help_template(format!(
        "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{text}{{options}}{{after-help}}"
    ))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(subcommand)]
        command: Command,
    }

    fn program() -> Clap {
        <Program as clap::CommandFactory>::command()
    }

    #[test]
    fn help_tells_every_command_once() {
        program().debug_assert();
        let names: Vec<String> = program()
            .get_subcommands()
            .map(|sub| sub.get_name().to_owned())
            .collect();
        let help = grouped(program()).render_help().to_string();

        for name in names {
            let lines = help
                .lines()
                .filter(|line| line.starts_with(&format!("  {name} ")));
            assert_eq!(lines.count(), 1, "{name} in {help}");
        }
        for verb in People::NAMES {
            assert!(program().find_subcommand(verb).is_some(), "{verb}");
        }
    }

    #[test]
    fn people_join_as_somebody_and_nodes_by_another_command() {
        let person = Program::try_parse_from(["x", "join", "--as", "anna"]).unwrap();
        assert!(matches!(person.command, Command::People(People::Join(_))));
        let node = Program::try_parse_from(["x", "join-node", "distri-join-a"]).unwrap();
        assert!(matches!(
            node.command,
            Command::Stock(Stock(cli::Command::Join(_)))
        ));
        let other = Program::try_parse_from(["x", "nodes"]).unwrap();
        assert!(matches!(
            other.command,
            Command::Stock(Stock(cli::Command::Nodes))
        ));
    }
}
