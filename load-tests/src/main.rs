//! `lostcard-load`: drives a running lostcard server over loopback HTTP/1.1
//! and measures it. This file only reads the command line and dispatches;
//! `commands/` holds one file per subcommand, `load/` the two load models,
//! `wire/` the HTTP client, `traffic/` what is asked, `compare/` the servers
//! that `compare` starts, `simulate/` callers without a server.

mod commands;
mod compare;
mod load;
mod measure;
mod output;
mod simulate;
mod traffic;
mod wire;

use clap::{Parser, Subcommand};

/// The server's own allocator, so that the ratio to `bare` compares the work and not the memory.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Load generator for lostcard; talks to loopback addresses only.
#[derive(Debug, Parser)]
#[command(name = "lostcard-load", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Offer a profile's load whether or not the server keeps up (open model)
    Run(commands::run::Arguments),
    /// Keep every connection busy and count (closed loop)
    Saturate(commands::saturate::Arguments),
    /// Serve the ceiling: a handler that parses a check and answers a constant
    Bare(commands::bare::Arguments),
    /// Serve the peer: a registry on Redis without receipts
    Peer(commands::peer::Arguments),
    /// Measure the bare handler and a lostcard server in turn, and their ratio
    Compare(commands::compare::Arguments),
    /// Measure an import beside the database alone
    Import(commands::import::Arguments),
    /// Count the reports that a server acknowledges to many writers
    Writes(commands::writes::Arguments),
    /// See what the time of one answer tells about its verdict
    Timing(commands::timing::Arguments),
    /// Offer a server many times what it can do, and see what is left of that
    Overload(commands::overload::Arguments),
    /// Let honest callers and scrapers ask under the limits of numbers, without a server
    Simulate(commands::simulate::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Command::Run(arguments) => commands::run::execute(&arguments),
        Command::Saturate(arguments) => commands::saturate::execute(&arguments),
        Command::Bare(arguments) => commands::bare::execute(&arguments),
        Command::Peer(arguments) => commands::peer::execute(&arguments),
        Command::Compare(arguments) => commands::compare::execute(&arguments),
        Command::Import(arguments) => commands::import::execute(&arguments),
        Command::Writes(arguments) => commands::writes::execute(&arguments),
        Command::Timing(arguments) => commands::timing::execute(&arguments),
        Command::Overload(arguments) => commands::overload::execute(&arguments),
        Command::Simulate(arguments) => commands::simulate::execute(&arguments),
    }
}

#[cfg(test)]
mod tests {
    use super::Arguments;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Arguments::command().debug_assert();
    }
}
