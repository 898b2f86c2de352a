//! The part of the document that one role needs: what its scope reaches, the token beside it, and the components that these name.
//! Drawn from the route table, so that a new operation is in the right part by itself.

use std::collections::BTreeSet;

use actix_web::http::Method;
use serde_json::Value;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::PathItem;

use super::route::{Route, Table};
use crate::domain::client::Scope;

/// Whom a part is for.
#[derive(Debug)]
pub struct Role {
    pub file: &'static str,
    title: &'static str,
    scope: Scope,
}

/// Every part.
pub const ROLES: &[Role] = &[
    Role { file: "checks.json", title: "lostcard: checks", scope: Scope::Checks },
    Role { file: "blind.json", title: "lostcard: blind checks", scope: Scope::Blind },
    Role { file: "registry.json", title: "lostcard: registry", scope: Scope::Registry },
    Role { file: "citizen.json", title: "lostcard: citizen portals", scope: Scope::Citizen },
    Role { file: "admin.json", title: "lostcard: administration and console", scope: Scope::Admin },
];

/// Without it nothing else can be called.
const TOKEN: &str = "/oauth2/token";

impl Role {
    /// The role's part of the whole document.
    pub fn part_of(&self, whole: &OpenApi, routes: Table) -> OpenApi {
        let mut part = whole.clone();
        self.title.clone_into(&mut part.info.title);
        for (path, item) in &mut part.paths.paths {
            let keeps = |method| self.reaches(routes.find(method, path));
            item.get = item.get.take().filter(|_| keeps(&Method::GET));
            item.post = item.post.take().filter(|_| keeps(&Method::POST));
            item.patch = item.patch.take().filter(|_| keeps(&Method::PATCH));
        }
        part.paths.paths.retain(|_, item| item.get.is_some() || item.post.is_some() || item.patch.is_some());
        // An event is for the scope of its tag: alerts for who checked, notices for portals.
        if let Some(webhooks) = &mut part.webhooks {
            let is_told = |item: &PathItem| {
                let tags = item.post.iter().flat_map(|operation| operation.tags.iter().flatten());
                tags.into_iter().any(|tag| tag == self.scope.as_str())
            };
            webhooks.paths.retain(|_, item| is_told(item));
        }
        part.webhooks = part.webhooks.take().filter(|webhooks| !webhooks.paths.is_empty());
        let webhooks = part.webhooks.iter().flat_map(|webhooks| webhooks.paths.values());
        let items = part.paths.paths.values().chain(webhooks);
        let operations = items.flat_map(|item| [&item.get, &item.post, &item.patch]).flatten();
        let tags: BTreeSet<_> = operations.flat_map(|operation| operation.tags.iter().flatten().cloned()).collect();
        part.tags.iter_mut().for_each(|all| all.retain(|tag| tags.contains(&tag.name)));
        drop_unused(&mut part);
        part
    }

    fn reaches(&self, route: Option<&Route>) -> bool {
        route.is_some_and(|row| row.path == TOKEN || (row.scopes.contains(&self.scope) && !row.is_of_sandbox))
    }
}

/// Leaves the components that the operations refer to, directly or through others.
fn drop_unused(part: &mut OpenApi) {
    let named = |value: serde_json::Result<Value>| {
        let mut found = Vec::new();
        references(&value.unwrap_or_default(), &mut found);
        found
    };
    let whole = serde_json::to_value(&part.components).unwrap_or_default();
    let mut open = named(serde_json::to_value(&part.paths));
    open.extend(named(serde_json::to_value(&part.webhooks)));
    let mut used = BTreeSet::new();
    while let Some(reference) = open.pop() {
        let target = reference.strip_prefix("#/components").and_then(|pointer| whole.pointer(pointer));
        if used.insert(reference.clone())
            && let Some(target) = target
        {
            references(target, &mut open);
        }
    }
    if let Some(components) = &mut part.components {
        let is_used = |kind: &str, name: &str| used.contains(&format!("#/components/{kind}/{name}"));
        components.schemas.retain(|name, _| is_used("schemas", name));
        components.responses.retain(|name, _| is_used("responses", name));
        components.headers.retain(|name, _| is_used("headers", name));
    }
}

/// Every `$ref` in a value.
fn references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::routes::{TABLE, document};

    fn part(file: &str) -> Value {
        let role = ROLES.iter().find(|role| role.file == file).unwrap();
        serde_json::to_value(role.part_of(&document(), TABLE)).unwrap()
    }

    fn operations(part: &Value) -> BTreeSet<&str> {
        let items = part["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values());
        items.map(|operation| operation["operationId"].as_str().unwrap()).collect()
    }

    #[test]
    fn every_part_is_there_once() {
        let files: BTreeSet<_> = ROLES.iter().map(|role| role.file).collect();
        assert_eq!(files.len(), ROLES.len());
    }

    #[test]
    fn a_hotel_has_eleven_operations_beside_the_token() {
        let wanted = [
            "createToken",
            "createCheck",
            "createCheckBatch",
            "verifyReceipt",
            "auditReceipt",
            "verifyTemporaryCertificate",
            "createMisuseReport",
            "getMisuseReport",
            "listMisuseReports",
            "listAlerts",
            "getUsage",
            "getOrganization",
        ];
        let part = part("checks.json");
        assert_eq!(operations(&part), BTreeSet::from(wanted));
        assert_eq!(events(&part), ["alertCreated"], "who checks gets alerts");
    }

    fn events(part: &Value) -> Vec<&String> {
        part["webhooks"].as_object().into_iter().flat_map(serde_json::Map::keys).collect()
    }

    #[test]
    fn a_part_has_the_events_of_its_scope() {
        let wanted = [("citizen.json", vec!["noticeCreated"]), ("registry.json", vec![]), ("admin.json", vec![])];
        for (name, wanted) in wanted {
            assert_eq!(events(&part(name)), wanted, "{name}");
        }
    }

    #[test]
    fn every_operation_with_a_token_is_in_a_part_and_every_reference_leads_somewhere() {
        let mut in_parts = BTreeSet::new();
        for role in ROLES {
            let part = part(role.file);
            let mut named = Vec::new();
            references(&part, &mut named);
            for reference in &named {
                assert!(part.pointer(reference.trim_start_matches('#')).is_some(), "{}: {reference}", role.file);
            }
            for (kind, all) in part["components"].as_object().unwrap() {
                for name in all.as_object().unwrap().keys().filter(|_| kind != "securitySchemes") {
                    assert!(named.contains(&format!("#/components/{kind}/{name}")), "{}: {name} is unused", role.file);
                }
            }
            in_parts.extend(operations(&part).into_iter().map(str::to_owned));
        }
        let whole = serde_json::to_value(document()).unwrap();
        for row in TABLE.rows().iter().filter(|row| !row.scopes.is_empty() && !row.is_of_sandbox) {
            let id = whole["paths"][row.path][row.verb()]["operationId"].as_str().unwrap();
            assert!(in_parts.contains(id), "{id} is in no part");
        }
    }
}
