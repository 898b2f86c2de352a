//! `witness`: cosigns checkpoints of registry logs, for their readers. Needs nothing of the registry but the logs' public keys.

use std::net::SocketAddr;
use std::path::Path;

use clap::Args;

use super::output;
use super::serve::stop_signals;
use crate::node::witness::{WitnessOptions, WitnessProcess};
use crate::telemetry::init_log;

#[derive(Debug, Args)]
#[command(after_help = "\
A witness cosigns a log's checkpoint only if it continues the one that it cosigned last (C2SP tlog-witness): a log that shows two
histories cannot have both cosigned. Run it where the log's operator has no access. Its key and its memory lie in its own folder:
keep both, for a witness that forgets may cosign a second history.

Standard output has the verifier key first, then where it listens. TLS is a proxy's.

Example:
  curl -s https://lostcard.example/registry-log/keys
  lostcard witness --data ./witness --listen 127.0.0.1:8090 --name witness.example/w1 \\
    --log-key lostcard.example/registry-log/1+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")]
pub(super) struct WitnessArgs {
    /// Where key and memory lie; made at the first start
    // A text, as the setting of the same name is: here it has no default.
    #[arg(long, value_name = "DIR")]
    data: String,
    /// Where it listens
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// Its name in signature lines, as a URL without scheme
    #[arg(long)]
    name: String,
    /// The verifier key of a log, of any of its epochs; may be given several times
    #[arg(long = "log-key", value_name = "VKEY", required = true)]
    log_keys: Vec<String>,
}

/// `witness`
pub(super) async fn witness(args: &WitnessArgs) -> anyhow::Result<()> {
    init_log(crate::config::LogLevel::Info, false);
    let WitnessArgs { data, listen, name, log_keys } = args;
    let witness =
        WitnessProcess::start(&WitnessOptions { data: Path::new(data), listen: *listen, name, log_keys }).await?;
    // Before anybody learns where it listens: who knows may end it.
    let stop = stop_signals(1)?;
    output::line(&witness.verifier.to_string());
    output::line(&format!("lostcard witness listening on http://{}", witness.address));
    witness.run_until_stopped(stop).await
}
