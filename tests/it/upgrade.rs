//! A database that an older release wrote is opened by this one, which gives the same answers. `fixtures/README.md` says how
//! the file was made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kyc_tracker::clock::Timestamp;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{ACME, ADMIN_KEY, Answer, OTHER, TestApp};

/// Users of acme whose verdict a webhook set, and which no check has confirmed.
const UNCONFIRMED: [&str; 6] = [
    "verified-unconfirmed",
    "verified-not-found",
    "rejected-not-found",
    "second-unconfirmed",
    "second-unnoted-verified",
    "early",
];

/// What this release answers about [`UNCONFIRMED`] users otherwise than the older one.
const OF_UNCONFIRMED: &[(&str, bool)] = &[("final", false)];

/// Fields that the older release answered and this one does not.
const GONE: &[&str] = &[];

/// What the older release answered, and when its database is opened.
#[derive(Deserialize)]
struct Told {
    opened: Timestamp,
    answers: Vec<Old>,
}

/// A request and what the older release answered.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Old {
    who: String,
    path: String,
    /// GET where there is none.
    method: Option<String>,
    sent: Option<Value>,
    #[serde(default)]
    sent_headers: BTreeMap<String, String>,
    status: u16,
    /// Those that have to be the same too.
    headers: BTreeMap<String, String>,
    body: Value,
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/fixtures")
        .join(name)
}

