//! What operators are given must be true of the code: metrics and label values of alerts and dashboard exist, every alert has
//! its section in docs/OPERATIONS.md and its case, example settings are accepted, and stopping allows for the drain.
//! Reads files only; `promtool` judges the rules themselves (tests/run).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use lostcard::config::{Config, Fact, Overrides};
use lostcard::service::console::rules::{Measure, NOT_HERE, RULES};

/// What a node takes to finish what is in flight, after the drain (`FINISH_S_MAX` in src/node/listening.rs).
const FINISH_SECONDS: u64 = 10;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files_under(folder: &Path, files: &mut Vec<PathBuf>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.filter_map(Result::ok).map(|entry| entry.path()) {
        if path.is_dir() { files_under(&path, files) } else { files.push(path) }
    }
}

/// All of src in one text.
fn source() -> String {
    let mut files = Vec::new();
    files_under(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    files.iter().filter_map(|path| fs::read_to_string(path).ok()).collect()
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// Every metric that src/telemetry.rs registers: a name is a literal that another literal, the help, follows.
fn metrics() -> BTreeSet<String> {
    let telemetry = read("src/telemetry.rs");
    let pieces: Vec<_> = telemetry.split('"').collect();
    let names = pieces.windows(3).skip(1).step_by(2).filter(|window| is_word(window[0]) && window[1].trim() == ",");
    let mut metrics = BTreeSet::new();
    for window in names {
        let name = format!("lostcard_{}", window[0]);
        if name.ends_with("_seconds") {
            metrics.extend(["_bucket", "_sum", "_count"].map(|part| format!("{name}{part}")));
        }
        metrics.insert(name);
    }
    assert!(metrics.contains("lostcard_checks_total") && metrics.contains("lostcard_feed_sequence"), "{metrics:?}");
    metrics
}

/// The metrics that a text names.
fn named(text: &str) -> impl Iterator<Item = &str> {
    text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_')).filter(|word| word.starts_with("lostcard_"))
}

/// The label values that an expression selects by, except those that Prometheus gives.
fn selected(text: &str) -> Vec<String> {
    let selectors = text.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(selector, _)| selector);
    let pairs = selectors.flat_map(|selector| selector.split(',')).filter_map(|pair| pair.split_once('='));
    let own = pairs
        .filter(|(label, _)| !["job", "instance", "le", "alertname"].contains(&label.trim_end_matches('!').trim()));
    own.flat_map(|(_, value)| value.trim_start_matches('~').trim_matches(['"', '\\']).split('|'))
        .map(str::to_owned)
        .collect()
}

fn assert_exists(place: &str, expressions: &str, metrics: &BTreeSet<String>, source: &str) {
    for metric in named(expressions) {
        assert!(metrics.contains(metric), "{place}: there is no metric {metric}");
    }
    for value in selected(expressions) {
        assert!(source.contains(&format!("\"{value}\"")), "{place}: no label of a metric is ever {value:?}");
    }
}

/// The names after `key` in a YAML text.
fn values<'a>(yaml: &'a str, key: &str) -> Vec<&'a str> {
    yaml.lines().filter_map(|line| line.trim().strip_prefix(key)).map(str::trim).collect()
}

