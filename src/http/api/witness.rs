//! The one operation of a witness over HTTP, as C2SP tlog-witness has it: plain text, and none of the service's problems.

use actix_web::http::header;
use actix_web::web::{self, Bytes, Data, PayloadConfig, ServiceConfig};
use actix_web::{HttpResponse, http::StatusCode};

use crate::crypto::tlog::note::NOTE_BYTES_MAX;
use crate::service::witness::{Answer, Witness};

/// The most bytes of a request: a note, and 63 hashes before it.
const BODY_BYTES_MAX: usize = NOTE_BYTES_MAX + 4096;

/// Puts the witness into an application.
pub fn configure(config: &mut ServiceConfig, witness: Data<Witness>) {
    config
        .app_data(witness)
        .app_data(PayloadConfig::new(BODY_BYTES_MAX))
        .route("/add-checkpoint", web::post().to(add_checkpoint));
}

async fn add_checkpoint(witness: Data<Witness>, body: Bytes) -> HttpResponse {
    let Ok(body) = std::str::from_utf8(&body) else { return refuse(StatusCode::BAD_REQUEST, "not UTF-8") };
    match witness.add_checkpoint(body).await {
        Ok(Answer::Cosigned(line)) => {
            HttpResponse::Ok().insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8")).body(line)
        }
        Ok(Answer::Malformed) => refuse(StatusCode::BAD_REQUEST, "not old size, proof and checkpoint"),
        Ok(Answer::UnknownLog) => refuse(StatusCode::NOT_FOUND, "this witness does not know the log"),
        Ok(Answer::Ended) => refuse(StatusCode::NOT_FOUND, "this witness has cosigned a later log of this registry"),
        Ok(Answer::WrongSignature) => refuse(StatusCode::FORBIDDEN, "no signature of a key of the log"),
        Ok(Answer::Conflict { known }) => HttpResponse::Conflict()
            .insert_header((header::CONTENT_TYPE, "text/x.tlog.size"))
            .body(format!("{known}\n")),
        Ok(Answer::Inconsistent) => refuse(StatusCode::UNPROCESSABLE_ENTITY, "the proof does not verify"),
        Err(error) => {
            tracing::error!(error = %error, "the witness cannot remember what it would cosign: nothing is cosigned");
            refuse(StatusCode::SERVICE_UNAVAILABLE, "this witness cannot cosign now")
        }
    }
}

fn refuse(status: StatusCode, why: &'static str) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::CONTENT_TYPE, "text/plain; charset=utf-8"))
        .body(format!("{why}\n"))
}
