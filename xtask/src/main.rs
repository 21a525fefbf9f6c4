//! The project's own commands: `cargo xtask --help`.
//!
//! Everything they make goes to `target/`. Each can be run again: what is in place is left alone, and a failure names
//! its cause and the cure.

mod bench;
mod bundle;
mod demo;
mod layout;
mod progress;
mod setup;
mod shell;
mod soak;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::progress::Progress;

/// Ripieno's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Puts in place what the other commands need: Debian packages, ONNX Runtime, Python packages.
    Setup,
    /// Builds the CLAP and VST3 plug-ins, with models and ONNX Runtime beside them, into target/bundled.
    Bundle,
    /// Builds the plug-ins and copies them to where this user's DAWs look for them.
    Install,
    /// Plays the demo piece through the built plug-in in a host, and writes what was heard to target/demo.
    Demo,
    /// Checks everything: format, lints, documentation, tests, real hosts, faults, the demo.
    Test,
    /// Measures the time that notes and segments take on this machine.
    Bench,
    /// Plays densely for ten minutes beside a busy process, and writes what came of it to target/soak.json.
    Soak(soak::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Command::Setup => setup::everything(&mut Progress::new(setup::STEPS)),
        Command::Bundle => bundle::run(),
        Command::Install => bundle::install(),
        Command::Demo => demo::run(),
        Command::Test => test::run(),
        Command::Bench => bench::run(),
        Command::Soak(arguments) => soak::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
