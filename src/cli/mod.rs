//! The command line: what each command takes, and which file carries it out. The only layer that prints.
//! Results go to standard output (`--json` for scripts), everything else to standard error.

mod acting;
mod audit;
mod audit_who;
mod backup;
mod certificate;
mod check;
mod citizen;
mod client_numbers;
mod client_records;
mod clients;
mod config;
mod contact;
mod credentials;
mod demo;
mod doctor;
mod exits;
mod fingerprints;
mod flags;
mod global;
mod hardening;
mod import;
mod keys;
mod keys_kept;
mod log;
mod manual;
mod number_input;
mod offices;
mod openapi;
mod opening;
mod organizations;
mod output;
mod pairings;
mod pepper;
mod persons;
mod reading;
mod receipt;
mod receipt_audit;
mod receipt_file;
mod registry;
mod retention;
mod sample;
mod sandbox;
mod serve;
mod undo;
mod unrepeated;
mod verify_receipts;
mod webhook_trials;
mod webhooks;
mod witness;
mod witnessed;

use clap::{CommandFactory, Parser, Subcommand};
use tokio::runtime::Builder;

use crate::clock::Clock;
use crate::wiping::wipe_stack;
use global::Global;

/// Tells organizations that must check identity cards whether a card has been reported lost, stolen or replaced.
#[derive(Debug, Parser)]
#[command(
    name = "lostcard",
    version,
    max_term_width = 100,
    after_help = "\
Examples:
  lostcard serve --demo                          try it: demo data, and curl lines to paste
  lostcard organization create --name 'Hotel Harbour' --kind certifying --region 110105
  lostcard client create --organization ID --scope checks
  lostcard serve                                 serve ./lostcard-data on 127.0.0.1:8080

Settings come from defaults < --config FILE < LOSTCARD_... variables < flags."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API
    Serve(serve::ServeArgs),
    /// Check whether a node is well, and say what to do where it is not
    Doctor(doctor::DoctorArgs),
    /// Settings
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Import loss reports from a CSV, NDJSON or XLSX file
    Import(import::ImportArgs),
    /// Check all cards of a guest list
    Check(check::CheckArgs),
    /// Verify the receipts that `check` has left in a folder
    VerifyReceipts(verify_receipts::VerifyReceiptsArgs),
    /// Organizations
    #[command(subcommand)]
    Organization(organizations::OrganizationCommand),
    /// Clients of organizations
    #[command(subcommand)]
    Client(clients::ClientCommand),
    /// Offices as people know them
    #[command(subcommand)]
    Office(offices::OfficeCommand),
    /// Devices of desks and stations
    #[command(subcommand)]
    Pairing(pairings::PairingCommand),
    /// Persons of the operator who sign in by passkeys
    #[command(subcommand)]
    Person(persons::PersonCommand),
    /// Endpoints that receive alerts
    #[command(subcommand)]
    Webhook(webhooks::WebhookCommand),
    /// Undo what a client did in a time
    Undo(undo::UndoArgs),
    /// Keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// The registry
    #[command(subcommand)]
    Registry(registry::RegistryCommand),
    /// Records whose period is over
    #[command(subcommand)]
    Retention(retention::RetentionCommand),
    /// Contacts that persons gave
    #[command(subcommand)]
    Contact(contact::ContactCommand),
    /// Persons and what is held about them
    #[command(subcommand)]
    Citizen(citizen::CitizenCommand),
    /// Receipts
    #[command(subcommand)]
    Receipt(receipt::ReceiptCommand),
    /// The audit log
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Copy everything stored into a new folder, while nodes serve
    Backup(backup::BackupArgs),
    /// Make a new data folder of a back-up
    Restore(backup::RestoreArgs),
    /// Temporary identification certificates
    #[command(subcommand)]
    Certificate(certificate::CertificateCommand),
    /// The registry log
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Cosign the checkpoints of registry logs
    Witness(witness::WitnessArgs),
    /// Write the OpenAPI document
    Openapi(openapi::OpenapiArgs),
    /// Write a synthetic registry file
    Sample(sample::SampleArgs),
    /// Write the completions of a shell to standard output
    Completions(manual::CompletionsArgs),
    /// Write the manual pages
    Man(manual::ManArgs),
}

