//! The OpenAPI document is true: every answer it tells of is provoked here, and it tells of every answer of every test,
//! which `TestApp::send` checks.

mod worlds;

use std::collections::BTreeSet;

use futures_util::future::join_all;
use kyc_tracker::capa::signature::sign;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::dropin::USERS;
use crate::support::conforms::{self, DOCUMENT, validator};
use crate::support::{ACME, ADMIN_KEY, Answer, TestApp};
use worlds::{Worlds, gives_any_link, well};

/// What is documented and cannot be provoked, with the reason.
const NEVER: [(&str, &str); 1] = [(
    "internal_error",
    "no request is known that makes the service fail in itself",
)];
const PROBLEM: &str = "application/problem+json";
/// The user who is there; the one that the document has in its examples.
const USER: &str = "customer-42";

/// One answer of which the document tells.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Told {
    path: String,
    status: String,
    media: String,
    /// Empty where there is none.
    code: String,
}

fn told() -> BTreeSet<Told> {
    let mut told = BTreeSet::new();
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        let operation = item.as_object().unwrap().values().next().unwrap();
        for (status, response) in operation["responses"].as_object().unwrap() {
            let mut add = |media: &str, code: &str| {
                told.insert(Told {
                    path: path.clone(),
                    status: status.clone(),
                    media: media.to_owned(),
                    code: code.to_owned(),
                });
            };
            let Some(contents) = response.get("content") else {
                add("", "");
                continue;
            };
            for (media, content) in contents.as_object().unwrap() {
                match content.get("examples").and_then(Value::as_object) {
                    Some(codes) => codes.keys().for_each(|code| add(media, code)),
                    None => add(media, ""),
                }
            }
        }
    }
    told
}

fn operation(path: &str) -> &'static Value {
    conforms::operation(path).unwrap()
}

fn verb(path: &str) -> Method {
    let item = DOCUMENT["paths"][path].as_object().unwrap();
    item.keys().next().unwrap().to_uppercase().parse().unwrap()
}

/// Whether errors of its own are problems there.
fn has_problems(path: &str) -> bool {
    !path.starts_with("/api/partner/") && !path.starts_with("/webhooks/")
}

/// The examples of its body.
fn takes(path: &str) -> Option<Vec<&'static Value>> {
    let body = operation(path).get("requestBody")?;
    let examples = body["content"]["application/json"]["examples"]
        .as_object()
        .unwrap();
    Some(examples.values().map(|example| &example["value"]).collect())
}

fn filled(path: &str, user: &str) -> String {
    let file = if user == USER { "swagger-ui.css" } else { user };
    path.replace("{userId}", user)
        .replace("{partnerId}", ACME.id)
        .replace("{file}", file)
        .replace("{token}", "none")
}

fn keyed(request: RequestBuilder) -> RequestBuilder {
    request
        .header("partner-api-key", ACME.key)
        .bearer_auth(ADMIN_KEY)
}

/// A request as the document has it for an example, about that user, of nobody.
fn plain(app: &TestApp, path: &str, user: &str, query: &str) -> RequestBuilder {
    let target = format!("{}{query}", filled(path, user));
    let request = app.request(verb(path), &target);
    let Some(examples) = takes(path) else {
        return request;
    };
    let mut body = examples[0].clone();
    if let Some(user_id) = body.get_mut("userId") {
        *user_id = json!(user);
    }
    request.json(&body)
}

/// The same of somebody who may.
fn good(app: &TestApp, path: &str, user: &str) -> RequestBuilder {
    asking(app, path, user, "")
}

/// The same with a query.
fn asking(app: &TestApp, path: &str, user: &str, query: &str) -> RequestBuilder {
    let request = keyed(plain(app, path, user, query));
    let body = takes(path).map(|examples| examples[0].to_string());
    match body.filter(|_| path.starts_with("/webhooks/")) {
        Some(body) => {
            let signature = sign(ACME.secret, body.as_bytes());
            request.header("capa-signature", signature).body(body)
        }
        None => request,
    }
}

#[actix_web::test]
async fn every_answer_that_is_documented_can_be_provoked_and_is_as_documented() {
    let worlds = Worlds::new().await;
    let never = |told: &Told| {
        NEVER.iter().any(|(code, _)| {
            told.code.eq_ignore_ascii_case(code) || told.code == "INTERNAL_SERVER_ERROR"
        })
    };
    let documented: BTreeSet<Told> = told().into_iter().filter(|told| !never(told)).collect();
    let (slow, quick): (Vec<&Told>, Vec<&Told>) = documented
        .iter()
        .partition(|told| told.code.eq_ignore_ascii_case("request_timeout"));
    let mut provoked = BTreeSet::new();
    let slow = join_all(
        slow.into_iter()
            .map(async |told| (told, worlds.provoke(told).await)),
    )
    .await;
    for (told, answer) in slow {
        provoked.insert(seen(told, &answer));
    }
    for told in quick {
        let answer = worlds.provoke(told).await;
        provoked.insert(seen(told, &answer));
    }
    let missing: Vec<&Told> = documented.difference(&provoked).collect();
    let surplus: Vec<&Told> = provoked.difference(&documented).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "missing: {missing:#?}\nseen instead: {surplus:#?}"
    );
}

