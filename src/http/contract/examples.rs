//! The examples of the OpenAPI document: one story, told by the answers of a running node and kept as JSON beside this file, by
//! `operationId`, then `requests`, `answers`, or a status: of a refusal in another standard's form, of a success that answers otherwise; then name.
//! An operation that is not there is shown by the examples of its schemas.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;
use utoipa::openapi::example::Example;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{Content, RefOr, Schema};

type Named = BTreeMap<String, Example>;
type Stories = BTreeMap<String, BTreeMap<String, Named>>;
type Schemas = BTreeMap<String, RefOr<Schema>>;

/// What cannot be read is no example: a test misses it then.
static STORIES: LazyLock<Stories> = LazyLock::new(|| {
    let areas = [
        include_str!("examples/access.json"),
        include_str!("examples/admin.json"),
        include_str!("examples/cards.json"),
        include_str!("examples/checks.json"),
        include_str!("examples/persons.json"),
        include_str!("examples/registry.json"),
        include_str!("examples/service.json"),
    ];
    areas.iter().flat_map(|area| serde_json::from_str::<Stories>(area).unwrap_or_default()).collect()
});

/// Gives an operation its examples.
pub fn illustrate(operation: &mut Operation, schemas: &Schemas) {
    let story = operation.operation_id.as_ref().and_then(|id| STORIES.get(id));
    let of_place = |place: &str| story.and_then(|story| story.get(place));
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        body.content.values_mut().for_each(|content| show(content, of_place("requests"), schemas));
    }
    for (status, response) in &mut operation.responses.responses {
        let RefOr::T(response) = response else { continue };
        let named = of_place(status).or_else(|| of_place("answers").filter(|_| status.starts_with('2')));
        for (form, content) in &mut response.content {
            // A page or a table beside the JSON is not what the story tells.
            show(content, named.filter(|_| !form.starts_with("text/")), schemas);
        }
    }
}

fn show(content: &mut RefOr<Content>, named: Option<&Named>, schemas: &Schemas) {
    let RefOr::T(content) = content else { return };
    match named {
        _ if content.example.is_some() || !content.examples.is_empty() => {}
        Some(named) => content.examples = named.clone().into_iter().map(|(name, one)| (name, one.into())).collect(),
        None => content.example = content.schema.as_ref().and_then(|schema| own_example(schema, schemas)),
    }
}

/// The example of a whole schema, directly or by name.
fn own_example(schema: &RefOr<Schema>, schemas: &Schemas) -> Option<Value> {
    match schema {
        RefOr::T(Schema::Object(object)) => object.example.clone(),
        RefOr::T(_) => None,
        RefOr::Ref(reference) => match schemas.get(reference.ref_location.rsplit('/').next()?)? {
            RefOr::T(Schema::Object(object)) => object.example.clone(),
            _ => None,
        },
    }
}
