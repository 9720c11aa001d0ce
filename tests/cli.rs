//! The commands as parts of a program's own command line.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use distri::{
    Code, Error,
    cli::{self, Exit, Failure},
};

/// A program with a command of its own beside the stock ones.
#[derive(Parser)]
struct Program {
    #[command(flatten)]
    global: cli::Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Says hello.
    Hello {
        #[arg(long, default_value = "world")]
        name: String,
    },
    #[command(flatten)]
    Stock(cli::Command),
}

fn parse(line: &str) -> Program {
    Program::try_parse_from(line.split(' ')).unwrap()
}

#[test]
fn the_stock_commands_stand_beside_a_programs_own() {
    Program::command().debug_assert();

    let own = parse("program hello --name you");
    let stock = parse("program call word-count count text=a --timeout 5s");

    assert!(matches!(own.command, Command::Hello { name } if name == "you"));
    let Command::Stock(cli::Command::Call(call)) = stock.command else {
        panic!("expected `call`");
    };
    assert_eq!(
        (call.service.as_str(), call.method.as_str()),
        ("word-count", "count")
    );
    assert_eq!(call.arguments, ["text=a"]);
    assert_eq!(call.timeout, Some(std::time::Duration::from_secs(5)));
}

#[test]
fn shared_flags_are_taken_before_and_after_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.toml");
    std::fs::write(&file, "[log]\nformat = 'json'\n").unwrap();
    let file = file.display();

    let before = parse(&format!(
        "program --config {file} --set node.name=a --json hello"
    ));
    let after = parse(&format!(
        "program hello --config {file} --set node.name=a --json"
    ));

    for Program { global, .. } in [before, after] {
        assert!(global.json);
        let config = global.load().unwrap();
        assert_eq!(config.node.name.as_deref(), Some("a"));
        assert_eq!(config.log.format, distri::config::LogFormat::Json);
    }
}

#[test]
fn a_command_of_the_program_returns_what_its_failure_says() {
    let global = cli::Global::default();

    let done = cli::run_async(&global, async { Ok(()) });
    let failed = cli::run_async(&global, async {
        Err(Failure::new(Exit::Unreachable, "nobody is there").with_remedy("wait"))
    });

    assert_eq!(format!("{done:?}"), format!("{:?}", ExitCode::SUCCESS));
    assert_eq!(format!("{failed:?}"), format!("{:?}", ExitCode::from(3)));
}

#[test]
fn a_failure_tells_each_cause_once_and_then_the_remedy() {
    let inner = std::io::Error::other("the disk is full");
    let error = Error::internal("could not save the picture", inner);

    let told = Failure::from(error).with_remedy("make room").to_string();

    assert_eq!(
        told,
        "error: could not save the picture\n  caused by: the disk is full\n  make room"
    );
}

#[test]
fn each_kind_of_error_has_its_exit_code() {
    let exit = |code| Failure::from(Error::new(code, "x")).exit();

    assert_eq!(exit(Code::Failed), Exit::Failed);
    assert_eq!(exit(Code::Denied), Exit::Failed);
    assert_eq!(exit(Code::InvalidArgument), Exit::Usage);
    assert_eq!(exit(Code::UnknownService), Exit::Usage);
    assert_eq!(exit(Code::Busy), Exit::Unreachable);
    assert_eq!(exit(Code::Unavailable), Exit::Unreachable);
    assert_eq!(exit(Code::DeadlineExceeded), Exit::Unknown);
    assert_eq!(exit(Code::UnknownOutcome), Exit::Unknown);
}