/// What the answer is, in the document's words; a status or a content type that stands for any is what it stands for.
fn seen(told: &Told, answer: &Answer) -> Told {
    let media = answer.header("content-type").split(';').next().unwrap();
    let body: Value = serde_json::from_str(&answer.text).unwrap_or_default();
    let code = [&body["code"], &body["error"]["code"]]
        .into_iter()
        .find_map(Value::as_str);
    let status = answer.status.as_str();
    let listed = operation(&told.path)["responses"].get(status).is_some();
    Told {
        path: told.path.clone(),
        status: if listed { status } else { "default" }.to_owned(),
        media: if told.media == "*/*" { "*/*" } else { media }.to_owned(),
        code: code.unwrap_or_default().to_owned(),
    }
}

/// What a caller might send there: an example with another value in one of its fields, or without it, or with one that nobody
/// knows.
fn bodies(path: &str) -> Vec<Value> {
    let mut bodies = vec![json!(null), json!([]), json!("a"), json!({})];
    let mut values: Vec<Value> = vec![
        json!(null),
        json!(7),
        json!(true),
        json!(["a"]),
        json!([7]),
        json!({}),
        json!(vec!["a"; 500]),
        json!(vec!["a"; 501]),
    ];
    let texts = "|a| a|a |a b|a\u{1}b|a\u{85}b|\u{a0}a|..|.a|...b|a/b|é|DO|MX|do|XX|Employee|employee|verified|VERIFIED|\
        +524401234567|+0123456|+123456|+1234567|+123456789012345|+1234567890123456|524401234567|AQ|ZZ|\
        LOZG7802117B9|LOZG7802297B9|LOZG0002297B9|LOZG0102297B9|LOZG9602297B9|LOZG7804317B9|LOZG7813017B9|lOZG7802117B9|\
        https://a.example/b|HTTPS://a.example|myapp://done|https:/a.example|https://a b|https://a\\b|https:|a.example|";
    values.extend(texts.split('|').map(Value::from));
    values.extend([128, 129, 255, 256, 500, 501].map(|length| json!("x".repeat(length))));
    values.extend([255, 256].map(|length| json!("😀".repeat(length))));
    values.extend(
        [2029, 2030].map(|length| json!(format!("https://a.example/{}", "x".repeat(length)))),
    );
    // The last example has the most fields.
    if let Some(example) = takes(path).unwrap().pop() {
        let mut places = vec!["/colour".to_owned(), "/personalInfo/colour".to_owned()];
        for (name, value) in example.as_object().unwrap() {
            places.push(format!("/{name}"));
            let inner = value.as_object().into_iter().flatten();
            places.extend(inner.map(|(inner, _)| format!("/{name}/{inner}")));
        }
        places.extend(
            ["externalUserId", "forceNew", "partnerRedirectUri"].map(|name| format!("/{name}")),
        );
        for place in places {
            let (object, name) = place.rsplit_once('/').unwrap();
            let mut without = example.clone();
            let Some(object) = without.pointer_mut(object).and_then(Value::as_object_mut) else {
                continue;
            };
            object.remove(name);
            bodies.push(without.clone());
            for value in &values {
                let mut with = without.clone();
                let (object, name) = place.rsplit_once('/').unwrap();
                with.pointer_mut(object).unwrap()[name] = value.clone();
                bodies.push(with);
            }
        }
    }
    bodies
}