fn told() -> Told {
    let text = std::fs::read_to_string(fixture("ac9585a.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// This release on the older one's database.
async fn upgraded(told: &Told) -> TestApp {
    TestApp::on(&fixture("ac9585a.db"), told.opened).await
}

async fn ask(app: &TestApp, old: &Old) -> Answer {
    let method = old.method.as_deref().unwrap_or("GET");
    let mut request = app.request(Method::from_bytes(method.as_bytes()).unwrap(), &old.path);
    request = match old.who.as_str() {
        "acme" => request.header("partner-api-key", ACME.key),
        "other" => request.header("partner-api-key", OTHER.key),
        "ops" => request.bearer_auth(ADMIN_KEY),
        nobody => panic!("{nobody} has no key"),
    };
    for (name, value) in &old.sent_headers {
        request = request.header(name, value);
    }
    if let Some(body) = &old.sent {
        request = request.json(body);
    }
    app.send(request).await
}

/// The older answer, with what this release changes in it.
fn expected(mut old: Value) -> Value {
    match &mut old {
        Value::Object(fields) => {
            let user = fields.get("userId").and_then(Value::as_str);
            let unconfirmed = user.is_some_and(|user| UNCONFIRMED.contains(&user));
            if unconfirmed {
                for (field, now) in OF_UNCONFIRMED {
                    if let Some(value) = fields.get_mut(*field) {
                        *value = json!(now);
                    }
                }
            }
            // Their checks are due at once, and what cannot be read is not kept.
            if unconfirmed && let Some(Value::Object(looks)) = fields.get_mut("looks") {
                looks.remove("nextLookAt");
            }
            if fields.get("outcome") == Some(&json!("unreadable")) {
                fields.insert("body".to_owned(), Value::Null);
            }
            fields.retain(|field, _| !GONE.contains(&field.as_str()));
            for value in fields.values_mut() {
                *value = expected(value.take());
            }
        }
        Value::Array(items) => {
            for item in items {
                *item = expected(item.take());
            }
        }
        _ => {}
    }
    old
}

/// Notes in what `new` differs; fields that only `new` has are none of it.
fn compare(place: &str, old: &Value, new: &Value, differences: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (field, old) in old {
                let place = format!("{place}.{field}");
                match new.get(field) {
                    Some(new) => compare(&place, old, new, differences),
                    None => differences.push(format!("{place} is gone")),
                }
            }
        }
        (Value::Array(old), Value::Array(new)) if old.len() == new.len() => {
            for (number, (old, new)) in old.iter().zip(new).enumerate() {
                compare(&format!("{place}[{number}]"), old, new, differences);
            }
        }
        _ if old == new => {}
        _ => differences.push(format!("{place} was {old} and is {new}")),
    }
}

#[actix_web::test]
async fn every_answer_about_an_older_database_is_what_the_older_release_answered() {
    let told = told();
    let app = upgraded(&told).await;
    let mut differences = Vec::new();
    for old in &told.answers {
        let (place, new) = (format!("{} {}", old.who, old.path), ask(&app, old).await);
        if old.status != new.status {
            differences.push(format!("{place} was {} and is {}", old.status, new.status));
        }
        for (name, value) in &old.headers {
            if value != new.header(name) {
                let new = new.header(name);
                differences.push(format!("{place}: {name} was {value} and is {new}"));
            }
        }
        compare(
            &place,
            &expected(old.body.clone()),
            &new.json(),
            &mut differences,
        );
    }
    assert!(told.answers.len() > 100);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[actix_web::test]
async fn the_unconfirmed_verdicts_of_the_older_database_are_those_the_tests_name() {
    let told = told();
    let of_acme = |old: &&Old| old.who == "acme" && old.path == "/v1/kyc/users?limit=500";
    let list = told.answers.iter().find(of_acme).unwrap();
    let users = list.body["data"].as_array().unwrap();
    let mut unconfirmed: Vec<&str> = users
        .iter()
        .filter(|user| {
            user["final"] == true && user["source"] == "webhook" && user["asOf"].is_null()
        })
        .map(|user| user["userId"].as_str().unwrap())
        // Its rejection was confirmed; it is the good news since then that is not.
        .filter(|user| *user != "hoped")
        .collect();
    let mut named = UNCONFIRMED.to_vec();
    unconfirmed.sort_unstable();
    named.sort_unstable();
    assert_eq!(unconfirmed, named);
}

#[actix_web::test]
async fn what_the_older_release_left_open_is_settled_by_the_provider() {
    let told = told();
    let app = upgraded(&told).await;
    // The session that the older release has noted, or the first of a user of whom it knows none.
    for (user, result, session) in [
        ("doubted", "APPROVED", "s-doubted"),
        ("doubted-review", "DECLINED", "s-doubted-review"),
        ("hoped", "APPROVED", "s-h"),
        ("verified-unconfirmed", "APPROVED", "s-vu"),
        ("verified-not-found", "DECLINED", "s-new"),
        ("rejected-not-found", "APPROVED", "s-new"),
        ("submitted", "APPROVED", "s-new"),
        ("in-review", "DECLINED", "s-ir"),
        ("second-pending", "APPROVED", "s-new"),
        // The session of its first attempt says nothing about the second.
        ("second-held", "APPROVED", "s1-second-held"),
        ("second-unconfirmed", "DECLINED", "s-new"),
        ("pending-unlinked", "REVIEW", "s-new"),
        ("nobody", "APPROVED", "s-new"),
    ] {
        let created = told.opened.to_string();
        app.truth.answers(
            user,
            json!({
                "aipriseSummary": {"verificationResult": result}, "clientReferenceId": user,
                "verificationSessionId": session, "createdAt": created,
            }),
        );
    }
    // Its webhooks have waited for it.
    app.capa_gives_links().await;
    let late = json!({"userId": "nobody", "externalUserId": "c-nobody", "country": "DO"});
    app.ask_for_link(ACME, &late).await;
    app.pass(Duration::from_secs(3 * 3600)).await;
    for (user, status, attempt) in [
        ("doubted", "verified", 1),
        ("doubted-review", "rejected", 1),
        ("hoped", "verified", 1),
        ("verified-unconfirmed", "verified", 1),
        ("verified-not-found", "rejected", 1),
        ("rejected-not-found", "verified", 1),
        ("submitted", "verified", 1),
        ("in-review", "rejected", 1),
        ("second-pending", "verified", 2),
        ("second-held", "pending", 2),
        ("second-unconfirmed", "rejected", 2),
        ("pending-unlinked", "in_review", 1),
        ("nobody", "verified", 1),
        ("overridden", "verified", 1),
    ] {
        let now = app.user(user).await;
        assert_eq!(
            (&now["status"], &now["attempt"]),
            (&json!(status), &json!(attempt)),
            "{now}"
        );
    }
}
