//! The command line as a whole: what all subcommands share, and how failures are told.
use crate::terminal::Terminal;
use crate::{bench, calibrate, compare, inspect, merge, quantize, recipe, report, tune};
use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};
use rsquant::error::{Error, Result};
use rsquant::isa::Isa;
use rsquant::pipeline::{Context, ContextOptions};
use std::process::ExitCode;

/// The exit code of work that failed.
const FAILED: u8 = 1;
/// The exit code of a command line that cannot be meant.
const MISUSED: u8 = 2;

/// Quantizes float neural networks to int8 after training, and measures and runs the result.
#[derive(Parser)]
#[command(name = "rsquant", version, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

/// What every subcommand takes.
#[derive(Args)]
#[command(next_help_heading = "In general")]
struct Common {
    /// Print the result as JSON.
    #[arg(long, global = true)]
    json: bool,
    /// No progress bar, and no summary of what was written.
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Threads; 0: as many as there are.
    #[arg(long, global = true, value_name = "N", default_value_t = 0)]
    threads: usize,
    /// The best instruction set to use: portable, avx2, avx_vnni, avx512_vnni, amx_int8.
    #[arg(long, global = true, value_name = "NAME", value_parser = isa)]
    max_isa: Option<Isa>,
}

#[derive(Subcommand)]
enum Command {
    /// Make an int8 model of an ONNX file.
    Quantize(quantize::Arguments),
    /// Collect statistics of an ONNX file's tensors and write them down.
    Calibrate(calibrate::Arguments),
    /// Join calibration states of the same network.
    Merge(merge::Arguments),
    /// Write recipes: of a calibration, or of another system's calibration.
    Recipe(recipe::Arguments),
    /// Tell what a file holds: an ONNX file, a model, a calibration state, a recipe.
    Inspect(inspect::Arguments),
    /// Measure how fast a model or an ONNX file runs.
    Bench(bench::Arguments),
    /// Compare a model with the ONNX file that it was made of, layer by layer.
    Compare(compare::Arguments),
    /// Write a report of a quantization: HTML and JSON.
    Report(report::Arguments),
    /// Find the layers to leave in float so that a metric is reached.
    Tune(tune::Arguments),
}

fn isa(name: &str) -> std::result::Result<Isa, String> {
    Isa::from_name(name).map_err(|error| error.to_string())
}

/// What a subcommand works with.
pub struct Job {
    /// Its threads.
    pub context: Context,
    /// Where it tells.
    pub terminal: Terminal,
}

/// Runs the command line of this process.
pub fn run() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => return usage(&error),
    };
    match execute(line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(FAILED)
        }
    }
}

fn execute(CommandLine { command, common }: CommandLine) -> Result<()> {
    let Common { json, quiet, threads, max_isa } = common;
    let context = Context::new(ContextOptions { threads, max_isa, ..ContextOptions::default() })?;
    let job = Job { context, terminal: Terminal::new(json, quiet) };
    match command {
        Command::Quantize(arguments) => quantize::run(&job, &arguments),
        Command::Calibrate(arguments) => calibrate::run(&job, &arguments),
        Command::Merge(arguments) => merge::run(&job, &arguments),
        Command::Recipe(arguments) => recipe::run(&job, &arguments),
        Command::Inspect(arguments) => inspect::run(&job, &arguments),
        Command::Bench(arguments) => bench::run(&job, &arguments),
        Command::Compare(arguments) => compare::run(&job, &arguments),
        Command::Report(arguments) => report::run(&job, &arguments),
        Command::Tune(arguments) => tune::run(&job, &arguments),
    }
}

/// Help and version are results; anything else is one line and its own exit code.
fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return match Terminal::new(false, false).result(&text) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                complain(&error.to_string());
                ExitCode::from(FAILED)
            }
        };
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        complain("no subcommand; rsquant --help lists them");
    } else {
        let message = text.split("\n\n").next().unwrap_or_default();
        complain(message.strip_prefix("error: ").unwrap_or(message));
    }
    ExitCode::from(MISUSED)
}

/// One line on the error stream, whatever the message is made of.
fn complain(message: &str) {
    let words: Vec<&str> = message.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    eprintln!("rsquant: error: {}", words.join(" "));
}

/// The error of a value that only the rest of the command line makes wrong.
pub fn refused(what: impl Into<String>) -> Error {
    Error::InvalidArgument(what.into())
}
