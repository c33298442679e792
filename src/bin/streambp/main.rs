//! The command-line program. Every command prints a table, or JSON with `--json`.

// A closed pipe must be an error like any other, and not a panic: everything is printed by `output`.
#![deny(clippy::print_stdout, clippy::print_stderr)]

mod bench;
mod devices;
mod eval;
mod generate;
mod grad;
mod merge;
mod options;
mod out_directory;
mod output;
mod plan;
mod ranks;
mod record;
mod rewards;
mod roll_outs;
mod session;
mod signals;
mod text;
mod train;
mod training;
mod verify;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use ranks::Ranks;
use session::Session;
use signals::Signals;
use streambp::error::{Error, Result};

/// Exact back-propagation for long sequences, chunk by chunk.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    /// Part of the name of the adapter to use
    #[arg(long, global = true, value_name = "SUBSTRING")]
    adapter: Option<String>,
    /// Use the default kernels of the adapter's class, without autotuning
    #[arg(long, global = true)]
    no_tune: bool,
    /// Print JSON instead of a table
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
    /// The command's name.
    #[arg(skip)]
    name: String,
}

#[derive(Subcommand)]
enum Command {
    /// List adapters, their limits, and the limits that they lack; or report on one
    Devices(devices::Arguments),
    /// Train a model on a text, on conversations or on a generated task
    Train(Box<train::Arguments>),
    /// Write the gradient of one batch to a file
    Grad(grad::Arguments),
    /// Write a model with its adapters merged
    Merge(merge::Arguments),
    /// Plan the memory of a step, without a GPU
    Plan(plan::Arguments),
    /// Verify and time several strategies
    Bench(bench::Arguments),
    /// Verify that gradients are bit-identical for all strategies and chunk lengths
    Verify(verify::Arguments),
    /// Loss and perplexity of a model on a text or on conversations
    Eval(eval::Arguments),
    /// Continue a prompt, or answer it
    Generate(generate::Arguments),
}

impl Cli {
    /// Reads a command line. What is wrong with its options ends the program.
    ///
    /// # Errors
    /// Those of the file of a run that is to be resumed.
    fn read(given: Vec<OsString>) -> Result<Cli> {
        let mut command = Cli::command();
        let completed = record::complete(command.clone(), given)?;
        let matches = command.clone().get_matches_from(completed.arguments);
        let mut cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.format(&mut command).exit());
        matches.subcommand_name().unwrap_or_default().clone_into(&mut cli.name);
        if let (Command::Train(arguments), Some((name, matches))) = (&mut cli.command, matches.subcommand()) {
            arguments.record(command.find_subcommand(name).expect("it was just read"), matches, completed.written);
        }
        Ok(cli)
    }
}

fn main() -> ExitCode {
    name_a_runtime_directory();
    let Cli { adapter, no_tune, json, command, name } = match Cli::read(std::env::args_os().collect()) {
        Ok(cli) => cli,
        Err(error) => {
            output::say(format_args!("error: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let ranks = match Ranks::join(&name, matches!(command, Command::Train(_) | Command::Grad(_) | Command::Verify(_))) {
        Ok(ranks) => ranks,
        Err(error) => {
            output::error(format_args!("error: {error}"));
            return ExitCode::FAILURE;
        }
    };
    ranks.abort_on_panic();
    if !ranks.is_first() {
        output::fall_silent();
    }
    let signals = Signals::default();
    let session = Session { adapter: adapter.as_deref(), no_tune, json, signals: &signals, ranks: &ranks };
    let outcome = pollster::block_on(async {
        match command {
            Command::Devices(arguments) => devices::run(&arguments, session).await,
            Command::Train(arguments) => Box::pin(train::run(*arguments, session)).await,
            Command::Grad(arguments) => grad::run(arguments, session).await,
            Command::Merge(arguments) => merge::run(&arguments, session).await,
            Command::Plan(arguments) => plan::run(&arguments, session).await,
            Command::Bench(arguments) => bench::run(arguments, session).await,
            Command::Verify(arguments) => verify::run(arguments, session).await,
            Command::Eval(arguments) => eval::run(arguments, session).await,
            Command::Generate(arguments) => generate::run(arguments, session).await,
        }
    });
    match (outcome, signals.received()) {
        (Ok(code), _) => code,
        (Err(Error::Stopped), Some(signal)) => {
            ranks.abort();
            signal.status()
        }
        (Err(error), _) => {
            end(&ranks, &error);
            ExitCode::FAILURE
        }
    }
}

/// What keeps all ranks from going on, the first says, and ends the job before the others have waited for so long.
const WAIT_FOR_FIRST: Duration = Duration::from_secs(2);

/// Says why the program ends; and ends the whole job.
fn end(ranks: &Ranks, error: &Error) {
    match ranks.is_first() {
        true => output::error(format_args!("error: {error}")),
        false => {
            std::thread::sleep(WAIT_FOR_FIRST);
            output::error(format_args!("error on rank {}: {error}", ranks.rank()));
        }
    }
    ranks.abort();
}

/// Sets `XDG_RUNTIME_DIR` if it is missing, as in a container without a login. Otherwise Mesa's Vulkan driver, which looks there for the
/// socket of a display, prints an error. A path that cannot hold a socket suffices.
#[expect(unsafe_code, reason = "there is no safe way to change the environment")]
fn name_a_runtime_directory() {
    const VARIABLE: &str = "XDG_RUNTIME_DIR";
    let is_named = std::env::var_os(VARIABLE).is_some_and(|path| Path::new(&path).is_absolute());
    if cfg!(target_os = "linux") && !is_named {
        // SAFETY: this is the first thing that the program does, so no other thread reads or writes the environment.
        unsafe { std::env::set_var(VARIABLE, "/dev/null") };
    }
}

#[cfg(test)]
mod tests {
    use streambp::model::Projection;
    use streambp::step::StrategyKind;
    use streambp::train::ChunkLength;

    use super::*;

    /// The values of a list option on a command line that continues after the list.
    fn list<T: Clone + Send + Sync + 'static>(line: &str, option: &str) -> Vec<T> {
        let matches = Cli::command().try_get_matches_from(format!("streambp {line} --json").split(' ')).unwrap();
        let (_, matches) = matches.subcommand().unwrap();
        assert!(matches.get_flag("json"), "{line}");
        matches.get_many(option).unwrap().cloned().collect()
    }

    #[test]
    fn lists_have_commas_or_blanks() {
        for chunks in ["512,128", "512 128", "512 --chunk 128"] {
            let line = format!("bench --model tiny --chunk {chunks} --seq-len 64");
            assert_eq!(list::<ChunkLength>(&line, "chunk"), [512, 128].map(ChunkLength::Tokens));
            let line = format!("verify --model tiny --chunks {} --seq-len 64", chunks.replace("chunk", "chunks"));
            assert_eq!(list::<u32>(&line, "chunks"), [512, 128]);
        }
        for blank in [",", " "] {
            let line = format!("bench --model tiny --strategies standard{blank}stream --seq-len 64");
            assert_eq!(list::<StrategyKind>(&line, "strategies"), [StrategyKind::Standard, StrategyKind::Stream]);
            let line = format!("plan --model tiny --lora-rank 4 --lora-targets q_proj{blank}v_proj --seq-len 64");
            assert_eq!(list::<Projection>(&line, "lora_targets"), [Projection::Query, Projection::Value]);
        }
    }
}
