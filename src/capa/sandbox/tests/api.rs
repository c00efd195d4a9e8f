//! The provider's routes, the page and the refusals, without webhooks.

use super::*;

#[tokio::test]
async fn a_request_needs_a_known_key() {
    let world = World::new().await;
    let path = "/api/partner/v2/webhook-notifications";
    for (keys, message) in [
        (vec![], "API Key is missing"),
        (vec![""], "API Key is missing"),
        (vec!["acme-key", "rival-key"], "Invalid API Key format"),
        (vec!["acme-kez"], "Invalid API Key"),
    ] {
        let request = world.request(Method::GET, path);
        let request = keys.iter().fold(request, |request, key| {
            request.header("partner-api-key", *key)
        });
        let expected = (StatusCode::UNAUTHORIZED, error("UNAUTHORIZED", message));
        assert_eq!(answer(request).await, expected, "{keys:?}");
    }
    let (status, _) = answer(world.api(Method::GET, "webhook-notifications")).await;
    assert_eq!(status, StatusCode::OK);
    world.stop().await;
}

#[tokio::test]
async fn both_link_routes_answer_a_link_in_their_own_envelope() {
    let world = World::new().await;
    let body = json!({"country":"MX","partnerRedirectUri":"myapp://done"});
    let request = world.api(Method::POST, "users/u-1/kyc/verification-link");
    let (status, current) = answer(request.json(&body)).await;
    assert_eq!(
        (status, &current["success"]),
        (StatusCode::CREATED, &json!(true))
    );
    let (status, legacy) = answer(legacy_link(&world, |_| {})).await;
    assert_eq!(
        (status, &legacy["status"]),
        (StatusCode::CREATED, &json!("ok"))
    );
    let prefix = format!("{}verify/", world.sandbox.base_url());
    let link = |body: &Value| body["data"]["kycLink"].as_str().expect("a link").to_owned();
    assert!(link(&current).starts_with(&prefix) && link(&legacy).starts_with(&prefix));
    assert_ne!(link(&current), link(&legacy));
    world.stop().await;
}

#[tokio::test]
async fn a_link_request_with_a_wrong_field_is_refused() {
    let world = World::new().await;
    let changes: [fn(&mut Value); 10] = [
        |body| body["country"] = json!("BR"),
        |body| body["country"] = json!("mx"),
        |body| body["userId"] = json!(""),
        |body| body["personalInfo"] = Value::Null,
        |body| body["personalInfo"]["profession"] = json!("EMPLOYEE"),
        |body| body["personalInfo"]["phoneNumber"] = json!("525512345678"),
        |body| body["personalInfo"]["birthCountry"] = json!("XX"),
        |body| body["personalInfo"]["taxId"] = json!("LOZG780211HDFRRN09"),
        |body| body["partnerRedirectUri"] = json!("javascript:alert(1)"),
        |body| *body = json!([]),
    ];
    let expected = error("INVALID_USER_INPUT_ERROR", "Invalid User Input");
    for (index, change) in changes.into_iter().enumerate() {
        let (status, body) = answer(legacy_link(&world, change)).await;
        assert_eq!(
            (status, &body),
            (StatusCode::BAD_REQUEST, &expected),
            "{index}"
        );
    }
    let (status, _) = answer(legacy_link(&world, |body| {
        body["personalInfo"]
            .as_object_mut()
            .map(|info| info.remove("taxId"));
    }))
    .await;
    assert_eq!(status, StatusCode::CREATED);
    world.stop().await;
}

#[tokio::test]
async fn somebody_elses_user_is_a_401_and_an_unknown_one_a_404() {
    let world = World::new().await;
    world.link("u-1").await;
    let foreign = error("UNAUTHORIZED", "User is not associated with the partner");
    let country = json!({"country":"DO"});
    let link = world.rival(Method::POST, "users/u-1/kyc/verification-link");
    let link = answer(link.json(&country)).await;
    let details = answer(world.rival(Method::GET, "kyc/details?userId=u-1")).await;
    assert_eq!(link, (StatusCode::UNAUTHORIZED, foreign.clone()));
    assert_eq!(details, (StatusCode::UNAUTHORIZED, foreign));
    let unknown = world.api(Method::POST, "users/unknown-7/kyc/verification-link");
    let expected = error("NOT_FOUND_ERROR", "Requested User was not found");
    assert_eq!(
        answer(unknown.json(&country)).await,
        (StatusCode::NOT_FOUND, expected)
    );
    world.stop().await;
}

