//! Keys and store, opened together: whatever is made at a first start is compared at every later one, and what belongs to another
//! service or to the other environment is refused before anything is made.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};

use super::options;
use crate::clock::Clock;
use crate::config::Config;
use crate::crypto::blind::Scribe;
use crate::crypto::keyfiles::{KeyFolder, Purpose};
use crate::crypto::{KeyError, Keyring};
use crate::domain::sandbox::Environment;
use crate::own_files;
use crate::service::audit::linking::link_what_is_there;
use crate::service::blind;
use crate::service::sandbox::furnish;
use crate::store::keys::KeyMatch;
use crate::store::{Store, StoreOptions};

/// How long a command waits for a connection, and for the confirmation of its change: a request must not wait for long, a command
/// has nothing else to do.
const COMMAND_WAIT: Duration = Duration::from_secs(10);

/// What a first start made, and where: none of what was there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Made {
    pub store: Option<String>,
    pub keys: Option<PathBuf>,
}

/// Keys and store for a command, and what of them it made.
pub async fn open(config: &Config) -> anyhow::Result<(Store, Arc<Keyring>, Made)> {
    open_with(config, &patient_options(config)).await
}

/// The store for a command that looks: nothing is made, and nothing of it is changed.
pub async fn open_as_it_is(config: &Config) -> anyhow::Result<Store> {
    let opened = Store::open_as_it_is(&patient_options(config), &config.data).await.context("store")?;
    let Some(store) = opened else {
        match config.database_url {
            Some(_) => bail!("there is no store where the URL of the database says"),
            None => bail!("there is no store in {}", config.data.display()),
        }
    };
    let migrated = store.migrated().await.context("store")?;
    if migrated.is_new {
        bail!("there is no store in {}", store.place());
    }
    if !migrated.broken.is_empty() || !migrated.pending.is_empty() {
        bail!(
            "the store is of another version: `doctor` says what to do, and the start of a node brings it up to date"
        );
    }
    let environment = config.environment();
    if store.known_environment().await.context("store")?.is_some_and(|known| known != environment) {
        bail!("the store {}", of_other_environment(environment));
    }
    Ok(store)
}

/// How a command reaches the store.
pub fn patient_options(config: &Config) -> StoreOptions {
    let mut patient = options::store_options(config);
    patient.acquire_timeout = patient.acquire_timeout.max(COMMAND_WAIT);
    patient.commit_timeout = patient.commit_timeout.max(COMMAND_WAIT);
    patient
}

/// Keys and store for a node, and what of them it made.
pub(super) async fn open_for_node(config: &Config) -> anyhow::Result<(Store, Arc<Keyring>, Made)> {
    let (store, keyring, made) = open_with(config, &options::store_options(config)).await?;
    if !config.blind.enabled {
        blind::keys::end_all(&store, &keyring, Clock::System.now_ms()).await.context("blind keys")?;
    }
    Ok((store, keyring, made))
}

/// Keys and store of a data folder, made at the first start, compared at every later one.
async fn open_with(config: &Config, options: &StoreOptions) -> anyhow::Result<(Store, Arc<Keyring>, Made)> {
    own_files::claim_folder(&config.data).with_context(|| format!("data folder {}", config.data.display()))?;
    // Two commands on a fresh folder would both make keys: the second waits here and finds the first one's.
    let lock = own_files::create_or_keep(&config.data.join(".lock")).context("lock file of the data folder")?;
    lock.lock().context("lock of the data folder")?;
    let (environment, folder) = (config.environment(), KeyFolder::new(config.key_folder()));
    if !folder.is_empty() && folder.is_sandbox() != config.sandbox {
        bail!("the key folder {}", of_other_environment(environment));
    }
    let store = Store::open(options, &config.data).await.context("store")?;
    let mut made = Made { store: store.is_new().then(|| store.place()), keys: None };
    if store.environment(environment).await? != environment {
        bail!("the store {}", of_other_environment(environment));
    }
    if config.sandbox {
        folder.mark_as_sandbox()?;
    }
    // The key folder says so, and not the store, which somebody else may have changed.
    let log_was_plain = !folder.is_empty() && folder.lacks(Purpose::Audit)?;
    if folder.is_empty() {
        if store.knows_keys().await? {
            bail!(
                "the key folder is empty but the store was made with keys: restore them, without them it cannot be read"
            );
        }
        folder.create_all()?;
        made.keys = Some(folder.path().to_owned());
    }
    make_later_keys(&store, &folder, config.blind.enabled).await?;
    let keyring = Arc::new(Keyring::open(folder)?);
    let checks = keyring.check_values();
    if store.match_keys(&checks).await? == KeyMatch::Unknown {
        store.remember_keys(&checks).await?;
    }
    match store.match_keys(&checks).await? {
        KeyMatch::Same => {}
        KeyMatch::Lacks { pepper } => Err(KeyError::MissingPepper { version: pepper })?,
        KeyMatch::Unknown | KeyMatch::Different => {
            bail!("these are not the keys that the store was made with: every look-up would be wrong")
        }
    }
    for check in keyring.later_checks()? {
        if !store.remember_key(&check).await? {
            let (purpose, version) = (check.purpose.as_str(), check.version);
            bail!("{purpose} key {version} differs from this service's: what one node signs, another would refuse");
        }
    }
    let blind_keys = store.blind_keys().await?.keys;
    let public_key = |epoch| blind_keys.iter().find(|key| key.epoch == epoch).map(|key| key.public_key);
    keyring.blind().keep_those_of(public_key);
    store.use_audit_key(keyring.audit().clone());
    store.use_scribe(Scribe::new(Arc::clone(&keyring)));
    if log_was_plain {
        link_what_is_there(&store, Clock::System.now_ms()).await.context("audit log")?;
    }
    if config.sandbox {
        furnish(&store, &keyring, &Clock::System).await.context("records of the sandbox")?;
    }
    Ok((store, keyring, made))
}

/// In whose name a command signs: as its own settings say, or as the nodes serve that run from this store.
pub async fn issuer_of_command(config: &Config, store: &Store) -> anyhow::Result<String> {
    let told = if config.public_url.is_none() { store.issuer().await? } else { None };
    Ok(told.unwrap_or_else(|| config.issuer(config.listen.first())))
}

/// Keys that a folder of an earlier version lacks. Where another node has made one already, it has to be copied from there.
async fn make_later_keys(store: &Store, folder: &KeyFolder, has_log: bool) -> anyhow::Result<()> {
    let log = has_log.then_some(Purpose::Log);
    for purpose in [Purpose::Certificate, Purpose::Audit].into_iter().chain(log) {
        if folder.lacks(purpose)? && store.key_check(purpose, 1).await?.is_none() {
            let what = || format!("a first {} key for the key folder", purpose.as_str());
            folder.create_first(purpose).with_context(what)?;
        }
    }
    Ok(())
}

fn of_other_environment(wanted: Environment) -> &'static str {
    match wanted {
        Environment::Production => "is a sandbox's: use it with --sandbox, or name another one",
        Environment::Sandbox => "is a production's, and is left alone: name another one, or leave --sandbox out",
    }
}
