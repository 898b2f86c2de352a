//! PostgreSQL over TLS, as its URL asks for it: a server under the right authority is taken, any other is refused.

use std::path::Path;
use std::process::{Command, Stdio};

use lostcard::store::{Store, StoreError, StoreOptions};
use tempfile::TempDir;

use crate::servers::postgres::Postgres;
use crate::servers::process::run;

/// An authority, and a certificate of 127.0.0.1 under it.
fn make_certificates(folder: &Path) {
    let openssl = |words: &str| {
        run(Command::new("openssl").args(words.split_whitespace()).current_dir(folder).stderr(Stdio::null()));
    };
    std::fs::write(folder.join("names"), "subjectAltName=IP:127.0.0.1\n").unwrap();
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority");
    openssl("req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=server");
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem");
}

#[tokio::test]
async fn postgres_is_reached_by_tls_under_the_authority_that_the_url_names() {
    let (folder, other) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    make_certificates(folder.path());
    make_certificates(other.path());
    let file = |folder: &TempDir, name: &str| folder.path().join(name).display().to_string();
    let (right, wrong) = (file(&folder, "ca.pem"), file(&other, "ca.pem"));
    let (certificate, key) = (file(&folder, "server.pem"), file(&folder, "server.key"));
    let settings = [("ssl", "on"), ("ssl_cert_file", certificate.as_str()), ("ssl_key_file", key.as_str())];
    let server = Postgres::start_in(folder, &settings);
    let url = server.create_database();
    let data = TempDir::new().unwrap();
    let open = async |authority: &str| {
        let url = Some(format!("{url}?sslmode=verify-full&sslrootcert={authority}").into());
        Store::open(&StoreOptions { url, ..StoreOptions::default() }, data.path()).await
    };
    let store = open(&right).await.unwrap();
    assert_eq!(store.feed_totals().await.unwrap(), (0, 0, 0));
    assert_ne!(server.sql("SELECT COUNT(*) FROM pg_stat_ssl WHERE ssl"), "0", "connections are encrypted");
    let refused = open(&wrong).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unavailable(_) | StoreError::Busy), "{refused}");
}
