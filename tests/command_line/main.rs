//! The command line tool does what the facade does, and says what is wrong in a line.
#[path = "../support/networks.rs"]
mod networks;

mod data_sets;
mod failures;
mod manual;
mod measurements;
mod open_network;
mod quantization;
mod tool;
