//! A witness as a process: its key, its memory and its listener. Nothing of the registry's is opened.

use std::net::SocketAddr;
use std::path::Path;

use actix_web::dev::{Server, ServerHandle};
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use anyhow::{Context, bail};

use crate::clock::Clock;
use crate::crypto::keyfiles::{KeyFolder, Purpose};
use crate::crypto::tlog::VerifierKey;
use crate::crypto::tlog::note::SignatureType;
use crate::http::api::witness::configure;
use crate::own_files;
use crate::service::witness::Witness;
use crate::store::witness::WitnessStore;

/// Connections at a time: logs and monitors ask, nobody else.
const CONNECTIONS_MAX: usize = 256;
/// How long requests in flight may take to finish.
const FINISH_S_MAX: u64 = 5;

/// What a witness is started with.
#[derive(Debug)]
pub struct WitnessOptions<'a> {
    pub data: &'a Path,
    pub listen: SocketAddr,
    pub name: &'a str,
    pub log_keys: &'a [String],
}

/// A witness that accepts connections.
pub struct WitnessProcess {
    pub verifier: VerifierKey,
    pub address: SocketAddr,
    server: Server,
    store: WitnessStore,
}

impl std::fmt::Debug for WitnessProcess {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WitnessProcess").field("address", &self.address).finish_non_exhaustive()
    }
}

impl WitnessProcess {
    /// Opens everything. The key is made at the first start.
    pub async fn start(options: &WitnessOptions<'_>) -> anyhow::Result<Self> {
        let read = |text: &String| {
            let key =
                VerifierKey::parse(text).with_context(|| format!("{text}: not a verifier key (C2SP signed-note)"))?;
            if key.kind() != SignatureType::Ed25519 {
                bail!("{text}: the key of a witness, not of a log");
            }
            Ok(key)
        };
        let logs = options.log_keys.iter().map(read).collect::<anyhow::Result<Vec<_>>>()?;
        let data = options.data;
        own_files::claim_folder(data).with_context(|| format!("data folder {}", data.display()))?;
        // Two that start at once on a fresh folder would both make a key.
        let lock = own_files::create_or_keep(&data.join(".lock")).context("lock file of the data folder")?;
        lock.lock().context("lock of the data folder")?;
        let folder = KeyFolder::new(data);
        if folder.lacks(Purpose::Witness)? {
            folder.create_first(Purpose::Witness)?;
        }
        let key = folder.signing_key(Purpose::Witness)?;
        let store = WitnessStore::open(data).await.context("store of the witness")?;
        let witness = Witness::new(key, options.name.to_owned(), logs, store.clone(), Clock::System);
        let verifier = witness.verifier().context("the name may have neither spaces nor a plus sign")?;
        let witness = Data::new(witness);
        let server = HttpServer::new(move || App::new().configure(|config| configure(config, witness.clone())))
            .workers(1)
            .max_connections(CONNECTIONS_MAX)
            .shutdown_timeout(FINISH_S_MAX)
            .disable_signals()
            .bind(options.listen)
            .with_context(|| format!("listener on {}", options.listen))?;
        let address = server.addrs().first().copied().context("listener")?;
        Ok(Self { verifier, address, server: server.run(), store })
    }

    /// Serves until `stop` is done.
    pub async fn run_until_stopped(self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let handle: ServerHandle = self.server.handle();
        let mut server = tokio::spawn(self.server);
        tokio::select! {
            ended = &mut server => ended.context("server")?.context("server")?,
            () = stop => handle.stop(true).await,
        }
        self.store.close().await;
        Ok(())
    }
}