#[actix_web::test]
async fn a_body_is_taken_where_its_schema_takes_it_and_no_other_is() {
    let app = well().await;
    gives_any_link(&app).await;
    let mut counts = [0, 0];
    let paths = DOCUMENT["paths"].as_object().unwrap().keys();
    for path in paths
        .filter(|path| takes(path).is_some() && !path.starts_with("/webhooks/") && *path != USERS)
    {
        let schema = &operation(path)["requestBody"]["content"]["application/json"]["schema"];
        let ours = has_problems(path);
        for body in bodies(path) {
            let request = keyed(app.request(verb(path), &filled(path, USER)));
            let answer = app.send(request.json(&body)).await;
            let code = if ours {
                &answer.json()["code"]
            } else {
                &answer.json()["error"]["code"]
            };
            let refused = matches!(
                code.as_str(),
                Some("invalid_request" | "INVALID_USER_INPUT_ERROR")
            );
            let told = !validator(schema).is_valid(&body);
            assert_eq!(refused, told, "{path} {body}: {answer:?}");
            counts[usize::from(told)] += 1;
        }
    }
    assert!(counts[0] > 50 && counts[1] > 500, "{counts:?}");
    // The one thing that a schema cannot tell.
    for uri in [
        "http://a.example",
        "javascript://a",
        "https://a@b.example",
        "https:///a",
    ] {
        let body = json!({"userId": "u1", "country": "DO", "partnerRedirectUri": uri});
        let schema =
            &operation("/v1/kyc/links")["requestBody"]["content"]["application/json"]["schema"];
        assert!(validator(schema).is_valid(&body));
        assert_eq!(app.ask_for_link(ACME, &body).await.status, 422, "{uri}");
    }
}

#[actix_web::test]
async fn every_example_of_a_body_is_taken() {
    for (path, _) in DOCUMENT["paths"].as_object().unwrap() {
        for example in takes(path).into_iter().flatten() {
            let app = TestApp::new().await;
            app.pending(USER).await;
            let request = keyed(app.request(verb(path), &filled(path, USER))).json(example);
            let signature = sign(ACME.secret, example.to_string().as_bytes());
            let answer = app.send(request.header("capa-signature", signature)).await;
            let taken = answer.status.is_success() || (path == USERS && answer.status == 404);
            assert!(taken, "{path} {example}: {answer:?}");
        }
    }
}

#[actix_web::test]
async fn the_document_is_served_as_it_is_tried_here() {
    let app = TestApp::new().await;
    let answer = app.send(app.request(Method::GET, "/openapi.json")).await;
    assert_eq!(answer.json()["openapi"], "3.1.0");
    assert_eq!(answer.text, *kyc_tracker::web::openapi::DOCUMENT);
}

#[actix_web::test]
async fn the_page_asks_for_nothing_that_is_not_there_and_may_ask_nobody_else() {
    let app = TestApp::new().await;
    let page = app.send(app.request(Method::GET, "/docs")).await;
    let files: Vec<&str> = page.text.split("\"docs/").skip(1).collect();
    assert_eq!(files.len(), 5, "{page:?}");
    for file in files {
        let path = format!("/docs/{}", file.split('"').next().unwrap());
        let answer = app.send(app.request(Method::GET, &path)).await;
        assert_eq!(answer.status, 200, "{path}");
        for (name, value) in [
            ("referrer-policy", "no-referrer"),
            (
                "content-security-policy",
                page.header("content-security-policy"),
            ),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
    }
    assert!(
        page.header("content-security-policy")
            .starts_with("default-src 'none'; script-src 'self';")
    );
    assert!(
        !page.text.contains("//") && !page.text.contains("<script>"),
        "{page:?}"
    );
    let settings = app
        .send(app.request(Method::GET, "/docs/swagger-initializer.js"))
        .await;
    for setting in [
        "\"url\": \"openapi.json\"",
        "\"persistAuthorization\": false",
        "\"validatorUrl\": \"none\"",
    ] {
        assert!(settings.text.contains(setting), "{settings:?}");
    }
    for path in [
        "/docs/",
        "/docs/index.html",
        "/docs/oauth2-redirect.html",
        "/docs/..%2fCargo.toml",
    ] {
        let answer = app.send(app.request(Method::GET, path)).await;
        assert_eq!(answer.problem(), (404, "not_found".to_owned()), "{path}");
    }
}

#[actix_web::test]
async fn the_limits_of_parameters_are_those_of_the_document() {
    let app = well().await;
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        let operation = item.as_object().unwrap().values().next().unwrap();
        let parameters = operation.get("parameters").and_then(Value::as_array);
        for parameter in parameters.into_iter().flatten() {
            let (name, schema) = (parameter["name"].as_str().unwrap(), &parameter["schema"]);
            let bounds = [("minimum", -1), ("maximum", 1)];
            for (bound, beyond) in bounds {
                let Some(bound) = schema[bound].as_i64() else {
                    continue;
                };
                for (value, right) in [(bound, true), (bound + beyond, false)] {
                    let query = format!("?{name}={value}");
                    let answer = app.send(asking(&app, path, USER, &query)).await;
                    assert_eq!(answer.status == 200, right, "{path} {query}: {answer:?}");
                }
            }
            for word in schema["enum"].as_array().into_iter().flatten() {
                let query = format!("?{name}={}", word.as_str().unwrap());
                let answer = app.send(asking(&app, path, USER, &query)).await;
                assert_eq!(answer.status, 200, "{path} {query}: {answer:?}");
            }
        }
    }
}
