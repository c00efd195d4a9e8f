//! `POST /v1/kyc/links`: every rule of it, and what reaches the provider.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::support::{ACME, LINK, LINK_PATH, OTHER, TestApp};

fn mexican() -> Value {
    json!({
        "userId": "2da954cd-2fda-49c2-ad77-6208c5ab71d6",
        "externalUserId": "customer-42",
        "country": "MX",
        "partnerRedirectUri": "HTTPS://Partner.example/done",
        "personalInfo": {
            "profession": "Employee",
            "phoneNumber": "+524401234567",
            "birthCountry": "MX",
            "taxId": "LOZG7802117B9",
        },
    })
}

/// The body with one field, named by its path, replaced.
fn with(field: &str, value: Value) -> Value {
    let mut body = mexican();
    match field.split_once('.') {
        Some((object, field)) => body[object][field] = value,
        None => body[field] = value,
    }
    body
}

fn plain(user: &str) -> Value {
    json!({"userId": user, "country": "DO"})
}

#[actix_web::test]
async fn a_new_link_is_201_with_the_document_and_where_to_find_it() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    let answer = app.ask_for_link(ACME, &mexican()).await;
    assert_eq!(answer.status, 201);
    let user = "2da954cd-2fda-49c2-ad77-6208c5ab71d6";
    assert_eq!(answer.header("location"), format!("/v1/kyc/users/{user}"));
    let document = answer.json();
    assert_eq!(
        (&document["kycLink"], &document["resumed"]),
        (&json!(LINK), &json!(false))
    );
    assert_eq!(
        (&document["status"], &document["attempt"]),
        (&json!("pending"), &json!(1))
    );
    assert_eq!(document["externalUserId"], "customer-42");
    assert_eq!(app.user(user).await["kycLink"], LINK);
}

#[actix_web::test]
async fn the_provider_gets_the_partners_key_and_exactly_its_own_fields() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    app.ask_for_link(ACME, &with("forceNew", json!(true))).await;
    app.ask_for_link(OTHER, &plain("u1")).await;
    let calls = app.capa.received_requests().await.unwrap();
    let seen = |number: usize| {
        let call: &wiremock::Request = &calls[number];
        let key = call
            .headers
            .get("partner-api-key")
            .unwrap()
            .to_str()
            .unwrap();
        let body: Value = serde_json::from_slice(&call.body).unwrap();
        (
            call.method.to_string(),
            call.url.path().to_owned(),
            key.to_owned(),
            body,
        )
    };
    let mut expected = mexican();
    expected.as_object_mut().unwrap().remove("externalUserId");
    expected["partnerRedirectUri"] = json!("https://partner.example/done");
    let post = || ("POST".to_owned(), LINK_PATH.to_owned());
    let (first, second) = (post(), post());
    assert_eq!(
        seen(0),
        (first.0, first.1, ACME.provider_key.to_owned(), expected)
    );
    assert_eq!(
        seen(1),
        (
            second.0,
            second.1,
            OTHER.provider_key.to_owned(),
            plain("u1")
        )
    );
}

#[actix_web::test]
async fn the_open_link_is_handed_out_again_without_a_call() {
    let app = TestApp::new().await;
    let first = app.pending("u1").await;
    app.clock.advance(Duration::from_secs(12 * 3600 - 1));
    let again = app.ask_for_link(ACME, &plain("u1")).await;
    assert_eq!(again.status, 200);
    let again = again.json();
    assert_eq!(
        (&again["resumed"], &again["kycLink"]),
        (&json!(true), &first["kycLink"])
    );
    assert_eq!(again["version"], first["version"]);
    assert_eq!(app.calls().await, 1);
}

#[actix_web::test]
async fn a_link_of_another_country_is_not_handed_out_when_none_of_the_new_one_could_be_made() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.capa_answers(500, "{}").await;
    let moved = json!({"userId": "u1", "country": "US"});
    assert_eq!(app.ask_for_link(ACME, &moved).await.status, 503);
    assert_eq!(app.user("u1").await["kycLink"], Value::Null);
    app.capa_gives_links().await;
    let answer = app.ask_for_link(ACME, &moved).await;
    assert_eq!((answer.status.as_u16(), app.calls().await), (201, 1));
}

#[actix_web::test]
async fn a_link_that_is_too_old_or_of_another_country_or_not_wanted_is_made_anew() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.clock.advance(Duration::from_secs(12 * 3600));
    assert_eq!(app.ask_for_link(ACME, &plain("u1")).await.status, 201);
    let forced = json!({"userId": "u1", "country": "DO", "forceNew": true});
    assert_eq!(app.ask_for_link(ACME, &forced).await.status, 201);
    let moved = json!({"userId": "u1", "country": "US"});
    let answer = app.ask_for_link(ACME, &moved).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["country"]),
        (201, &json!("US"))
    );
    assert_eq!(app.calls().await, 4);
    assert_eq!(app.user("u1").await["attempt"], 1);
}