#[tokio::test]
async fn a_created_user_keeps_its_ids_to_itself() {
    let world = World::new().await;
    let user = json!({"type":"INDIVIDUAL","email":"a@example.com","externalUserId":"customer-1"});
    let create = |body: Value| answer(world.api(Method::POST, "users").json(&body));
    let (status, body) = create(user.clone()).await;
    assert_eq!(status, StatusCode::CREATED);
    assert!(body["data"]["userId"].is_string());
    for (field, value, wanted) in [
        ("email", "b@example.com", StatusCode::CONFLICT),
        ("externalUserId", "customer-2", StatusCode::CONFLICT),
        ("type", "PERSON", StatusCode::BAD_REQUEST),
        ("email", "nobody", StatusCode::BAD_REQUEST),
    ] {
        let mut other = user.clone();
        other[field] = json!(value);
        assert_eq!(create(other).await.0, wanted, "{field}");
    }
    let rival = world.rival(Method::POST, "users").json(&user);
    assert_eq!(answer(rival).await.0, StatusCode::CREATED);
    world.stop().await;
}

#[tokio::test]
async fn a_business_cannot_ask_for_a_kyc_link() {
    let world = World::new().await;
    let user = json!({"type":"BUSINESS","email":"b@example.com"});
    let (_, body) = answer(world.api(Method::POST, "users").json(&user)).await;
    let user_id = body["data"]["userId"].as_str().expect("a user id");
    let link = world.api(
        Method::POST,
        &format!("users/{user_id}/kyc/verification-link"),
    );
    let (status, body) = answer(link.json(&json!({"country":"DO"}))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(body["error"]["code"], "INVALID_VERIFICATION_TYPE_FOR_USER");
    world.stop().await;
}

#[tokio::test]
async fn details_tell_of_the_latest_session_and_follow_the_clicks() {
    let world = World::new().await;
    let details = || answer(world.api(Method::GET, "kyc/details?userId=u-1"));
    assert_eq!(details().await.0, StatusCode::NOT_FOUND);
    let (_, body) = answer(legacy_link(&world, |_| {})).await;
    let link = body["data"]["kycLink"].as_str().expect("a link").to_owned();
    for (verdict, result) in [
        ("review", "REVIEW_NEEDED"),
        ("reject", "REJECTED"),
        ("verify", "VERIFIED"),
    ] {
        world.click(&link, verdict).await;
        let (_, body) = details().await;
        assert_eq!(body["data"]["aipriseSummary"]["verificationResult"], result);
        assert_eq!(body["data"]["clientReferenceId"], "u-1");
        assert_eq!(
            body["data"]["clientReferenceData"]["personalInfo"]["profession"],
            "Employee"
        );
    }
    world.link("u-1").await;
    let (_, body) = details().await;
    assert_eq!(
        body["data"]["aipriseSummary"]["verificationResult"],
        "UNKNOWN"
    );
    world.stop().await;
}

#[tokio::test]
async fn the_page_says_what_it_is_and_links_back_to_the_partner() {
    let world = World::new().await;
    let (_, body) = answer(legacy_link(&world, |body| body["userId"] = json!("<b>u"))).await;
    let link = body["data"]["kycLink"].as_str().expect("a link").to_owned();
    let (status, page) = answer(world.http.get(&link)).await;
    let page = page.as_str().expect("a page");
    assert_eq!(status, StatusCode::OK);
    for part in [
        "not real",
        "Verify",
        "Reject",
        "Needs review",
        "not decided yet",
        "https://app.example/done",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("<b>u") && !page.contains("<script"));
    let click = world
        .http
        .post(format!("{link}/reject"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(click.status(), StatusCode::SEE_OTHER);
    let back = click.headers()["location"].to_str().expect("a location");
    let (_, page) = answer(world.request(Method::GET, back)).await;
    assert!(page.as_str().expect("a page").contains("rejected"));
    world.stop().await;
}

#[tokio::test]
async fn a_page_of_another_origin_cannot_click_or_steer() {
    let world = World::new().await;
    let click = format!("{}/verify", world.link("u-1").await);
    let click = Url::parse(&click).expect("a URL");
    let own = world.sandbox.base_url().origin().ascii_serialization();
    for (origin, host, allowed) in [
        (own.as_str(), None, true),
        ("https://evil.example", None, false),
        ("http://127.0.0.1:1", None, false),
        ("null", None, false),
        ("http://evil.example", Some("evil.example"), false),
    ] {
        for path in [click.path(), "/sandbox/faults"] {
            let request = world.request(Method::POST, path).header("origin", origin);
            let request = host
                .iter()
                .fold(request, |request, host| request.header("host", *host));
            let (status, _) = answer(request.json(&json!({"mode":"none"}))).await;
            assert_eq!(status != StatusCode::FORBIDDEN, allowed, "{origin} {path}");
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn only_loopback_addresses_are_accepted() {
    let mut wide = settings(None);
    wide.bind = "0.0.0.0:0".parse().expect("an address");
    assert!(start(wide).await.is_err());
    let remote = Url::parse("https://hooks.example.com/").expect("a URL");
    assert!(start(settings(Some(remote))).await.is_err());
    let world = World::new().await;
    for (url, wanted) in [
        (json!("http://localhost:1/x"), StatusCode::OK),
        (json!("http://[::1]:1/x"), StatusCode::OK),
        (json!("http://0x7f.1:1/x"), StatusCode::OK),
        (Value::Null, StatusCode::OK),
        (json!("https://hooks.example.com/"), StatusCode::BAD_REQUEST),
        (
            json!("http://localhost.example.com/"),
            StatusCode::BAD_REQUEST,
        ),
        (
            json!("http://127.0.0.1@example.com/"),
            StatusCode::BAD_REQUEST,
        ),
        (json!("http://0.0.0.0/"), StatusCode::BAD_REQUEST),
        (json!("http://[::ffff:10.0.0.1]/"), StatusCode::BAD_REQUEST),
        (json!("ftp://localhost/"), StatusCode::BAD_REQUEST),
        (json!(7), StatusCode::BAD_REQUEST),
    ] {
        let request = world.api(Method::PUT, "webhook-settings");
        let (status, _) = answer(request.json(&json!({ "url": url }))).await;
        assert_eq!(status, wanted, "{url}");
    }
    world.stop().await;
}

#[tokio::test]
async fn settings_need_their_field_and_answer_times_without_a_zone() {
    let world = World::new().await;
    let put = |body: Value| answer(world.api(Method::PUT, "webhook-settings").json(&body));
    assert_eq!(put(json!({})).await.0, StatusCode::BAD_REQUEST);
    let (status, body) = put(json!({"url":"http://localhost:1/x"})).await;
    assert_eq!(
        (status, &body["data"]["url"]),
        (StatusCode::OK, &json!("http://localhost:1/x"))
    );
    let time = body["data"]["updatedAt"].as_str().expect("a time");
    assert!(time.len() == 23 && time.as_bytes()[10] == b' ', "{time}");
    world.stop().await;
}

#[tokio::test]
async fn two_accounts_cannot_share_a_name_or_a_key() {
    let mut twice = settings(None);
    twice.accounts[1].name = "acme".to_owned();
    assert!(start(twice).await.is_err());
    let mut twice = settings(None);
    twice.accounts[1].api_key = "acme-key".into();
    assert!(start(twice).await.is_err());
}

/// A request of the older route for `u-1` that is right but for the change.
fn legacy_link(world: &World, change: impl FnOnce(&mut Value)) -> RequestBuilder {
    let mut body = json!({
        "userId": "u-1", "country": "MX", "partnerRedirectUri": "https://app.example/done",
        "personalInfo": {
            "profession": "Employee", "phoneNumber": "+525512345678",
            "birthCountry": "MX", "taxId": "LOZG7802117B9",
        },
    });
    change(&mut body);
    world.api(Method::POST, "kyc/verification-link").json(&body)
}