/// Parses the arguments and carries out the command.
pub fn run() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let global = &cli.global;
    // A node does so as soon as it knows `server.core_dumps`.
    if !matches!(cli.command, Command::Serve(_)) {
        hardening::close_process()?;
    }
    match cli.command {
        Command::Serve(args) => runtime().on_thread_park(wipe_stack).build()?.block_on(serve::serve(global, args)),
        Command::Doctor(args) => block_on(doctor::doctor(global, &args)),
        Command::Config(command) => config::config(global, &command),
        Command::Import(args) => block_on(import::import(global, args)),
        Command::Check(args) => block_on(check::check(args)),
        Command::VerifyReceipts(args) => verify_receipts::verify_receipts(&args),
        Command::Organization(command) => block_on(organizations::organization(global, command)),
        Command::Client(command) => block_on(clients::client(global, command)),
        Command::Office(command) => block_on(offices::office(global, command)),
        Command::Pairing(command) => block_on(pairings::pairing(global, command)),
        Command::Person(command) => block_on(persons::person(global, command)),
        Command::Webhook(command) => block_on(webhooks::webhook(global, command)),
        Command::Undo(args) => block_on(undo::undo(global, args)),
        Command::Keys(command) => block_on(keys::keys(global, &command)),
        Command::Registry(command) => block_on(registry::registry(global, command)),
        Command::Retention(command) => block_on(retention::retention(global, command)),
        Command::Contact(command) => block_on(contact::contact(global, command)),
        Command::Citizen(command) => block_on(citizen::citizen(global, command)),
        Command::Receipt(receipt::ReceiptCommand::Audit(args)) => block_on(receipt_audit::audit(&args)),
        Command::Receipt(receipt::ReceiptCommand::Verify(args)) => receipt::receipt(&args),
        Command::Audit(command) => block_on(audit::audit(global, command)),
        Command::Backup(args) => block_on(backup::backup(global, args)),
        Command::Restore(args) => block_on(backup::restore(global, args)),
        Command::Certificate(command) => certificate::certificate(&command),
        Command::Log(command) => block_on(log::log(global, command)),
        Command::Witness(args) => block_on(witness::witness(&args)),
        Command::Openapi(args) => openapi::openapi(&args),
        Command::Sample(args) => sample::sample(&args, &Clock::System),
        Command::Completions(args) => manual::completions(Cli::command(), &args),
        Command::Man(args) => manual::man(Cli::command(), &args),
    }
}

fn block_on(work: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    runtime().build()?.block_on(work)
}

fn runtime() -> Builder {
    let mut runtime = Builder::new_multi_thread();
    runtime.worker_threads(2).enable_all();
    runtime
}

pub use exits::code_of;

/// Reports a failure, with its causes.
pub fn complain(error: &anyhow::Error) {
    let why = format!("{error:#}");
    if !why.is_empty() {
        output::error(&format!("error: {why}"));
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::builder::ValueParser;

    use super::*;

    /// Every command below one, and itself.
    fn all(command: &clap::Command) -> Vec<&clap::Command> {
        let below = command.get_subcommands().flat_map(all);
        std::iter::once(command).chain(below).collect()
    }

    // Thumbprints, salts and token ids are base64url: one of 64 begins with a hyphen.
    #[test]
    fn what_is_named_by_text_alone_may_begin_with_a_hyphen() {
        let text = ValueParser::string().type_id();
        let command = Cli::command();
        let refusing = all(&command).into_iter().flat_map(|command| {
            let texts = command.get_positionals().filter(|argument| argument.get_value_parser().type_id() == text);
            texts
                .filter(|argument| !argument.is_allow_hyphen_values_set())
                .map(|argument| (command.get_name(), argument.get_id()))
        });
        assert_eq!(refusing.collect::<Vec<_>>(), []);
        let client = "01993c5e-0000-7000-8000-000000000000";
        for value in ["--uZKH5Y3aF3gGUzUh9jMLVJo90Qwe1tV49sBBBn6rM", "-hVKH5Y3aF3gGUzUh9jMLVJo90Qwe1tV49sBBBn6rMs"] {
            let removed = Cli::try_parse_from(["lostcard", "client", "certificate", "remove", client, value, "--json"]);
            let revoked = Cli::try_parse_from([
                "lostcard",
                "client",
                "revoke-token",
                value,
                "--issuer",
                "https://issuer.example",
            ]);
            assert!(removed.is_ok() && revoked.is_ok(), "{value}: {removed:?} {revoked:?}");
        }
    }
}