#[test]
fn alerts_and_dashboard_name_only_metrics_that_exist() {
    let (metrics, source) = (metrics(), source());
    let alerts = read("deploy/prometheus/alerts.yaml");
    // Expressions only: comments and summaries may hold anything.
    let rules: Vec<_> = alerts.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let rules = rules.join("\n").replace("{{", "").replace("}}", "");
    assert_exists("alerts.yaml", &rules, &metrics, &source);

    let dashboard: serde_json::Value = serde_json::from_str(&read("deploy/grafana/dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let expressions: Vec<_> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(expressions.len() >= 15, "{}", expressions.len());
    for expression in &expressions {
        assert!(expression.to_lowercase().contains("lostcard"), "{expression}");
        assert_exists("dashboard.json", expression, &metrics, &source);
    }
}

#[test]
fn a_metric_that_does_not_exist_is_noticed() {
    assert!(!metrics().contains("lostcard_verdict"), "a label is no metric");
    let found =
        selected(r#"rate(lostcard_problems_total{code=~"internal|no_such"}[5m]) / x{job="lostcard", tier!="s"}"#);
    assert_eq!(found, ["internal", "no_such", "s"]);
    assert_eq!(named("sum(lostcard_checks_total) + up").collect::<Vec<_>>(), ["lostcard_checks_total"]);
}

#[test]
fn every_alert_has_its_section_and_its_case() {
    let (alerts, page) = (read("deploy/prometheus/alerts.yaml"), read("docs/OPERATIONS.md"));
    let names = values(&alerts, "- alert:");
    assert!(names.len() >= 15, "{names:?}");
    let sections: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("### Lostcard")).collect();
    assert_eq!(sections, names.iter().map(|name| &name["Lostcard".len()..]).collect::<Vec<_>>(), "sections, in order");
    let runbooks: Vec<_> = names.iter().map(|name| format!("docs/OPERATIONS.md#{}", name.to_lowercase())).collect();
    assert_eq!(values(&alerts, "runbook:"), runbooks);
    let tested = read("deploy/prometheus/alerts_test.yaml");
    for name in names {
        assert!(tested.contains(&format!("alertname=\"{name}\"")), "alerts_test.yaml: {name} fires in no case");
    }
}

#[test]
fn example_settings_are_accepted() {
    for path in ["deploy/systemd/lostcard.toml", "deploy/kubernetes/lostcard.toml"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
        let config = Config::load(Some(&file), Overrides::default());
        assert!(config.is_ok(), "{path}: {config:?}");
    }
}

/// What ends TLS before a node.
const FRONTS: [&str; 4] = [
    "deploy/nginx/lostcard.conf",
    "deploy/nginx/lostcard-mtls.conf",
    "deploy/haproxy/lostcard.cfg",
    "deploy/haproxy/lostcard-mtls.cfg",
];

#[test]
fn no_front_lets_a_client_say_which_certificate_it_has() {
    for path in FRONTS {
        let text = read(path);
        for field in ["Client-Cert", "Client-Cert-Chain", "X-Forwarded-Prefix"] {
            let is_written = text.lines().map(str::trim).any(|line| {
                line.starts_with(&format!("proxy_set_header {field} "))
                    || line == format!("http-request del-header {field}")
            });
            assert!(is_written, "{path}: {field}");
        }
    }
    let fields = read("deploy/kubernetes/proxy-set-headers.yaml");
    for field in ["Client-Cert", "Client-Cert-Chain", "X-Forwarded-Prefix"] {
        assert!(fields.contains(&format!("\n  {field}: \"\"\n")), "{field}");
    }
    assert!(read("deploy/kubernetes/kustomization.yaml").contains("- proxy-set-headers.yaml\n"));
    let name = values(&fields, "name:")[0];
    assert!(read("deploy/kubernetes/ingress.yaml").contains(&format!("proxy-set-headers: lostcard/{name}")));
}

/// Bodies and answers hold numbers and receipts.
#[test]
fn no_front_of_nginx_makes_files_of_bodies_and_answers() {
    for path in FRONTS.iter().filter(|path| path.contains("nginx")) {
        for line in ["client_body_buffer_size 1m;", "proxy_max_temp_file_size 0;"] {
            assert!(read(path).lines().any(|own| own.trim() == line), "{path}: {line}");
        }
    }
    let ingress = read("deploy/kubernetes/ingress.yaml");
    for line in ["/client-body-buffer-size: 1m\n", "/proxy-max-temp-file-size: \"0\"\n"] {
        assert!(ingress.contains(line), "{line}");
    }
}

/// The settings of a node that a proxy's file names in its head.
#[test]
fn settings_that_go_with_a_proxy_are_accepted_and_trust_it() {
    for path in [&FRONTS[..], &["deploy/haproxy/lostcard-tcp.cfg"]].concat() {
        let text = read(path);
        let lines: Vec<_> =
            text.lines().map_while(|line| line.strip_prefix('#')).filter_map(|line| line.strip_prefix("   ")).collect();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lostcard.toml");
        fs::write(&file, lines.join("\n")).unwrap();
        let config = Config::load(Some(&file), Overrides::default());
        let server = config.unwrap_or_else(|error| panic!("{path}: {error}")).server;
        assert_eq!(server.trusted_proxies, ["127.0.0.1/32".parse().unwrap()], "{path}");
    }
}

#[test]
fn every_variable_is_a_setting() {
    let known: Vec<_> = Config::settings().iter().map(Fact::variable).collect();
    let mut files = Vec::new();
    files_under(&Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy"), &mut files);
    for path in files.iter().filter(|path| !path.components().any(|part| part.as_os_str() == "secrets.d")) {
        let text = fs::read_to_string(path).unwrap();
        let words = text.split(|char: char| !(char.is_ascii_uppercase() || char == '_'));
        for word in words.filter(|word| word.starts_with("LOSTCARD_")) {
            assert!(known.iter().any(|known| known == word), "{}: {word} is no setting", path.display());
        }
    }
}

#[test]
fn whoever_stops_a_node_waits_for_its_drain() {
    let compose = read("deploy/compose/compose.yaml");
    let [unit, pod] = ["deploy/systemd/lostcard.service", "deploy/kubernetes/statefulset.yaml"].map(read);
    for (place, drain, wait) in [
        ("systemd", number(&read("deploy/systemd/lostcard.toml"), "drain_seconds ="), number(&unit, "TimeoutStopSec=")),
        ("compose", number(&compose, "LOSTCARD_DRAIN_SECONDS: \""), number(&compose, "stop_grace_period: ")),
        (
            "kubernetes",
            number(&read("deploy/kubernetes/lostcard.toml"), "drain_seconds ="),
            number(&pod, "terminationGracePeriodSeconds:"),
        ),
    ] {
        assert!(wait > drain + FINISH_SECONDS, "{place}: {wait} s for a drain of {drain} s and {FINISH_SECONDS} s");
    }
}

/// A pod may be deleted with sightings in its journal, which no other node has.
#[test]
fn in_kubernetes_the_data_folder_outlives_its_pod_and_redis_may_be_absent() {
    let set = read("deploy/kubernetes/statefulset.yaml");
    let (pod, claims) = set.split_once("volumeClaimTemplates:").expect("volumes that outlive pods");
    let mounted = values(pod, "- { name: data, mountPath:")[0].trim_end_matches(" }");
    let data = values(pod, "- { name: LOSTCARD_DATA, value:")[0].trim_end_matches(" }");
    assert!(data.starts_with(&format!("{mounted}/")), "{data} in {mounted}");
    assert!(claims.contains("name: data\n") && !set.contains("emptyDir"), "{claims}");
    // A fresh node has no warning: there is room beside what a file system takes for itself.
    let storage = number(claims, "storage:");
    assert!(claims.contains(&format!("storage: {storage}Gi")), "{claims}");
    let warned = number(&read("src/node/doctor/machine.rs"), "FREE_MIB_WARNING: u64 =");
    assert!(storage * 1024 >= warned * 3 / 2, "{storage} GiB, and doctor warns below {warned} MiB");
    let (_, redis) = pod.split_once("LOSTCARD_REDIS_URL").unwrap();
    assert!(redis.split("- name").next().unwrap().contains("key: redis, optional: true"));
    assert!(pod.contains("key: database }"), "the database may not be absent");
    let name = values(&set, "serviceName:")[0];
    assert!(read("deploy/kubernetes/service.yaml").contains(&format!("name: {name}\n")), "{name}");
}

/// The first whole number that follows a key.
fn number(text: &str, key: &str) -> u64 {
    let (_, rest) = text.split_once(key).unwrap_or_else(|| panic!("no {key}"));
    let digits: String = rest.trim_start().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("{key}: no number"))
}

#[test]
fn the_time_to_finish_is_the_one_of_the_code() {
    assert!(read("src/node/listening.rs").contains(&format!("FINISH_S_MAX: u64 = {FINISH_SECONDS};")));
}

#[test]
fn the_debian_package_holds_what_the_unit_needs() {
    let manifest = read("Cargo.toml");
    let (_, metadata) = manifest.split_once("[package.metadata.deb]").unwrap();
    for file in ["service", "sysusers", "tmpfiles", "toml", "env"] {
        assert!(metadata.contains(&format!("\"deploy/systemd/lostcard.{file}\"")), "{file} is not packed");
    }
    let unit = read("deploy/systemd/lostcard.service");
    // Without a folder systemd looks in /usr/local/bin and in /usr/bin, where the package puts it.
    assert!(unit.contains("\nExecStart=lostcard serve --config /etc/lostcard/lostcard.toml\n"), "{unit}");
    assert!(metadata.contains("\"usr/bin/\"") && metadata.contains("\"etc/lostcard/lostcard.toml\""));
    // Settings with passwords are an example only: as a configuration file they would be world-readable and lead nowhere.
    assert!(!metadata.contains("\"etc/lostcard/lostcard.env\""));
    let folders = read("deploy/systemd/lostcard.tmpfiles");
    for folder in ["/etc/lostcard/keys 0700 lostcard lostcard", "/var/lib/lostcard  0700 lostcard lostcard"] {
        assert!(folders.contains(folder), "{folder}");
    }
    assert!(read("deploy/systemd/lostcard.sysusers").contains("\nu lostcard "));
}

/// What is between an alert's name and the next one.
fn rule_of<'a>(alerts: &'a str, name: &str) -> &'a str {
    let (_, rest) = alerts.split_once(&format!("- alert: {name}\n")).unwrap_or_else(|| panic!("no alert {name}"));
    rest.split("- alert:").next().unwrap_or_default()
}

