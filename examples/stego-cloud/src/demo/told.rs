//! How the story looks: numbered steps, each with what happened, what it proves, and how long it took.

use std::time::Duration;

use distri::cli::Failure;

use crate::show::{self, Align, Page, Table};

/// Columns of a line, at most.
const WIDTH: usize = 80;

/// Tells the story on stdout.
pub(super) struct Teller {
    page: Page,
    steps: u32,
}

impl Teller {
    pub(super) fn stdout() -> Self {
        Self {
            page: Page::stdout(),
            steps: 0,
        }
    }

    /// Begins a part that is no step.
    pub(super) fn title(&mut self, text: &str) -> Result<(), Failure> {
        let text = self.page.style().strong(text);
        self.page.line("")?;
        self.page.line(&text)
    }

    /// A step: its number, what it is, and how long it took.
    pub(super) fn step(&mut self, what: &str, took: Duration) -> Result<(), Failure> {
        self.steps += 1;
        let number = format!("{:>2}", self.steps);
        let time = show::time(took);
        let room = WIDTH - 4 - time.chars().count();
        let style = self.page.style();
        let what = style.strong(&format!("{what:<room$}"));
        self.page.line("")?;
        self.page
            .line(&format!("{number}  {what}{}", style.faint(&time)))
    }

    /// What happened.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.page.line(&format!("    {text}"))
    }

    /// What a step proves: checked before it is said.
    pub(super) fn proves(&mut self, text: &str) -> Result<(), Failure> {
        let mark = self.page.style().good("✓");
        self.page.line(&format!("  {mark} {text}"))
    }

    pub(super) fn table(&mut self, table: &Table) -> Result<(), Failure> {
        self.page.table(table)
    }

    /// Names and what they are.
    pub(super) fn list(&mut self, rows: &[(&str, &str)]) -> Result<(), Failure> {
        let wide = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, what) in rows {
            let what = self.page.style().faint(what);
            self.page.line(&format!("  {name:<wide$}  {what}"))?;
        }
        Ok(())
    }

    /// A command to type, and what it is for.
    pub(super) fn command(&mut self, command: &str, what: &str) -> Result<(), Failure> {
        let what = self.page.style().faint(&format!("# {what}"));
        self.page.line(&format!("  {what}"))?;
        self.page.line(&format!("  {command}"))
    }

    pub(super) fn end(&mut self, text: &str) -> Result<(), Failure> {
        let text = self.page.style().faint(text);
        self.page.line("")?;
        self.page.line(&text)
    }
}

/// The way from a request to the picture, by its steps.
#[derive(Debug, Default)]
pub(super) struct Way {
    steps: Vec<(&'static str, Duration)>,
}

impl Way {
    pub(super) fn step(&mut self, what: &'static str, took: Duration) {
        self.steps.push((what, took));
    }

    pub(super) fn table(&self) -> Table {
        let mut table = Table::new(&[
            ("from the request to the picture", Align::Left),
            ("", Align::Right),
        ]);
        for (what, took) in &self.steps {
            table.row([(*what).to_owned(), show::time(*took)]);
        }
        let whole = self.steps.iter().map(|(_, took)| *took).sum();
        table.row(["all of it".to_owned(), show::time(whole)]);
        table
    }
}
