//! The tables of the store that hold nothing about a person, as `aggregates.rs` looks at them.

/// Tables that are not described, why they need not be, and every column of theirs: a new one may be of a person.
pub(crate) const OTHER_TABLES: &[(&str, &str, &str)] = &[
    (
        "admin_requests",
        "of authorities, firms and programs",
        "request_id organization_id client_id act target body requested_at approved_at approved_by subject person_id person approved_person refused_at refused_by refused_person work taken_until done_at outcome",
    ),
    ("alert_heads", "a count for each organization", "organization_id seq"),
    (
        "audit",
        "append-only: ids of records and clients, never a number",
        "seq at organization_id client_id action subject hash old_start person os_user reason keyed_hash origin",
    ),
    ("audit_subjects", "tags of persons, append-only as what they belong to", "seq subject_tag"),
    (
        "blind_keys",
        "of the service, their seeds sealed",
        "epoch sealed_seed public_key begun_at ended_at base_seq base_bytes manifest builder building_at",
    ),
    ("blind_pieces", "of bases: without a blind key nothing can be told from them", "epoch place bytes"),
    (
        "client_credentials",
        "of clients, which are programs",
        "credential_id client_id kind secret_hash jwk created_at ends_at thumbprint subject",
    ),
    (
        "clients",
        "of clients, which are programs",
        "client_id organization_id scopes rate created_at disabled_at bound tokens_revoked_at numbers digests held_at held_for released_at name suspended_at last_used_at refused",
    ),
    ("environment", "what the store is for", "id name"),
    (
        "feed",
        "keys of numbers, as old as the store: without a pepper nothing can be told from them, and none is looked up by",
        "seq kind subject",
    ),
    (
        "feed_head",
        "counts changes",
        "id seq epoch key_version key_version_from blind_version blind_version_from blind_behind log_epoch",
    ),
    (
        "import_pieces",
        "of files: pieces of the feed",
        "import_id first_sequence last_sequence first_report last_report",
    ),
    (
        "imports",
        "of files, by a keyed fingerprint",
        "file_fingerprint lines_done records_done judged_on finished_at key_version",
    ),
    ("key_checks", "by which a store knows its keys", "purpose version value"),
    (
        "log_head",
        "of trees: sizes, roots, signatures",
        "epoch origin s0 size note signed_at cosigned cosigned_size waiting_since ended",
    ),
    (
        "log_leaves",
        "blind bytes of rows of the feed, as old as the store: without a blind key nothing can be told from them",
        "seq epoch entry older",
    ),
    ("log_tiles", "hashes of leaves", "epoch level tile hashes"),
    ("nodes", "of processes", "node_id beat confirmed pepper_version"),
    ("offices", "of authorities", "office name reach"),
    (
        "organizations",
        "of authorities and firms",
        "organization_id name kind region rate created_at offices ends_others suspended_at ended_at",
    ),
    ("numbers_mode", "one word about all clients", "id mode"),
    (
        "pairings",
        "of devices",
        "pairing_id organization_id scopes site name numbers created_at expires_at name_mark code_mark guesses is_lasting client_id paired_at pin_key pins_missed locked_at ended_at",
    ),
    ("passkey_ceremonies", "what browsers were asked, for five minutes", "ceremony_id code_mark state expires_at"),
    (
        "passkey_invitations",
        "of those who run the service, until they expire",
        "code_mark person_id name role expires_at",
    ),
    (
        "passkeys",
        "of those who run the service: names, roles and public keys",
        "credential_id person_id name role static_state dynamic_state made_at used_at",
    ),
    (
        "persons",
        "of those who run the service: names, groups and times",
        "person_id name role group_name first_seen_at last_seen_at last_act last_act_at suspended_at ended_at",
    ),
    ("restores", "of back-ups", "epoch former_epoch sequence backed_up_at restored_at"),
    ("retention", "of runs", "id begun_at finished_at"),
    ("service", "the name of the service", "id issuer"),
    ("usage_flushes", "of processes", "process_id seq flushed_at"),
    ("used_assertions", "of clients, by a hash, until they expire", "assertion expires_at"),
    (
        "webhooks",
        "of organizations, their secrets sealed",
        "webhook_id organization_id url sealed_secret old_sealed_secret old_secret_until created_at failing_since disabled_at",
    ),
];
