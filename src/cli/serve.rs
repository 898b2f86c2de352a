//! `serve`: one node until a signal ends it, or a second one ends it at once. `--demo` fills a folder of its own first and prints what to try,
//! `--sandbox` makes its first clients and prints the magic numbers.

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::flags::ServeSettings;
use super::global::Global;
use super::{demo, doctor, hardening, opening, output, sandbox};
use crate::clock::Clock;
use crate::node::{Application, options, raise_limit};
use crate::telemetry::init_log;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lostcard serve --demo
  lostcard serve --sandbox                       for integrators' tests, from ./lostcard-sandbox
  lostcard serve --listen 0.0.0.0:8080 --public-url https://lostcard.example
  lostcard serve --check                         is all well? (exit 0 yes, 1 warnings, 3 no)")]
pub(super) struct ServeArgs {
    /// Serve synthetic data from a temporary folder, on loopback only, and print curl lines to try
    #[arg(long)]
    pub demo: bool,
    /// Serve nothing: check whether all is well, as `doctor` does, and say what to do
    #[arg(long, conflicts_with = "demo")]
    check: bool,
    /// With --check: print JSON
    #[arg(long, requires = "check")]
    json: bool,
    #[command(flatten)]
    settings: ServeSettings,
}

/// `serve`
pub(super) async fn serve(global: &Global, args: ServeArgs) -> anyhow::Result<()> {
    let overrides = args.settings.overrides(&global.settings);
    if args.check {
        hardening::close_process()?;
        return doctor::examine(options::load(global.config.as_deref(), overrides), args.json).await;
    }
    let mut config = options::load(global.config.as_deref(), overrides)?;
    init_log(config.log, config.log_json);
    if !config.server.core_dumps {
        hardening::close_process()?;
    }
    raise_limit();
    // The folder of a demo lives as long as this value.
    if args.demo && config.sandbox {
        anyhow::bail!("a demo and a sandbox have data of their own each: leave --demo or --sandbox out");
    }
    let clients = if config.sandbox { sandbox::prepare(&config).await? } else { Vec::new() };
    let demo = if args.demo { Some(demo::prepare(global, &mut config).await?) } else { None };
    let application = Application::build(&config, Clock::System).await?;
    let address = application.address();
    // Before anybody learns where it listens: who knows may end it.
    let (once, twice) = (stop_signals(1)?, stop_signals(2)?);
    output::line(&format!("lostcard {} listening on {}://{address}", env!("CARGO_PKG_VERSION"), config.scheme()));
    if let Some(plain) = application.plain_address() {
        output::line(&format!("without TLS on http://{plain}"));
    }
    output::line(&format!("metrics on http://{}/metrics", application.metrics_address()));
    for line in opening::lines_of(application.made()) {
        output::line(&line);
    }
    if let Some(demo) = &demo {
        demo.print_tour(&config.issuer(address));
    }
    if config.sandbox {
        sandbox::print(&config.url(address), &config.issuer(address), &clients);
    }
    tokio::select! {
        ended = application.run_until_stopped(once) => ended,
        () = twice => anyhow::bail!("told twice to stop: ended at once, with what was in flight"),
    }
}

/// The n-th SIGTERM or SIGINT.
pub(super) fn stop_signals(n: usize) -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        for _ in 0..n {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
    })
}