#[actix_web::test]
async fn a_verified_user_gets_no_link_unless_one_is_insisted_on() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.deliver("VERIFIED_USER", "u1").await;
    let refused = app.ask_for_link(ACME, &plain("u1")).await;
    assert_eq!(refused.problem(), (409, "already_verified".to_owned()));
    app.deliver("REJECTED_KYC", "u1").await;
    app.truth.says("u1", "DECLINED", "s1");
    let in_doubt = app.ask_for_link(ACME, &plain("u1")).await;
    assert_eq!(in_doubt.problem(), (409, "already_verified".to_owned()));
    let forced = json!({"userId": "u1", "country": "DO", "forceNew": true});
    let answer = app.ask_for_link(ACME, &forced).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["attempt"]),
        (201, &json!(2))
    );
}

#[actix_web::test]
async fn an_external_id_belongs_to_one_user_and_stays() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    let ask = |user: &str, external: &str| json!({"userId": user, "externalUserId": external, "country": "DO"});
    assert_eq!(app.ask_for_link(ACME, &ask("u1", "c1")).await.status, 201);
    for body in [ask("u2", "c1"), ask("u1", "c2"), plain("c1")] {
        let refused = app.ask_for_link(ACME, &body).await;
        assert_eq!(
            refused.problem(),
            (409, "external_id_taken".to_owned()),
            "{body}"
        );
    }
    assert_eq!(app.get(ACME, "/v1/kyc/users/u2").await.status, 404);
    assert_eq!(app.ask_for_link(ACME, &plain("u3")).await.status, 201);
    assert_eq!(app.ask_for_link(ACME, &ask("u3", "c1")).await.status, 409);
    assert_eq!(app.ask_for_link(ACME, &ask("u3", "c3")).await.status, 200);
    assert_eq!(app.user("u3").await["externalUserId"], "c3");
    assert_eq!(app.ask_for_link(ACME, &plain("u3")).await.status, 200);
}

#[actix_web::test]
async fn the_user_is_pending_before_the_provider_is_asked_and_a_verdict_meanwhile_stands() {
    let app = TestApp::new().await;
    let link = json!({"data": {"kycLink": LINK}});
    app.capa_is_slow(Duration::from_secs(1), 201, link).await;
    let body = plain("u1");
    let meanwhile = async {
        let asked = async {
            while app.calls().await == 0 {
                tokio::task::yield_now().await;
            }
        };
        let patience = Duration::from_secs(10);
        tokio::time::timeout(patience, asked).await.unwrap();
        let user = app.user("u1").await;
        assert_eq!(
            (&user["status"], &user["kycLink"]),
            (&json!("pending"), &json!(null))
        );
        app.deliver("VERIFIED_USER", "u1").await;
    };
    let (answer, ()) = futures_util::join!(app.ask_for_link(ACME, &body), meanwhile);
    let document = answer.json();
    assert_eq!(
        (answer.status.as_u16(), &document["status"]),
        (201, &json!("verified"))
    );
    assert_eq!(document["kycLink"], json!(null));
    assert_eq!(app.user("u1").await["kycLink"], json!(null));
}

#[actix_web::test]
async fn all_faults_of_a_request_are_reported_at_once() {
    let app = TestApp::new().await;
    let body = json!({
        "userId": "", "externalUserId": 7, "country": "mx", "partnerRedirectUri": "javascript:alert(1)",
        "personalInfo": {"profession": "Spy", "phoneNumber": "5512345678", "birthCountry": "XX", "taxId": "LOZG7813327B9"},
        "forceNew": "yes", "colour": "red",
    });
    let answer = app.ask_for_link(ACME, &body).await;
    assert_eq!(answer.problem(), (422, "invalid_request".to_owned()));
    let problem = answer.json();
    let faults = problem["errors"].as_array().unwrap().iter();
    let faults: Vec<String> = faults
        .map(|fault| {
            format!(
                "{} {}",
                fault["field"].as_str().unwrap(),
                fault["code"].as_str().unwrap()
            )
        })
        .collect();
    let expected = [
        "userId id_format",
        "externalUserId wrong_type",
        "country country_unsupported",
        "partnerRedirectUri redirect_scheme",
        "personalInfo.profession profession_unknown",
        "personalInfo.phoneNumber phone_format",
        "personalInfo.birthCountry country_code",
        "personalInfo.taxId rfc_date",
        "forceNew wrong_type",
        "colour unknown_field",
    ];
    assert_eq!(faults, expected);
    assert_eq!(app.calls().await, 0);
}

