//! `GET /openapi.json`: what every route takes and answers, as an OpenAPI 3.1 document.
//!
//! The schemas are made from the types that serve the requests, and `operations.rs` has one entry for each route. That no
//! route is missing is tried here; that everything the document says of answers is so, in `tests/it/openapi.rs`.

mod bodies;
pub(super) mod docs;
mod headers;
mod operation;
mod operations;
mod refusals;
pub(super) mod words;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use actix_web::HttpResponse;
use utoipa::ToSchema;
use utoipa::openapi::path::{PathItem, Paths};
use utoipa::openapi::schema::Schema;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Components, Info, Object, OpenApi, RefOr, Server, Tag};

use super::extract::{NoParameters, Query};
use crate::error::as_provider::Envelope;
use crate::error::problem::Problem;
use operation::Caller;

/// The document, as it is served.
pub static DOCUMENT: LazyLock<String> = LazyLock::new(|| made().to_json().unwrap_or_default());

/// Anybody may read it: it says nothing of anybody.
pub async fn document(_: Query<NoParameters>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(DOCUMENT.as_str())
}

fn made() -> OpenApi {
    let mut components = Components::new();
    components.headers = headers::all()
        .into_iter()
        .filter(|(name, _)| *name != headers::REPLAYED)
        .map(|(name, header)| (name.to_owned(), RefOr::T(header)))
        .collect();
    component::<Problem>(&mut components.schemas);
    component::<Envelope>(&mut components.schemas);
    let mut paths = Paths::new();
    for operation in operations::operations() {
        let (path, method) = (operation.path, operation.method.clone());
        let documented = operation.document(&mut components);
        paths
            .paths
            .insert(path.to_owned(), PathItem::new(method, documented));
    }
    bodies::complete(&mut components.schemas);
    let flat = components.schemas.clone();
    for schema in components.schemas.values_mut() {
        flatten(schema, &flat);
    }
    for (name, scheme) in schemes() {
        components.add_security_scheme(name, scheme);
    }
    let mut info = Info::new("kyc-tracker", env!("CARGO_PKG_VERSION"));
    info.description = Some(include_str!("overview.md").to_owned());
    let mut document = OpenApi::new(info, paths);
    document.servers = Some(vec![Server::new("/")]);
    document.tags = Some(tags());
    document.components = Some(components);
    document
}

fn component<S: ToSchema>(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    let mut of_it = vec![(S::name().into_owned(), S::schema())];
    S::schemas(&mut of_it);
    schemas.extend(of_it);
}

/// Makes one object of one that was put together of several, so that it reads as it is answered.
fn flatten(schema: &mut RefOr<Schema>, all: &BTreeMap<String, RefOr<Schema>>) {
    if let RefOr::T(Schema::AllOf(parts)) = schema {
        let mut whole = Object::new();
        whole.description = parts.description.clone();
        for part in &parts.items {
            add(part, &mut whole, all);
        }
        *schema = RefOr::T(whole.into());
    }
}

fn add(part: &RefOr<Schema>, whole: &mut Object, all: &BTreeMap<String, RefOr<Schema>>) {
    match part {
        RefOr::Ref(named) => {
            let name = named.ref_location.rsplit('/').next().unwrap_or_default();
            if let Some(part) = all.get(name) {
                add(part, whole, all);
            }
        }
        RefOr::T(Schema::AllOf(parts)) => {
            for part in &parts.items {
                add(part, whole, all);
            }
        }
        RefOr::T(Schema::Object(part)) => {
            whole.properties.extend(part.properties.clone());
            whole.required.extend(part.required.clone());
        }
        RefOr::T(_) => {}
    }
}

fn schemes() -> [(&'static str, SecurityScheme); 3] {
    let in_header = |name: &str, meaning: &str| {
        SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::with_description(name, meaning)))
    };
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("An admin's key; the demo prints one."))
        .build();
    [
        (
            operation::PARTNER_KEY,
            in_header(
                "partner-api-key",
                "A partner's API key; in the demo `demo_partner_key`.",
            ),
        ),
        (operation::ADMIN_KEY, SecurityScheme::Http(bearer)),
        (
            operation::SIGNATURE,
            in_header(
                "capa-signature",
                "The HMAC-SHA-256 of the body under the partner's webhook secret, as 64 hex digits.",
            ),
        ),
    ]
}

