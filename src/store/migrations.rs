//! The files of `migrations/`, built into the binary, in the order in which they run. Here and not by `sqlx::migrate!`: that macro
//! compiles the whole database driver a second time for the compiler's side. A file that is missing here fails a test below.

use std::borrow::Cow;

use sqlx::migrate::{Migration, MigrationType};
use sqlx::{AssertSqlSafe, SqlSafeStr};

/// One file: the number and the words of its name, and its text.
#[derive(Debug)]
pub(super) struct File {
    version: i64,
    description: &'static str,
    text: &'static str,
}

macro_rules! files {
    ($($version:literal $description:literal $name:literal)*) => {
        &[$(File {
            version: $version,
            description: $description,
            text: include_str!(concat!("../../migrations/", $name)),
        }),*]
    };
}

pub(super) const FILES: &[File] = files! {
    1 "initial" "0001_initial.sql"
    2 "nodes" "0002_nodes.sql"
    3 "import order" "0003_import_order.sql"
    4 "audit" "0004_audit.sql"
    5 "found cards" "0005_found_cards.sql"
    6 "applications" "0006_applications.sql"
    7 "sightings" "0007_sightings.sql"
    8 "misuse reports" "0008_misuse_reports.sql"
    9 "certificates" "0009_certificates.sql"
    10 "alerts" "0010_alerts.sql"
    11 "retention" "0011_retention.sql"
    12 "usage" "0012_usage.sql"
    13 "environment" "0013_environment.sql"
    14 "import sources" "0014_import_sources.sql"
    16 "used assertions" "0016_used_assertions.sql"
    17 "corrections" "0017_corrections.sql"
    18 "bound tokens" "0018_bound_tokens.sql"
    20 "numbers" "0020_numbers.sql"
    22 "authority" "0022_authority.sql"
    23 "audit keyed" "0023_audit_keyed.sql"
    24 "index order" "0024_index_order.sql"
    25 "offices" "0025_offices.sql"
    27 "sighting days" "0027_sighting_days.sql"
    28 "administration" "0028_administration.sql"
    29 "lists" "0029_lists.sql"
    31 "undoing" "0031_undoing.sql"
    40 "registry log" "0040_registry_log.sql"
    41 "blind" "0041_blind.sql"
    45 "restored" "0045_restored.sql"
    52 "pairings" "0052_pairings.sql"
    53 "persons" "0053_persons.sql"
    55 "offices known" "0055_offices_known.sql"
    56 "notices" "0056_notices.sql"
    57 "persons" "0057_persons.sql"
    61 "approved work" "0061_approved_work.sql"
    63 "withdrawals by persons" "0063_withdrawals_by_persons.sql"
    64 "log of epoch" "0064_log_of_epoch.sql"
    66 "sightings of a place" "0066_sightings_of_a_place.sql"
    67 "states of persons" "0067_states_of_persons.sql"
    72 "passkeys" "0072_passkeys.sql"
    74 "checks told once" "0074_checks_told_once.sql"
};

impl File {
    pub(super) fn version(&self) -> i64 {
        self.version
    }

    /// The migration that runs `translate` of the text. A store keeps version, description and the checksum of what ran; a
    /// migration that ran and has another checksum by now stops the start.
    pub(super) fn migration(&self, translate: impl FnOnce(&str) -> String) -> Migration {
        let sql = AssertSqlSafe(translate(self.text)).into_sql_str();
        Migration::new(self.version, Cow::Borrowed(self.description), MigrationType::Simple, sql, false)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sqlx::migrate::Migrator;

    use super::*;

    /// sqlx's own reading of the folder, by which stores were made before.
    #[tokio::test]
    async fn every_file_of_the_folder_is_built_in_as_sqlx_reads_it() {
        let folder = Migrator::new(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations"))).await.unwrap();
        let facts = |migration: &Migration| {
            let Migration { version, description, migration_type, sql, checksum, no_tx } = migration.clone();
            (version, description, migration_type, sql.as_str().to_owned(), checksum, no_tx)
        };
        let built_in: Vec<_> = FILES.iter().map(|file| facts(&file.migration(str::to_owned))).collect();
        assert_eq!(built_in, folder.iter().map(facts).collect::<Vec<_>>());
    }
}