#[actix_web::test]
async fn each_rule_has_its_good_and_its_bad_values() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    let cases = [
        ("userId", json!("u.1_a-b:c@d~e"), json!("a b")),
        ("externalUserId", json!("Zoë 7"), json!("")),
        ("country", json!("DO"), json!("BR")),
        (
            "partnerRedirectUri",
            json!("myapp://done"),
            json!("http://partner.example/"),
        ),
        (
            "partnerRedirectUri",
            json!("http://127.0.0.1:3000/x"),
            json!("data://x"),
        ),
        (
            "partnerRedirectUri",
            json!(null),
            json!("https://me:pw@partner.example/"),
        ),
        (
            "personalInfo.profession",
            json!("Public Servant"),
            json!("employee"),
        ),
        (
            "personalInfo.phoneNumber",
            json!("+34600000000"),
            json!("+0123456789"),
        ),
        ("personalInfo.birthCountry", json!("BR"), json!("br")),
        (
            "personalInfo.taxId",
            json!("PEGJ900314X9A"),
            json!("PEGJ900314"),
        ),
        ("personalInfo.taxId", json!(null), json!("PEGJ901314X9A")),
        ("forceNew", json!(true), json!(1)),
    ];
    for (field, good, bad) in cases {
        let answer = app.ask_for_link(ACME, &with(field, bad.clone())).await;
        assert_eq!(answer.problem().0, 422, "{field} {bad}");
        assert_eq!(answer.json()["errors"][0]["field"], field);
        let mut body = with(field, good.clone());
        body["forceNew"] = json!(true);
        if field == "userId" {
            body["externalUserId"] = json!("another");
        } else if field == "externalUserId" {
            body["userId"] = json!("another");
        }
        let answer = app.ask_for_link(ACME, &body).await;
        assert_eq!(answer.status, 201, "{field} {good} {answer:?}");
    }
    let mut body = mexican();
    body.as_object_mut().unwrap().remove("personalInfo");
    let answer = app.ask_for_link(ACME, &body).await;
    assert_eq!(answer.json()["errors"][0]["field"], "personalInfo");
    assert_eq!(
        app.ask_for_link(OTHER, &plain("u9")).await.status,
        201,
        "only MX needs it"
    );
}

#[actix_web::test]
async fn a_body_that_is_no_json_object_is_refused_for_what_it_is() {
    let app = TestApp::new().await;
    let json = "application/json";
    let big = format!("\"{}\"", "x".repeat(64 * 1024));
    for (kind, body, expected) in [
        (json, "", (400, "malformed_json")),
        (json, "{", (400, "malformed_json")),
        (json, "{} {}", (400, "malformed_json")),
        (json, "\u{feff}{}", (400, "malformed_json")),
        (json, "[]", (422, "invalid_request")),
        (json, "null", (422, "invalid_request")),
        (
            "application/json; charset=utf-8",
            "{}",
            (422, "invalid_request"),
        ),
        ("text/plain", "{}", (415, "unsupported_media_type")),
        ("application/jsonx", "{}", (415, "unsupported_media_type")),
        (json, &big, (413, "body_too_large")),
    ] {
        let request = app
            .request(Method::POST, "/v1/kyc/links")
            .header(CONTENT_TYPE, kind);
        let request = request
            .header("partner-api-key", ACME.key)
            .body(body.to_owned());
        let found = app.send(request).await.problem();
        assert_eq!(
            found,
            (expected.0, expected.1.to_owned()),
            "{kind} {:.20}",
            body
        );
    }
    let untyped = app.request(Method::POST, "/v1/kyc/links").body("{}");
    let answer = app.send(untyped.header("partner-api-key", ACME.key)).await;
    assert_eq!(answer.problem(), (415, "unsupported_media_type".to_owned()));
}

#[actix_web::test]
async fn only_who_accepts_json_and_sends_no_query_is_served() {
    let app = TestApp::new().await;
    app.capa_gives_links().await;
    for (accept, expected) in [
        ("text/html", 406),
        ("application/json;q=0", 406),
        ("text/html, application/xml;q=0.9", 406),
        ("*/*", 201),
        ("application/*", 200),
        ("text/html, application/json;q=0.1", 200),
    ] {
        let request = app
            .request(Method::POST, "/v1/kyc/links")
            .header(ACCEPT, accept);
        let request = request
            .header("partner-api-key", ACME.key)
            .json(&plain("u1"));
        assert_eq!(app.send(request).await.status, expected, "{accept}");
    }
    let request = app
        .request(Method::POST, "/v1/kyc/links?dry=1")
        .json(&plain("u1"));
    let answer = app.send(request.header("partner-api-key", ACME.key)).await;
    assert_eq!(answer.problem(), (400, "invalid_query".to_owned()));
}

