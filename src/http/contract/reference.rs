//! The copy of the document that the page of the API reference reads: there the page gets a token by itself (client credentials), and
//! calls the service where its reader sees it. The exported document keeps plain `bearer`, which all generators take.

use actix_web::http::Method;
use serde_json::{Value, json};
use utoipa::openapi::OpenApi;

use super::openapi;
use super::route::Table;
use crate::domain::client::Scope;

/// Stands where a reader's prefix comes; in no text.
const PREFIX: &str = "\u{f8ff}";

/// The copy, without a prefix.
#[derive(Debug)]
pub struct Reference(String);

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
        serde_json::to_string(&copy).map(Self)
    }

    /// The copy for readers who see the service below this prefix.
    pub fn below(&self, prefix: &str) -> String {
        self.0.replace(PREFIX, prefix)
    }
}