fn tags() -> Vec<Tag> {
    let tag = |caller: Caller, meaning: &str| {
        let mut tag = Tag::new(caller.heading());
        tag.description = Some(meaning.to_owned());
        tag
    };
    vec![
        tag(Caller::Partner, "A partner's backend, with its API key."),
        tag(
            Caller::DropIn,
            "The provider's own paths: a client that was made for Capa changes nothing but the address and the key.",
        ),
        tag(
            Caller::Person,
            "The persons themselves, in a browser, with the address that their partner gave them.",
        ),
        tag(Caller::Provider, "The provider, with a signature."),
        tag(
            Caller::Admin,
            "Admins, with an admin's key. They see all partners, and never a link.",
        ),
        tag(Caller::Nobody, "Without a key."),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashSet};

    use serde_json::Value;

    use super::*;
    use crate::web::{admin_page, routes};

    fn document() -> Value {
        serde_json::from_str(&DOCUMENT).unwrap()
    }

    /// What `routes.rs` says, by its text: nobody can ask the framework.
    fn routed() -> BTreeSet<(String, String)> {
        let text = include_str!("../routes.rs");
        let mut routed = BTreeSet::new();
        for service in text.split(".service(").skip(1) {
            let (verb, rest) = service.split_once('(').unwrap();
            let first = rest.trim_start();
            let path = match first.strip_prefix('"') {
                Some(rest) => rest.split('"').next().unwrap(),
                None => match first.split(',').next().unwrap() {
                    "ALIVE" => routes::ALIVE,
                    other => panic!("{other} is no path"),
                },
            };
            // The admin page is for people alone.
            if path == admin_page::PATH || path.starts_with("/admin/") {
                continue;
            }
            let method = match verb {
                "get" => "get",
                "post" | "webhook" => "post",
                other => panic!("{other} is no method"),
            };
            assert!(routed.insert((path.to_owned(), method.to_owned())));
        }
        routed
    }

    #[test]
    fn every_route_is_documented_with_its_method_and_nothing_else_is() {
        let document = document();
        let mut documented = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for method in item.as_object().unwrap().keys() {
                documented.insert((path.clone(), method.clone()));
            }
        }
        let routed = routed();
        assert!(routed.len() > 19, "{routed:?}");
        assert_eq!(documented, routed);
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_component_is_referred_to() {
        fn collect<'a>(value: &'a Value, found: &mut HashSet<&'a str>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref").and_then(Value::as_str));
                    fields.values().for_each(|value| collect(value, found));
                }
                Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = HashSet::new();
        collect(&document, &mut found);
        for reference in &found {
            let target = document.pointer(reference.trim_start_matches('#'));
            assert!(target.is_some(), "{reference}");
        }
        for kind in ["schemas", "responses", "headers"] {
            for name in document["components"][kind].as_object().unwrap().keys() {
                let reference = format!("#/components/{kind}/{name}");
                // Only the text of the stream's operation speaks of it.
                assert!(
                    found.contains(&*reference) || name == "Event",
                    "{reference}"
                );
            }
        }
    }

    #[test]
    fn every_schema_is_one_and_every_example_fits_its_own() {
        fn walk(value: &Value, document: &Value) {
            if let Some(fields) = value.as_object() {
                if let Some(schema) = fields.get("schema") {
                    let mut whole = schema.clone();
                    whole["components"] = document["components"].clone();
                    let validator = jsonschema::options()
                        .should_validate_formats(true)
                        .build(&whole);
                    let validator = validator.unwrap();
                    let examples = fields.get("examples").and_then(Value::as_object);
                    let examples = examples
                        .into_iter()
                        .flatten()
                        .map(|(_, example)| &example["value"]);
                    for example in examples.chain(fields.get("example")) {
                        let fault = validator.validate(example).err();
                        assert!(fault.is_none(), "{example}: {}", fault.unwrap());
                    }
                }
                fields.values().for_each(|value| walk(value, document));
            } else if let Some(values) = value.as_array() {
                values.iter().for_each(|value| walk(value, document));
            }
        }
        let document = document();
        walk(&document["paths"], &document);
        walk(&document["components"]["responses"], &document);
    }

    #[test]
    fn operations_have_ids_of_their_own_and_a_summary() {
        let document = document();
        let mut ids = HashSet::new();
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                assert!(ids.insert(operation["operationId"].as_str().unwrap()));
                assert!(!operation["summary"].as_str().unwrap().ends_with('.'));
            }
        }
    }
}
