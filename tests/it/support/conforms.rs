//! Whether an answer is one that the OpenAPI document tells of.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use kyc_tracker::web::openapi;
use reqwest::Method;
use serde_json::{Map, Value};

use super::Answer;

/// The document with everything in its place instead of a reference to it. In answers, objects have the fields they tell of
/// and no others: readers are to overlook those that they do not know, but we are not.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let document = serde_json::from_str(&openapi::DOCUMENT).unwrap();
    let mut whole = resolved(&document, &document);
    close(&mut whole["components"]["schemas"]["Event"], false);
    for item in whole["paths"].as_object_mut().unwrap().values_mut() {
        for operation in item.as_object_mut().unwrap().values_mut() {
            close(&mut operation["responses"], false);
        }
    }
    whole
});

fn resolved(value: &Value, document: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut whole = Map::new();
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                let target = document.pointer(reference.trim_start_matches('#'));
                whole = resolved(target.unwrap(), document)
                    .as_object()
                    .unwrap()
                    .clone();
            }
            let others = fields.iter().filter(|(name, _)| *name != "$ref");
            whole.extend(others.map(|(name, value)| (name.clone(), resolved(value, document))));
            Value::Object(whole)
        }
        Value::Array(values) => values
            .iter()
            .map(|value| resolved(value, document))
            .collect(),
        other => other.clone(),
    }
}

/// What only narrows another schema has no required fields, and is no whole object.
fn close(value: &mut Value, is_part: bool) {
    match value {
        Value::Object(fields) => {
            let whole = fields.contains_key("required") && fields.contains_key("properties");
            let whole = whole || fields.contains_key("allOf");
            if whole && !is_part && !fields.contains_key("additionalProperties") {
                fields.insert("unevaluatedProperties".to_owned(), Value::Bool(false));
            }
            for (name, value) in fields {
                close(value, name == "allOf");
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| close(value, is_part)),
        _ => {}
    }
}

/// The one operation of the path that is documented, if it is.
pub fn operation(path: &str) -> Option<&'static Value> {
    let parts: Vec<&str> = path.split('/').collect();
    let fits = |template: &str| {
        let template: Vec<&str> = template.split('/').collect();
        let mut pairs = template.iter().zip(&parts);
        template.len() == parts.len()
            && pairs.all(|(told, part)| told == part || (told.starts_with('{') && !part.is_empty()))
    };
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let exact = paths.get(path);
    let found = exact.or_else(|| {
        paths
            .iter()
            .find(|(template, _)| fits(template))
            .map(|(_, item)| item)
    });
    found?.as_object().unwrap().values().next()
}

/// The validator of a schema of [`DOCUMENT`], made once.
pub fn validator(schema: &'static Value) -> Arc<Validator> {
    static MADE: LazyLock<Mutex<HashMap<usize, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let place = std::ptr::from_ref(schema).addr();
    let mut made = MADE.lock().unwrap();
    let make = || {
        let options = jsonschema::options().should_validate_formats(true);
        Arc::new(options.build(schema).unwrap())
    };
    Arc::clone(made.entry(place).or_insert_with(make))
}

/// Panics when the document does not tell of such an answer to such a request. Unknown paths are nobody's concern.
pub fn check(method: &Method, path: &str, answer: &Answer) {
    let Some(operation) = operation(path) else {
        return;
    };
    let shown = || format!("{method} {path} was answered {answer:?}, and");
    let responses = &operation["responses"];
    let status = answer.status.as_str();
    let response = responses.get(status).or_else(|| responses.get("default"));
    let response = response.unwrap_or_else(|| panic!("{} no document tells of it", shown()));
    for (name, header) in response["headers"].as_object().unwrap() {
        let text = answer.header(name);
        if !answer.headers.contains_key(name) {
            assert!(
                header.get("required").is_none(),
                "{} {name} is missing",
                shown()
            );
            continue;
        }
        let number = text.parse::<u64>().map(Value::from).ok();
        let value = number.filter(|_| header["schema"]["type"] == "integer");
        let value = value.unwrap_or_else(|| Value::from(text));
        let fault = validator(&header["schema"])
            .validate(&value)
            .err()
            .map(|fault| fault.to_string());
        assert_eq!(fault, None, "{} {name} is wrong", shown());
    }
    let Some(content) = response.get("content") else {
        assert_eq!(answer.text, "", "{} there should be no body", shown());
        return;
    };
    if *method == Method::HEAD {
        return;
    }
    let media = answer.header("content-type").split(';').next().unwrap();
    let content = content.get(media).or_else(|| content.get("*/*"));
    let content = content.unwrap_or_else(|| panic!("{} has a wrong content type", shown()));
    let schema = content.get("schema");
    if let Some(schema) = schema.filter(|_| media.ends_with("json")) {
        let body = answer.json();
        let validator = validator(schema);
        let faults: Vec<String> = validator
            .iter_errors(&body)
            .map(|fault| fault.to_string())
            .collect();
        assert!(faults.is_empty(), "{} {faults:?}", shown());
    }
}
