//! Certificates for tests, made by OpenSSL: an authority and what it signs, and self-signed ones.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// A certificate and its key, as files.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Pair {
    /// Both in one text, as HTTP clients take them.
    pub(crate) fn identity(&self) -> reqwest::Identity {
        let text = |path: &Path| std::fs::read(path).unwrap();
        reqwest::Identity::from_pem(&[text(&self.key), text(&self.certificate)].concat()).unwrap()
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        pem::parse(std::fs::read(&self.certificate).unwrap()).unwrap().into_contents()
    }

    /// `x5t#S256`.
    pub(crate) fn thumbprint(&self) -> String {
        use sha2::Digest;
        lostcard::crypto::signing::base64url(&sha2::Sha256::digest(self.der()))
    }
}

/// An authority in a folder of its own.
#[derive(Debug)]
pub(crate) struct Authority {
    folder: TempDir,
    pub(crate) root: Pair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = pair_in(folder.path(), "root");
        let args = ["-addext", "basicConstraints=critical,CA:TRUE", "-subj", "/CN=Root of tests"];
        self_sign(&root, &args);
        Self { folder, root }
    }

    /// A certificate for a subject as OpenSSL writes it, with names (`DNS:a,IP:127.0.0.1`).
    pub(crate) fn issue(&self, name: &str, subject: &str, names: &str) -> Pair {
        let pair = pair_in(self.folder.path(), name);
        let names = format!("subjectAltName={names}");
        let (ca, ca_key) = (self.root.certificate.to_str().unwrap(), self.root.key.to_str().unwrap());
        self_sign(&pair, &["-subj", subject, "-addext", &names, "-CA", ca, "-CAkey", ca_key]);
        pair
    }

    /// One of nobody's but its own.
    pub(crate) fn self_signed(&self, name: &str) -> Pair {
        let pair = pair_in(self.folder.path(), name);
        self_sign(&pair, &["-subj", &format!("/CN={name}"), "-addext", &format!("subjectAltName=DNS:{name}")]);
        pair
    }

    /// The node's own, for loopback.
    pub(crate) fn of_node(&self, name: &str) -> Pair {
        self.issue(name, "/CN=localhost", "DNS:localhost,IP:127.0.0.1")
    }

    /// A client that trusts this authority alone, and shows a certificate if it has one.
    pub(crate) fn client(&self, shows: Option<&Pair>) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(&std::fs::read(&self.root.certificate).unwrap()).unwrap();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([root]);
        shows.into_iter().fold(client, |client, pair| client.identity(pair.identity())).build().unwrap()
    }
}

fn pair_in(folder: &Path, name: &str) -> Pair {
    Pair { certificate: folder.join(format!("{name}.pem")), key: folder.join(format!("{name}.key")) }
}

fn self_sign(pair: &Pair, args: &[&str]) {
    // OpenSSL's own settings would make everything an authority.
    let config = pair.key.with_extension("cnf");
    std::fs::write(&config, "[req]\ndistinguished_name = dn\n[dn]\n").unwrap();
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"]);
    command.arg("-config").arg(config).arg("-keyout").arg(&pair.key).arg("-out").arg(&pair.certificate).args(args);
    let made = command.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}
