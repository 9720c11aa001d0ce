//! Asking a person before something is done that cannot be undone.

use std::io::{self, BufRead, IsTerminal, Write};

use distri::cli::{Exit, Failure};

/// Says how `--yes` is spelled, and that it was given.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub(crate) struct Yes {
    /// Do it without asking [default: ask]
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// Characters of an answer that are read, at most.
const ANSWER_MAX: u64 = 64;

impl Yes {
    /// Asks `question`, unless it was answered beforehand. Only `y` and `yes` go on.
    ///
    /// # Errors
    /// If the answer is no, or there is nobody to ask.
    pub(crate) async fn or_ask(self, question: &str) -> Result<(), Failure> {
        if self.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
            let message = format!("{question} There is nobody to ask here");
            return Err(Failure::usage(message).with_remedy("--yes answers beforehand"));
        }
        let question = question.to_owned();
        let answer = tokio::task::spawn_blocking(move || ask(&question)).await;
        match answer {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(Failure::new(Exit::Interrupted, "nothing was done")),
            Ok(Err(error)) => Err(Failure::new(Exit::Failed, error)),
            Err(error) => Err(Failure::new(Exit::Failed, error)),
        }
    }
}

fn ask(question: &str) -> io::Result<bool> {
    let mut stderr = io::stderr();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::Read::take(io::stdin().lock(), ANSWER_MAX).read_line(&mut answer)?;
    Ok(is_yes(&answer))
}

fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_yes_is_yes() {
        assert!(["y", "Yes\n", " YES "].into_iter().all(is_yes));
        assert!(!["", "\n", "n", "no", "yess", "ja"].into_iter().any(is_yes));
    }
}
