//! What settings are taken, what errors say about those that are not, and that the page has the same table.

use super::*;

/// The settings of a file called `lostcard.toml`, of variables and of flags.
fn layers(toml: &str, variables: &[(&str, &str)], flags: &[(&'static str, &str)]) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lostcard.toml");
    std::fs::write(&path, toml).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let variables = variables.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let flags = flags.iter().fold(Overrides::default(), |flags, (key, text)| flags.set(key, *text));
    let folder = format!("{}/", dir.path().display());
    Config::of_layers(Some(&path), variables, flags).map_err(|error| error.to_string().replace(&folder, ""))
}

fn with(toml: &str) -> Result<Config, String> {
    layers(toml, &[], &[])
}

#[test]
fn later_layers_win() {
    let config = with("").unwrap();
    assert_eq!((config.workers, config.limits.client.to_string().as_str()), (0, "600/60s"));
    assert!(config.listen.is_loopback() && config.metrics_listen.is_default());
    let config = layers("workers = 1", &[], &[]).unwrap();
    assert_eq!(config.workers, 1);
    let config = layers("workers = 1", &[("LOSTCARD_WORKERS", "2")], &[]).unwrap();
    assert_eq!(config.workers, 2);
    let config = layers("workers = 1", &[("LOSTCARD_WORKERS", "2")], &[("workers", "3")]).unwrap();
    assert_eq!(config.workers, 3);
}

#[test]
fn every_layer_writes_each_kind_of_value() {
    let toml = "
        data = \"folder\"\nlisten = \"[::1]:1\"\nhosts = [\"a\", \"b\"]\nlog = \"warn\"\nlog_json = true
        limits.client = \"6/60s\"\nacceptance.places = [{ region = \"44\", since = \"2016-07-01\" }]
        [registry]\nlease_ms = 2_000\n[retention]\nkeep.sightings = \"30 days\"
        [[issuers]]\nissuer = \"x\"\naudience = \"y\"\njwks_file = \"z\"\norganizations = [\"01993c5e-0000-7000-8000-000000000000\"]\nscopes = [\"checks\"]";
    let variables = [
        ("LOSTCARD_DATA", "folder"),
        ("LOSTCARD_LISTEN", "[::1]:1"),
        ("LOSTCARD_HOSTS", "[\"a\", \"b\"]"),
        ("LOSTCARD_LOG", "warn"),
        ("LOSTCARD_LOG_JSON", "true"),
        ("LOSTCARD_LIMITS__CLIENT", "6/60s"),
        ("LOSTCARD_ACCEPTANCE__PLACES", "[{region=\"44\",since=\"2016-07-01\"}]"),
        ("LOSTCARD_REGISTRY__LEASE_MS", "2000"),
        ("LOSTCARD_RETENTION__KEEP__SIGHTINGS", "30 days"),
        (
            "LOSTCARD_ISSUERS",
            "[{issuer=\"x\",audience=\"y\",jwks_file=\"z\",organizations=[\"01993c5e-0000-7000-8000-000000000000\"],scopes=[\"checks\"]}]",
        ),
        ("LOSTCARD_CLIENT_SECRET", "is no setting"),
        ("PATH", "/bin"),
    ];
    let [mut of_file, mut of_variables] = [with(toml), layers("", &variables, &[])].map(Result::unwrap);
    (of_file.origins, of_variables.origins) = Default::default();
    assert_eq!(format!("{of_file:?}"), format!("{of_variables:?}"));
    assert_eq!((of_file.hosts.len(), of_file.issuers.len(), of_file.retention.keep.len()), (2, 1, 1));
    // A map is added to, entry by entry, and may be written whole.
    let keep = layers(toml, &[("LOSTCARD_RETENTION__KEEP", "{ usage = \"3 years\" }")], &[]).unwrap().retention.keep;
    assert_eq!(keep.len(), 2);
    // What looks like a number is a path all the same.
    assert_eq!(layers("", &[("LOSTCARD_KEYS", "007")], &[]).unwrap().keys.unwrap().to_str(), Some("007"));
}

/// TOML of the file (`\n` divides its lines), a variable or a flag ; what is told, or how it begins.
const WRONG: &str = r#"
workers = 1\nlistn = "x" ; lostcard.toml, line 2: unknown key `listn`; did you mean `listen`?
\n\n[registry]\nleas_ms = 5 ; lostcard.toml, line 4: unknown key `registry.leas_ms`; did you mean `registry.lease_ms`?
[registri]\nlease_ms = 5 ; lostcard.toml, line 1: unknown key `registri`; did you mean `registry`?
lease_ms = 5 ; lostcard.toml, line 1: unknown key `lease_ms`; did you mean `registry.lease_ms`?
[default]\nlistn = "x" ; lostcard.toml, line 2: unknown key `default.listn`; did you mean `listen`?
[server.http]\nlane = true ; lostcard.toml, line 2: unknown key `server.http.lane`; did you mean `server.lane`?
[default.zebra] ; lostcard.toml, line 1: unknown key `default.zebra`
default = 5 ; lostcard.toml, line 1: unknown key `default`
[store]\nzebra = 5 ; lostcard.toml, line 2: unknown key `store.zebra`
registry = 5 ; lostcard.toml, line 1: `registry` is 5; it must be a section, [registry]
workers = "many" ; lostcard.toml, line 1: `workers` is "many"; it must be a whole number: 0 to 1024
workers = [1] ; lostcard.toml, line 1: `workers` is a list; it must be a whole number: 0 to 1024
workers = -1 ; lostcard.toml, line 1: `workers` is -1; it must be a whole number: 0 to 1024
workers = 1025 ; lostcard.toml, line 1: `workers` is 1025; it must be 0 to 1024
[store]\n\nconnections_max = 0 ; lostcard.toml, line 3: `store.connections_max` is 0; it must be 1 to 1000
[registry]\npoll_ms = 900 ; lostcard.toml, line 2: `registry.poll_ms` is 900; it must be 10 to half of `registry.lease_ms`
[registry]\nlease_ms = 100 ; default settings: `registry.poll_ms` is 250; it must be 10 to half of `registry.lease_ms`
[limits]\nclient = "600" ; lostcard.toml, line 2: `limits.client` is "600"; it must be a rate as requests/seconds: 600/60s
[limits]\nclient = 600 ; lostcard.toml, line 2: `limits.client` is 600; it must be a rate as requests/seconds: 600/60s
listen = "here:80" ; lostcard.toml, line 1: `listen` is "here:80"; it must be an IP address and a port, or localhost and a port: 127.0.0.1:8080
listen = "localhost" ; lostcard.toml, line 1: `listen` is "localhost"; it must be an IP address and a port, or localhost and a port: 127.0.0.1:8080
log = "loud" ; lostcard.toml, line 1: `log` is "loud"; it must be `error`, `warn`, `info`, `debug` or `trace`
sandbox = "perhaps" ; lostcard.toml, line 1: `sandbox` is "perhaps"; it must be true or false
[retention.keep]\nsighting = "30 days" ; lostcard.toml, line 2: unknown key `retention.keep.sighting`; did you mean `retention.keep.sightings`?
[retention.keep]\nsightings = "30" ; lostcard.toml, line 2: `retention.keep.sightings` is "30"; it must be a period: 24 hours, 30 days or 20 years
[acceptance]\nplaces = [\n  { region = "4419" },\n] ; lostcard.toml, line 2: `acceptance.places[0].since` is missing; it must be a date written YYYY-MM-DD
[acceptance]\nplaces = [\n  { regio = "4419" },\n] ; lostcard.toml, line 3: unknown key `acceptance.places[0].regio`; did you mean `region`?
[[issuers]]\nissuer = "x"\naudience = "y"\njwks_ur = "z" ; lostcard.toml, line 4: unknown key `issuers[0].jwks_ur`; did you mean `jwks_url`?
[[issuers]]\nissuer = "x"\naudience = "y" ; lostcard.toml, line 1: `issuers[0].jwks_url` is missing; it must be there, or `jwks_file`: an issuer has one of the two
[security]\npolicy = "http://a.example" ; lostcard.toml, line 2: `security.policy` has a text that is not shown here; it must be `https://`, without spaces
public_url = "https://a:s3same@b.example/" ; lostcard.toml, line 1: `public_url` has a value that is not shown here; it must be `http://` or ...
public_url = "https://b.example//evil.example" ; lostcard.toml, line 1: `public_url` has a value that is not shown here; it must be ...
public_url = "https://b.example/a/../b" ; lostcard.toml, line 1: `public_url` has a value that is not shown here; it must be ...
public_url = "https://b.example/a:8" ; lostcard.toml, line 1: `public_url` has a value that is not shown here; it must be ...
public_url = "https:///a" ; lostcard.toml, line 1: `public_url` has a value that is not shown here; it must be ...
public_url = "https://b.example/sandbox" ; lostcard.toml, line 1: `public_url` ends in /sandbox, as the issuers of sandboxes do; it must be ...
redis_url = ["redis://a:s3same@b"] ; lostcard.toml, line 1: `redis_url` has a value that is not shown here; it must be text: `redis://` ...
hosts = "postgres://a:s3same@b" ; lostcard.toml, line 1: `hosts` has a text that is not shown here; it must be a list of texts: ["a", "b"]
redis_url = "redis://a:s3same@b\nworkers = 1 ; lostcard.toml, line 1: not TOML: ...
workers = 1\nworkers = 2 ; lostcard.toml, line 2: not TOML: duplicate key ...
LOSTCARD_LISTN = x ; environment variable LOSTCARD_LISTN: unknown key `listn`; did you mean `LOSTCARD_LISTEN`?
LOSTCARD_REGISTRY__LEAS_MS = 5 ; environment variable LOSTCARD_REGISTRY__LEAS_MS: unknown key `registry.leas_ms`; did you mean `LOSTCARD_REGISTRY__LEASE_MS`?
LOSTCARD_DEFAULT__LISTN = x ; environment variable LOSTCARD_DEFAULT__LISTN: unknown key `default.listn`; did you mean `LOSTCARD_LISTEN`?
LOSTCARD_REGISTRY = 5 ; environment variable LOSTCARD_REGISTRY: `registry` is a section: set its keys, LOSTCARD_REGISTRY__...
LOSTCARD_ADMIN = x ; environment variable LOSTCARD_ADMIN: `admin` is a section: set its keys, LOSTCARD_ADMIN__...
LOSTCARD_ADMIN__OIDC = x ; environment variable LOSTCARD_ADMIN__OIDC: `admin.oidc` is a section: set its keys, LOSTCARD_ADMIN__OIDC__...
LOSTCARD_REGISTRI = 5 ; environment variable LOSTCARD_REGISTRI: unknown key `registri`
LOSTCARD_RETENTION__KEEP__SIGHTING = 30 days ; environment variable LOSTCARD_RETENTION__KEEP__SIGHTING: unknown key `retention.keep.sighting`; did you mean `LOSTCARD_RETENTION__KEEP__SIGHTINGS`?
LOSTCARD_WORKERS = many ; environment variable LOSTCARD_WORKERS: `workers` is "many"; it must be a whole number: 0 to 1024
LOSTCARD_HOSTS = a ; environment variable LOSTCARD_HOSTS: `hosts` is "a"; it must be a list of texts: ["a", "b"]
LOSTCARD_RETENTION__KEEP__AUDIT = 30 days ; environment variable LOSTCARD_RETENTION__KEEP__AUDIT: unknown key `retention.keep.audit`
LOSTCARD_RETENTION__KEEP = 30 days ; environment variable LOSTCARD_RETENTION__KEEP: `retention.keep` is "30 days"; it must be a section, [retention.keep]
--workers = 2000 ; --workers: `workers` is "2000"; it must be 0 to 1024
--metrics_listen = x ; --metrics-listen: `metrics_listen` is "x"; it must be an IP address and a port, or localhost and a port: 127.0.0.1:8080
--databse_url = x ; --databse-url: unknown key `databse_url`; did you mean `database_url`?
"#;

#[test]
fn what_is_wrong_is_told_with_its_place_and_what_would_be_right() {
    for row in WRONG.trim_matches('\n').lines() {
        let (given, told) = row.split_once(" ; ").unwrap();
        let part = |prefix| given.strip_prefix(prefix).and_then(|_| given.split_once(" = "));
        let result = match (part("LOSTCARD_"), part("--")) {
            (Some(variable), _) => layers("", &[variable], &[]),
            (_, Some((flag, text))) => layers("", &[], &[(&flag[2..], text)]),
            _ => with(&given.replace("\\n", "\n")),
        };
        let error = result.expect_err(row);
        let is_told = told.strip_suffix(" ...").map_or(error == told, |begin| error.starts_with(begin));
        assert!(is_told && !error.contains("s3same") && !error.contains('\n'), "{row}\n{error}");
    }
}

#[test]
fn settings_in_effect_are_a_file_that_gives_the_same_and_show_no_secret() {
    let toml = "
        public_url = \"https://lostcard.example\"\nhosts = [\"a\\\\b\", \"c\"]\nredis_url = \"redis://a:s3same@b\"
        server.trusted_proxies = [\"10.0.0.0/8\"]\nacceptance.places = [{ region = \"44\", since = \"2016-07-01\" }]
        tls.min_version = \"1.2\"\nwebhooks.ports = [9443]\n[retention]\nkeep.sightings = \"30 days\"";
    let config = layers(toml, &[("LOSTCARD_LOG", "warn")], &[("workers", "3")]).unwrap();
    let in_effect = config.in_effect();
    let of = |key| in_effect.iter().find(|setting| setting.key == key).unwrap();
    assert_eq!(of("workers").origin.to_string(), "--workers");
    assert_eq!(of("log").origin.to_string(), "environment variable LOSTCARD_LOG");
    assert_eq!((of("listen").toml.as_deref(), &of("listen").origin), (Some("\"127.0.0.1:8080\""), &Origin::Default));
    assert!(
        of("retention.keep").origin.to_string().ends_with("lostcard.toml, line 10"),
        "{}",
        of("retention.keep").origin
    );
    assert_eq!((of("redis_url").toml.as_deref(), of("redis_url").is_secret), (None, true));
    assert_eq!((of("database_url").toml.as_deref(), of("database_url").is_secret), (None, false));
    assert_eq!(of("public_url").toml.as_deref(), Some("\"https://lostcard.example\""));
    assert!(!format!("{in_effect:?}").contains("s3same"));
    let lines = in_effect.iter().filter_map(|setting| Some(format!("{} = {}\n", setting.key, setting.toml.as_ref()?)));
    let again = with(&lines.collect::<String>()).unwrap();
    let (before, after) = (config.in_effect(), again.in_effect());
    for (before, after) in before.iter().zip(&after).filter(|(before, _)| !before.is_secret) {
        assert_eq!((before.key, &before.toml), (after.key, &after.toml));
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Config::load(Some(Path::new("/nonexistent")), Overrides::default()).unwrap_err();
    assert!(matches!(&error, ConfigError::NoFile(_)) && error.to_string().contains("/nonexistent"));
}

#[test]
fn what_may_hold_a_password_is_not_in_the_debug_text() {
    let config = with("database_url = \"postgres://a:s3same@b/c\"\nredis_url = \"redis://a:s3same@b\"\n[[issuers]]\nissuer = \"x\"\naudience = \"y\"\njwks_url = \"https://a:s3same@b\"\norganizations = [\"01993c5e-0000-7000-8000-000000000000\"]\nscopes = [\"checks\"]").unwrap();
    let text = format!("{config:?}");
    assert!(text.contains("lease_ms: 1000") && !text.contains("s3same"), "{text}");
    let flags = Overrides::default().set("database_url", "postgres://a:s3same@b/c");
    assert_eq!(format!("{flags:?}"), "{\"database_url\"}");
}

#[test]
fn a_sandbox_has_a_folder_and_an_issuer_of_its_own() {
    let bound = SocketAddr::from(([127, 0, 0, 1], 8080));
    let (sandbox, production) = (with("sandbox = true").unwrap(), with("").unwrap());
    assert_eq!((sandbox.data.to_str(), production.data.to_str()), (Some("lostcard-sandbox"), Some("lostcard-data")));
    assert_eq!(sandbox.issuer(bound), "http://127.0.0.1:8080/sandbox");
    assert_eq!(production.issuer(bound), "http://127.0.0.1:8080");
    assert_eq!(with("sandbox = true\ndata = \"elsewhere\"").unwrap().data.to_str(), Some("elsewhere"));
    let at_path = with("sandbox = true\npublic_url = \"https://lostcard.example/sandbox\"").unwrap();
    assert_eq!(at_path.issuer(bound), "https://lostcard.example/sandbox/sandbox");
}

#[test]
fn a_node_answers_to_its_own_names_only() {
    let mut config = with("public_url = \"https://lostcard.example:8443\"\nhosts = [\"inner.example\"]").unwrap();
    config.listen = SocketAddr::from(([0, 0, 0, 0], 80)).into();
    let names = config.host_names("https://lostcard.example:8443");
    assert_eq!(names, ["lostcard.example", "localhost", "127.0.0.1", "[::1]", "inner.example"]);
    assert_eq!(config.issuer(config.listen.first()), "https://lostcard.example:8443");
}

#[test]
fn localhost_is_loopback_and_nobody_is_asked() {
    let listen = |text: &str| with(&format!("listen = \"{text}\"")).map(|config| config.listen);
    let localhost = listen("localhost:8080").unwrap();
    let candidates: Vec<_> = localhost.candidates().iter().map(ToString::to_string).collect();
    assert_eq!(candidates, ["127.0.0.1:8080", "[::1]:8080"]);
    assert!(listen("LOCALHOST:0").is_ok() && localhost.is_loopback());
    for bad in ["localhost:", "localhost:+1", "localhost:65536", "localhost", ":80", "lostcard.example:80", "127.0.0.1"]
    {
        assert!(listen(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_file_with_a_password_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lostcard.toml");
    let load = |text: &str, mode| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        Config::of_layers(Some(&path), std::iter::empty(), Overrides::default()).map_err(|error| error.to_string())
    };
    for secret in [
        "database_url = \"postgres://user:hunter2@db/lostcard\"",
        "redis_url = \"redis://:hunter2@cache\"",
        "database_url = \"postgres://db/lostcard?password=hunter2\"",
    ] {
        assert!(load(secret, 0o600).is_ok());
        for mode in [0o640, 0o644, 0o602] {
            let error = load(secret, mode).unwrap_err();
            assert!(error.contains(&format!("mode {mode:o}")) && error.contains("_URL"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
    let without = "public_url = \"https://a.example\"\ndatabase_url = \"postgres://user@db/lostcard\"\nworkers = 1";
    assert!(load(without, 0o644).is_ok());
}

/// `UPDATE=1 cargo test --lib config` writes the table.
#[test]
fn the_page_has_the_table_of_settings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/CONFIGURATION.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("| key | what |").expect("the table of keys");
    let after = rest.split_once("\n\n").unwrap().1;
    let right = format!("{before}{}\n{after}", Config::table());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, right).unwrap();
    } else {
        assert!(page == right, "docs/CONFIGURATION.md has another table of settings: UPDATE=1 cargo test --lib config");
    }
}
