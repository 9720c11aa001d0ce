//! What `--help` says, and what is said of wrong usage.

use std::process::Stdio;

use crate::program;

const COMMANDS: [&[&str]; 10] = [
    &[],
    &["node"],
    &["call"],
    &["services"],
    &["nodes"],
    &["id"],
    &["config"],
    &["config", "show"],
    &["config", "check"],
    &["new-cloud"],
];

#[test]
fn help_fits_a_screen_and_each_flag_says_its_default() {
    let program = program();
    for command in COMMANDS {
        let help = program.ok(&[command, &["--help"]].concat());

        assert!(
            help.lines().count() <= 42,
            "{command:?}: {} lines\n{help}",
            help.lines().count()
        );
        assert!(
            help.lines().all(|line| line.chars().count() <= 100),
            "{command:?}:\n{help}"
        );
        let flags = help
            .lines()
            .filter(|line| line.trim_start().starts_with('-'));
        for flag in flags {
            let is_fixed = ["--help", "--version", "--json", "--create", "--new"]
                .iter()
                .any(|fixed| flag.contains(fixed));
            assert!(
                is_fixed || flag.contains("[default: "),
                "{command:?}: {flag}"
            );
        }
    }
}

#[test]
fn help_says_what_is_returned_to_the_shell() {
    let help = program().ok(&["--help"]);

    assert!(
        help.starts_with("A tour of what methods can take"),
        "{help}"
    );
    assert!(
        help.contains("Exit codes: 0 done, 1 failed, 2 wrong usage"),
        "{help}"
    );
}

#[test]
fn an_unknown_flag_or_command_is_wrong_usage_and_names_the_near_one() {
    let program = program();

    let flag = program.run(&["node", "--lisen", "x"]);
    let command = program.run(&["nod"]);

    assert_eq!((flag.exit, command.exit), (2, 2));
    assert!(flag.stderr.contains("--listen"), "{}", flag.stderr);
    assert!(command.stderr.contains("node"), "{}", command.stderr);
}

#[test]
fn help_into_a_closed_pipe_is_no_error() {
    let program = program();
    let mut child = program
        .command(&["--help"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();

    drop(child.stdout.take());

    assert!(child.wait().unwrap().success());
}
