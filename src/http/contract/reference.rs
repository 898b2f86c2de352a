//! The copy of the document that the page of the API reference reads: there the page gets a token by itself (client credentials), and
//! calls the service where its reader sees it. The exported document keeps plain `bearer`, which all generators take.

use std::sync::{Mutex, PoisonError};

use actix_web::http::Method;
use actix_web::web::Bytes;
use serde_json::{Value, json};
use utoipa::openapi::OpenApi;

use super::openapi;
use super::route::Table;
use crate::domain::client::Scope;

/// Stands where a reader's prefix comes; in no text.
const PREFIX: &str = "\u{f8ff}";

/// Prefixes whose copies are kept: a proxy that serves this below others names them all.
const KEPT_MAX: usize = 8;

/// The copy, without a prefix, and those that were asked for last.
#[derive(Debug)]
pub struct Reference {
    text: String,
    kept: Mutex<Vec<(Box<str>, Bytes)>>,
}

impl Reference {
    pub fn of(document: &OpenApi, routes: Table) -> Result<Self, serde_json::Error> {
        let mut copy: Value = serde_json::from_str(&openapi::text(document)?)?;
        copy["servers"] = json!([{ "url": format!("{PREFIX}/") }]);
        let scopes: serde_json::Map<_, _> =
            Scope::ALL.iter().map(|scope| (scope.as_str().to_owned(), Value::from(""))).collect();
        let flow = json!({ "tokenUrl": format!("{PREFIX}/oauth2/token"), "scopes": scopes });
        copy["components"]["securitySchemes"]["client"] = json!({
            "type": "oauth2",
            "description": "The id and the secret of a client. Choose no scope for all that it has.",
            "flows": { "clientCredentials": flow },
        });
        for (path, item) in copy["paths"].as_object_mut().into_iter().flatten() {
            for (method, verb) in [(Method::GET, "get"), (Method::POST, "post"), (Method::PATCH, "patch")] {
                let row = routes.find(&method, path).filter(|row| row.method == method && !row.scopes.is_empty());
                if let (Some(row), Some(operation)) = (row, item.get_mut(verb)) {
                    // Any of them will do.
                    let client = row.scopes.iter().map(|scope| json!({ "client": [scope.as_str()] }));
                    operation["security"] = client.chain([json!({ "bearer": [] })]).collect();
                }
            }
        }
        serde_json::to_string(&copy).map(|text| Self { text, kept: Mutex::default() })
    }

    /// The copy for readers who see the service below this prefix.
    pub fn below(&self, prefix: &str) -> Bytes {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, copy)) = kept.iter().find(|(of, _)| **of == *prefix) {
            return copy.clone();
        }
        // Two thirds of a megabyte: made once, and shared by all answers.
        let copy = Bytes::from(self.text.replace(PREFIX, prefix));
        if kept.len() >= KEPT_MAX {
            kept.remove(0);
        }
        kept.push((prefix.into(), copy.clone()));
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_share_one_copy_and_few_prefixes_are_kept() {
        let reference = Reference { text: format!("{PREFIX}/a {PREFIX}/b"), kept: Mutex::default() };
        assert_eq!(reference.below("/x"), "/x/a /x/b");
        assert_eq!(reference.below("").as_ptr(), reference.below("").as_ptr());
        for at in 0..2 * KEPT_MAX {
            reference.below(&format!("/{at}"));
        }
        assert_eq!(reference.kept.lock().unwrap().len(), KEPT_MAX);
    }
}