/// Seconds as Prometheus writes them.
fn span(seconds: u64) -> Vec<String> {
    let units = [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")];
    let whole = units.iter().filter(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    whole.map(|(unit, name)| format!("{}{name}", seconds / unit)).collect()
}

#[test]
fn console_judges_by_the_rules_of_prometheus() {
    let alerts = read("deploy/prometheus/alerts.yaml");
    let names: BTreeSet<_> = values(&alerts, "- alert:").into_iter().collect();
    let judged = RULES.iter().map(|rule| rule.alert).chain(NOT_HERE.iter().map(|(name, _)| *name));
    assert_eq!(judged.clone().count(), names.len(), "an alert twice, or one that the console forgets");
    assert_eq!(judged.collect::<BTreeSet<_>>(), names);
    for rule in RULES {
        let (name, text) = (rule.alert, rule_of(&alerts, rule.alert));
        let severity = if rule.wakes { "severity: page " } else { "severity: ticket " };
        assert!(text.contains(severity), "{name}: {severity}");
        let holds = values(text, "for:");
        assert!(
            if rule.holds_s == 0 { holds.is_empty() } else { span(rule.holds_s).iter().any(|time| holds == [time]) },
            "{name}: for {holds:?}, not {} s",
            rule.holds_s
        );
        if rule.window_s() > 0 {
            let windows = span(rule.window_s());
            assert!(windows.iter().any(|time| text.contains(&format!("[{time}]"))), "{name}: {windows:?}");
        }
        let is_above = format!("> {}", rule.above);
        let holds_one = matches!(rule.measure, Measure::Gauge("lostcard_redis_breaker_open")) && text.contains("== 1");
        assert!(
            text.contains(&format!("{is_above}\n")) || text.contains(&format!("{is_above} ")) || holds_one,
            "{name}: {is_above}"
        );
        for metric in rule.metrics() {
            assert!(text.contains(metric), "{name}: {metric}");
        }
        for label in rule.labels() {
            assert!(text.contains(label), "{name}: {label}");
        }
    }
}

/// The metrics behind each figure of the console, by its place there.
const CONSOLE_FIGURES: &[(&str, &str)] = &[
    ("Checks/s, shares of verdicts", "lostcard_checks_total"),
    ("Time to answer a check", "lostcard_check_seconds_bucket"),
    ("Numbers listed", "lostcard_filter_keys"),
    ("Changes since the filter", "lostcard_recent_changes"),
    ("Age of the registry", "lostcard_lease_as_of_milliseconds"),
    ("Sequence", "lostcard_feed_sequence"),
    ("Nodes", "lostcard_nodes"),
    ("Limits hit", "lostcard_limited_total"),
    ("Problems sent", "lostcard_problems_total"),
    ("Loss reports", "lostcard_reports_total"),
    ("Whether they are slow", "lostcard_created_seconds_bucket"),
    ("Memory", "lostcard_resident_memory_bytes"),
    ("Redis", "lostcard_redis_breaker_open"),
    ("Requests waiting", "lostcard_in_flight"),
    ("Sightings not stored yet", "lostcard_sightings_journal_bytes"),
    ("Webhooks overdue", "lostcard_webhook_overdue_seconds"),
    ("Retention last done", "lostcard_retention_finished_milliseconds"),
    ("Pepper rotating", "lostcard_rotating_from"),
];

#[test]
fn each_figure_of_the_console_has_its_panel() {
    let dashboard = read("deploy/grafana/dashboard.json");
    let metrics = metrics();
    for (figure, metric) in CONSOLE_FIGURES {
        assert!(metrics.contains(*metric) && named(&dashboard).any(|name| name == *metric), "{figure}: {metric}");
    }
    // What the console reads by name.
    for text in ["src/service/console/past.rs", "src/http/api/console.rs"].map(read) {
        let code = text.split("mod tests").next().unwrap_or_default();
        for name in named(code).filter(|name| name.len() > "lostcard_".len()) {
            let name = name.trim_end_matches("_bucket");
            assert!(CONSOLE_FIGURES.iter().any(|(_, metric)| metric.starts_with(name)), "{name}: name its panel here");
        }
    }
    let shown = ["Verdict shares", "Alerts that fire"];
    assert!(shown.iter().all(|title| dashboard.contains(&format!("\"title\": \"{title}\""))), "{shown:?}");
}
