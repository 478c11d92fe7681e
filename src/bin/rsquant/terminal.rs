//! What is printed: results on the standard output, progress on the standard error.
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use rsquant::error::{Error, Result};
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write};

/// Where a subcommand tells what it does and what came of it.
pub struct Terminal {
    json: bool,
    quiet: bool,
}

/// A progress bar; hidden where nobody looks.
pub struct Bar(ProgressBar);

impl Terminal {
    /// `json`: results are JSON; `quiet`: no bars, no summaries.
    pub fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// A bar for `total` steps of `what`, on the error stream if that is a terminal.
    pub fn bar(&self, total: u64, what: &str) -> Bar {
        let hidden = self.quiet || !std::io::stderr().is_terminal();
        let target = if hidden { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let style = ProgressStyle::with_template("{msg:<12} [{bar:32}] {pos}/{len}  {elapsed}, {eta} left");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
        bar.set_message(what.to_owned());
        Bar(bar)
    }

    /// Prints what was asked for.
    ///
    /// # Errors
    /// `Io`.
    pub fn show(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        if self.json { self.result(&json(value)?) } else { self.result(&text()) }
    }

    /// Prints what became of work that wrote files.
    ///
    /// # Errors
    /// `Io`.
    pub fn done(&self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        if self.quiet && !self.json { Ok(()) } else { self.show(value, text) }
    }

    /// Prints text as it is. A reader that went away has seen enough.
    ///
    /// # Errors
    /// `Io`.
    pub fn result(&self, text: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        let end = if text.ends_with('\n') { "" } else { "\n" };
        match write!(out, "{text}{end}").and_then(|()| out.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => {
                Err(Error::Io { path: "standard output".into(), message: error.to_string() })
            }
            _ => Ok(()),
        }
    }
}

fn json(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(|error| Error::InvalidArgument(format!("the result: {error}")))
}

impl Bar {
    /// A bar that is not drawn: a part of work that has one.
    pub fn hidden() -> Self {
        Bar(ProgressBar::hidden())
    }

    /// Steps done.
    pub fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Steps done and steps in all.
    pub fn set_of(&self, done: u64, total: u64) {
        self.0.set_length(total);
        self.0.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
