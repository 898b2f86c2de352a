//! Snippets that break each rule of `tests/tidy.rs`, and some that look so and break none.

/// Path, code (`\n` divides its lines) and the beginning of the rule that the code breaks there.
pub(super) const BAD: &str = r#"
src/store/mod.rs      ; use crate::http::Problem;                             ; layers point down
src/store/mod.rs      ; use crate::{\n    clock::Clock,\n    registry::R,\n}; ; layers point down
src/store/mod.rs      ; use super::service;                                   ; layers point down
src/service/checks.rs ; fn f(x: super::super::http::Dto) {}                   ; layers point down
src/service/checks.rs ; fn f(x: crate::access::Principal) {}                  ; layers point down
src/domain/card.rs    ; use crate::clock::Clock;                              ; layers point down
src/clock.rs          ; use crate::node::Application;                          ; layers point down
src/config/store.rs   ; use crate::store::StoreOptions;                       ; layers point down
src/config/log.rs     ; use crate::telemetry::Metrics;                        ; layers point down
src/store/mod.rs      ; use crate::config::Config;                            ; layers point down
src/helpers.rs        ; fn f() {}                                             ; a module of src
src/http/utils.rs     ; fn f() {}                                             ; no file is called
src/http/mod.rs       ; mod common;                                           ; no module is called
tests/common/mod.rs   ; fn f() {}                                             ; no file is called
src/domain/card.rs    ; use tokio::sync::Mutex;                               ; domain does no I/O
src/domain/card.rs    ; use actix_web::web;                                   ; domain does no I/O
src/domain/card.rs    ; async fn f() {}                                       ; domain does no I/O
src/service/checks.rs ; use actix_web::web::Json;                             ; service never sees
src/service/checks.rs ; const Q: &str = "SELECT 1";                           ; SQL lives
src/registry/mod.rs   ; let q = "UPDATE feed_head SET seq = 1";               ; SQL lives
src/http/pages/desk.rs ; fn f(pool: &sqlx::AnyPool) {}                         ; SQL lives
src/http/pages/desk.rs ; let c = redis::cmd("GET");                            ; Redis commands
src/access/mod.rs     ; use actix_web::http::StatusCode;                      ; status codes
src/node/mod.rs        ; HttpResponseBuilder::new(s)                           ; status codes
src/cli.rs            ; let home = std::env::var("HOME");                     ; the environment
src/cli/audit.rs      ; let file = File::create(path)?;                       ; files are opened
src/cli/audit.rs      ; std::fs::write(path, text)?;                          ; files are opened
src/domain/card.rs    ; use crate::own_files;                                 ; layers point down
src/http/api/ops.rs   ; let t = std::time::Instant::now();                    ; clocks
src/http/api/ops.rs   ; clock_gettime(ClockId::Boottime)                      ; clocks
src/store/mod.rs      ; let id = Uuid::now_v7();                              ; randomness
src/crypto/seal.rs    ; aws_lc_rs::rand::fill(&mut nonce)                     ; randomness
src/http/api/ops.rs   ; let id = ReportId::from_uuid(other);                  ; an id is made
src/http/api/ops.rs   ; let id: ClientId = record.as_its_kind();                  ; a record is of the kind
src/store/rows.rs     ; let id = ClientId::from_bytes(*id.as_bytes());        ; no id is made of
src/crypto/seal.rs    ; unsafe { f() }                                        ; no unsafe
src/service/alerts.rs ; tx.commit().await?;                                   ; a transaction that
src/service/reports.rs ; leave_to_followers(writing.tx).await?;                ; what no node waits
src/store/citizen.rs  ; const Q: &str = "WHERE state <> 'withdrawn'";         ; which reports list
src/cli/import/w.rs   ; tx.insert_reports(&reports, &change).await?;          ; a listing changes
src/cli/check.rs      ; let url = "/v1/checks";                               ; paths of operations
src/http/api/ops.rs   ; fn f(path: &str) { path.starts_with("/v1/") }         ; paths of operations
src/http/api/ops.rs   ; fn f() { let path = "/v1/checks"; }                   ; paths of operations
src/http/api/ops.rs   ; #[utoipa::path(get, path = "/v1/a")]\nconst A: &str = X { path = "/v1/a" }; ; paths of operations
src/main.rs           ; eprintln!("no");                                      ; only the command
"#;

/// Path and code that look like a breach and are none.
pub(super) const GOOD: &str = r#"
src/store/mod.rs       ; use crate::{\n    clock::{node, Clock},\n    domain::Card,\n};
src/store/reports.rs   ; use super::{cli, http};\nconst Q: &str = "SELECT 1";
src/clock.rs           ; let t = SystemTime::now();
src/domain/card.rs     ; /// tokio, SELECT\nfn f() {} // crate::http::x
src/service/checks.rs  ; operand::f(); fn unsafe_code() {} crate::VERSION;
src/limits/mod.rs      ; #[cfg(test)]\nmod tests {\n    use crate::node::X;\n}
src/limits/tests.rs    ; use crate::node::X;
src/http/routes.rs     ; const CHECKS: &str = "/v1/checks";
src/http/api/ops.rs    ; #[utoipa::path(get, path = "/v1/checks", tag = "checks")]
src/http/api/ops.rs    ; #[utoipa::path(\n    get, path = "/v1/checks",\n    security(("bearer" = [])),\n)]
tests/api/main.rs      ; let now = Instant::now(); println!("SELECT");
"#;
