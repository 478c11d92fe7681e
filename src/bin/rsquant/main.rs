//! The command line tool `rsquant`; docs/COMMAND_LINE.md is its manual. Each subcommand has a file; all of them call what the C API calls.
#![deny(unsafe_code)]
mod bench;
mod calibrate;
mod calibration;
mod command;
mod compare;
mod dataset;
mod inspect;
mod merge;
mod quantize;
mod recipe;
mod report;
mod settings;
mod table;
mod terminal;
mod top_class;
mod tune;

fn main() -> std::process::ExitCode {
    command::run()
}