#[actix_web::test]
async fn nobody_gets_a_link_without_one_right_key() {
    let app = TestApp::new().await;
    let post = || {
        app.request(Method::POST, "/v1/kyc/links")
            .json(&plain("u1"))
    };
    let key = "partner-api-key";
    for request in [
        post(),
        post().header(key, ""),
        post().header(key, "kyc_partner_nobody"),
        post().header(key, ACME.provider_key),
        post().header(key, format!("{} ", ACME.key.to_uppercase())),
        post().header(key, ACME.key).header(key, ACME.key),
        post().bearer_auth(ACME.key),
    ] {
        assert_eq!(
            app.send(request).await.problem(),
            (401, "unauthorized".to_owned())
        );
    }
    assert_eq!(app.get(ACME, "/v1/kyc/users/u1").await.status, 404);
}

#[actix_web::test]
async fn a_rejected_user_gets_the_next_attempt_with_a_link_of_its_own() {
    let app = TestApp::new().await;
    app.pending("u1").await;
    app.truth.says("u1", "DECLINED", "s1");
    app.deliver("REJECTED_KYC", "u1").await;
    let rejected = app.user("u1").await;
    assert_eq!(
        (&rejected["status"], &rejected["kycLink"]),
        (&json!("rejected"), &json!(null))
    );
    let answer = app.ask_for_link(ACME, &plain("u1")).await;
    let document = answer.json();
    assert_eq!(answer.status, 201, "{document}");
    assert_eq!(
        (
            &document["attempt"],
            &document["status"],
            &document["kycLink"]
        ),
        (&json!(2), &json!("pending"), &json!(LINK))
    );
    assert_eq!(document["decidedAt"], json!(null));
}

#[actix_web::test]
async fn a_body_of_exactly_64_kib_is_read_and_one_byte_more_is_not() {
    let app = TestApp::new().await;
    for (length, expected) in [(64 * 1024, 422), (64 * 1024 + 1, 413)] {
        let body = format!("\"{}\"", "x".repeat(length - 2));
        let request = app.request(Method::POST, "/v1/kyc/links").body(body);
        let request = request.header(CONTENT_TYPE, "application/json");
        let answer = app.send(request.header("partner-api-key", ACME.key)).await;
        assert_eq!(answer.problem().0, expected, "{length}");
    }
}

#[actix_web::test]
async fn a_user_gets_only_so_many_new_links_a_day_and_failed_calls_do_not_count() {
    let app = TestApp::with(&[("KYC__LINKS__NEW_PER_DAY", "3")]).await;
    let plain = json!({"userId": "u1", "country": "DO"});
    let insist = json!({"userId": "u1", "country": "DO", "forceNew": true});
    for _ in 0..5 {
        app.capa_answers(500, "{}").await;
        assert_eq!(app.ask_for_link(ACME, &plain).await.status, 503);
    }
    app.capa_gives_links().await;
    for _ in 0..3 {
        assert_eq!(app.ask_for_link(ACME, &insist).await.status, 201);
    }
    let before = app.user("u1").await;
    let refused = app.ask_for_link(ACME, &insist).await;
    assert_eq!(refused.problem(), (429, "rate_limited".to_owned()));
    // It is 19:20 UTC, and not half a second more.
    assert_eq!(
        refused.header("retry-after"),
        (4 * 3600 + 40 * 60).to_string()
    );
    assert_eq!((app.calls().await, app.user("u1").await), (3, before));
    assert_eq!(app.ask_for_link(ACME, &plain).await.status, 200);
    for (partner, user) in [(ACME, "u2"), (OTHER, "u1")] {
        let body = json!({"userId": user, "country": "DO", "forceNew": true});
        assert_eq!(app.ask_for_link(partner, &body).await.status, 201);
    }
    app.truth.says("u1", "DECLINED", "s1");
    app.deliver("REJECTED_KYC", "u1").await;
    // The last session counts half a minute after the last of several links.
    app.clock.advance(Duration::from_secs(30));
    assert_eq!(app.ask_for_link(ACME, &plain).await.status, 429);
    assert_eq!(app.user("u1").await["attempt"], 1);
    app.clock.advance(Duration::from_secs(5 * 3600));
    assert_eq!(app.ask_for_link(ACME, &plain).await.status, 201);
    assert_eq!(app.user("u1").await["attempt"], 2);
}
