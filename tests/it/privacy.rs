//! Nothing personal and no secret is left behind: not in the log, not in the files of the database.

use std::time::Duration;

use kyc_tracker::capa::signature::sign;
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use uuid::Uuid;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::process::Process;
use crate::support::{ACME, ADMIN_KEY, LINK, OTHER, http, kyc_event, settings};

const TAX_ID: &str = "QZXW850417K93";
const PHONE: &str = "+529876501234";
const BAD_TAX_ID: &str = "QZXW85041";
const BAD_PHONE: &str = "+0098765012";
const NAME: &str = "Zelmira-Quixote";
const EMAIL: &str = "ottoline-77@person.example";
const ALIAS: &str = "Perpetua-77";
/// The partner's own id of a user who was created through us: it is kept, and in no log.
const CREATED: &str = "Hildegund-77";
/// What the store may keep for admins and the log may not.
const LOGGED_NOWHERE: [&str; 3] = ["Quixandra-77", "Wenzeslaus-77", "Theodolinde-77"];
/// A user who is looked at: its id goes to the provider in a query, and into no log.
const LOOKED_AT: &str = "Egbertine-77";
const WRONG_KEY: &str = "kyc_partner_mistyped_7731";

fn body(tax_id: &str, phone: &str) -> Value {
    json!({
        "userId": "u1", "country": "MX", "forceNew": true,
        "personalInfo": {"profession": "Student", "phoneNumber": phone, "birthCountry": "MX", "taxId": tax_id},
    })
}

struct Client {
    http: reqwest::Client,
    url: String,
}

impl Client {
    fn link(&self, key: &str) -> RequestBuilder {
        let post = self.http.post(format!("{}/v1/kyc/links", self.url));
        // A key of its own for each, so that every answer that may be kept is.
        post.header("partner-api-key", key)
            .header("idempotency-key", Uuid::now_v7().to_string())
    }

    async fn send(&self, request: RequestBuilder) -> u16 {
        request.send().await.unwrap().status().as_u16()
    }

    async fn deliver(&self, secret: &str, body: &str) -> u16 {
        let post = self.http.post(format!("{}/webhooks/acme", self.url));
        let signed = post.header("capa-signature", sign(secret, body.as_bytes()));
        self.send(signed.body(body.to_owned())).await
    }
}

async fn capa_answers(capa: &MockServer, answer: ResponseTemplate) {
    capa.reset().await;
    Mock::given(any()).respond_with(answer).mount(capa).await;
}

/// Every kind of traffic there is, good and bad, full of what must not be kept.
async fn traffic(client: &Client, capa: &MockServer) {
    let good = body(TAX_ID, PHONE);
    let echo = json!({"error": {"code": "BAD", "message": format!("{TAX_ID} {PHONE} {}", ACME.provider_key)}});
    // The partner is told these, and nobody else.
    let told = json!({"error": {"code": TAX_ID, "message": format!("{TAX_ID} {PHONE}")}});
    capa_answers(
        capa,
        ResponseTemplate::new(201).set_body_json(json!({"data": {"kycLink": LINK}})),
    )
    .await;
    assert_eq!(client.send(client.link(ACME.key).json(&good)).await, 201);
    assert_eq!(client.send(client.link(WRONG_KEY).json(&good)).await, 401);
    assert_eq!(
        client
            .send(client.link(ACME.key).json(&body(BAD_TAX_ID, BAD_PHONE)))
            .await,
        422
    );
    let broken = format!("{{\"taxId\":\"{TAX_ID}\",\"x\":{PHONE}");
    let broken = client
        .link(ACME.key)
        .header("content-type", "application/json")
        .body(broken);
    assert_eq!(client.send(broken).await, 400);
    for (answer, status) in [
        (ResponseTemplate::new(400).set_body_json(&echo), 422),
        (ResponseTemplate::new(400).set_body_json(&told), 422),
        (ResponseTemplate::new(401).set_body_json(&echo), 502),
        (ResponseTemplate::new(500).set_body_json(&echo), 503),
        (ResponseTemplate::new(201).set_body_json(&echo), 502),
        (
            ResponseTemplate::new(201).set_delay(Duration::from_secs(9)),
            503,
        ),
    ] {
        capa_answers(capa, answer).await;
        assert_eq!(client.send(client.link(ACME.key).json(&good)).await, status);
    }
    let transaction = format!(
        r#"{{"type":"TRANSACTION","event":"X","externalUserId":"u1","firstName":"{NAME}"}}"#
    );
    assert_eq!(client.deliver(ACME.secret, &transaction).await, 204);
    assert_eq!(client.deliver(OTHER.secret, &transaction).await, 401);
    assert_eq!(
        client
            .deliver(ACME.old_secret, &kyc_event("CREATED_KYC", "u1"))
            .await,
        204
    );
    let more = kyc_event("CREATED_KYC", "u1").replace('}', r#","note":"kept and masked"}"#);
    assert_eq!(client.deliver(ACME.secret, &more).await, 204);
    let [unreadable, searched, named] = LOGGED_NOWHERE;
    let unreadable = format!("{{\"firstName\":\"{unreadable}\",");
    assert_eq!(client.deliver(ACME.secret, &unreadable).await, 400);
    for (path, status) in [
        (format!("/v1/kyc/users?externalUserId={searched}"), 200),
        (format!("/v1/kyc/users?{searched}=1"), 400),
        (format!("/v1/kyc/users/{named}"), 404),
        (format!("/{named}?{searched}"), 404),
    ] {
        let get = client.http.get(format!("{}{path}", client.url));
        let get = get.header("partner-api-key", ACME.key);
        assert_eq!(client.send(get).await, status, "{path}");
    }
    for path in [
        "/v1/kyc/users/u1",
        "/v1/kyc/users",
        "/v1/admin/users",
        "/v1/admin/deliveries",
        "/readyz",
    ] {
        let get = client.http.get(format!("{}{path}", client.url));
        let get = get
            .header("partner-api-key", ACME.key)
            .bearer_auth(ADMIN_KEY);
        assert_eq!(client.send(get).await, 200);
    }
}

/// Creates users through the provider's own path, and asks for links there, well and with faults.
async fn drop_in(client: &Client, capa: &MockServer) {
    let post = |path: &str, body: &Value| {
        let post = client
            .http
            .post(format!("{}/api/partner/v2/{path}", client.url));
        post.header("partner-api-key", ACME.key).json(body)
    };
    let mut user =
        json!({"type": "INDIVIDUAL", "email": EMAIL, "alias": ALIAS, "externalUserId": CREATED});
    let created = json!({
        "success": true, "data": {"userId": "created-1", "kycLink": LINK, "email": EMAIL, "alias": ALIAS},
    });
    let garbled = format!("{{\"email\":\"{EMAIL}\"");
    for (answer, status) in [
        (ResponseTemplate::new(201).set_body_json(&created), 201),
        (ResponseTemplate::new(400).set_body_json(&created), 400),
        (ResponseTemplate::new(401).set_body_json(&created), 401),
        (ResponseTemplate::new(500).set_body_json(&created), 500),
        (ResponseTemplate::new(302).set_body_json(&created), 502),
        (ResponseTemplate::new(201).set_body_string(garbled), 201),
        (
            ResponseTemplate::new(201).set_delay(Duration::from_secs(9)),
            503,
        ),
    ] {
        capa_answers(capa, answer).await;
        assert_eq!(client.send(post("users", &user)).await, status);
    }
    capa_answers(capa, ResponseTemplate::new(201).set_body_json(&created)).await;
    // Neither is an id of ours, so that nothing is learnt of them.
    for wrong in [json!(format!(" {EMAIL}")), json!({ALIAS: EMAIL})] {
        user["externalUserId"] = wrong;
        assert_eq!(client.send(post("users", &user)).await, 201);
    }
    let link = json!({"country": "DO", "email": EMAIL, "alias": ALIAS});
    let path = "users/created-1/kyc/verification-link";
    assert_eq!(client.send(post(path, &link)).await, 201);
    let get = client
        .http
        .get(format!("{}/v1/kyc/users/created-1", client.url));
    let get = get.header("partner-api-key", ACME.key).send().await;
    let user: Value = get.unwrap().json().await.unwrap();
    assert_eq!(user["externalUserId"], CREATED);
    let (good, bad) = (body(TAX_ID, PHONE), body(BAD_TAX_ID, BAD_PHONE));
    for (body, status) in [(good, 201), (bad, 400)] {
        let path = "kyc/verification-link";
        assert_eq!(client.send(post(path, &body)).await, status);
    }
}

/// Looks at a user of whom the provider tells everything it knows, well and with faults.
async fn looks(client: &Client, capa: &MockServer) {
    let mut details = json!({"data": {
        "kycLink": LINK, "aipriseSummary": {"verificationResult": "APPROVED"}, "clientReferenceId": LOOKED_AT,
        "clientReferenceData": {"personalInfo": {"taxId": TAX_ID, "phoneNumber": PHONE}},
        "verificationSessionId": "s1", "createdAt": "2026-11-01T10:00:00.000Z", "idInfo": {"fullName": NAME},
    }});
    capa_answers(capa, ResponseTemplate::new(200).set_body_json(&details)).await;
    let link = json!({"userId": LOOKED_AT, "country": "DO"});
    assert_eq!(client.send(client.link(ACME.key).json(&link)).await, 201);
    let path = format!("{}/v1/kyc/users/{LOOKED_AT}?maxAge=0", client.url);
    let fresh = || client.http.get(&path).header("partner-api-key", ACME.key);
    let user: Value = fresh().send().await.unwrap().json().await.unwrap();
    assert_eq!(user["status"], "verified");
    details["data"]["clientReferenceId"] = json!(NAME);
    for answer in [
        ResponseTemplate::new(200).set_body_json(&details),
        ResponseTemplate::new(500).set_body_json(&details),
        ResponseTemplate::new(401).set_body_json(&details),
        ResponseTemplate::new(200).set_body_string(format!("{{\"data\":{{\"fullName\":\"{NAME}\"")),
    ] {
        capa_answers(capa, answer).await;
        let confirm = format!("{}/v1/admin/users/acme/{LOOKED_AT}/confirm", client.url);
        client
            .send(client.http.post(confirm).bearer_auth(ADMIN_KEY))
            .await;
        let body = kyc_event("REJECTED_KYC", LOOKED_AT);
        assert_eq!(client.deliver(ACME.secret, &body).await, 204);
    }
}

/// Opens start pages, with a right token and with wrong ones; gives the right one.
async fn start_pages(client: &Client, capa: &MockServer) -> String {
    let user = client.http.get(format!("{}/v1/kyc/users/u1", client.url));
    let user = user.header("partner-api-key", ACME.key).send().await;
    let user: Value = user.unwrap().json().await.unwrap();
    let url = user["startUrl"].as_str().unwrap();
    let token = url.rsplit('/').next().unwrap().to_owned();
    let [named, ..] = LOGGED_NOWHERE;
    for (token, status) in [(&*token, 303), (named, 404), (&token[1..], 404)] {
        let get = client.http.get(format!("{}/start/{token}", client.url));
        assert_eq!(client.send(get).await, status);
    }
    let button = client
        .http
        .get(format!("{}/v1/kyc/users/u1/button", client.url));
    let button = button.header("partner-api-key", ACME.key);
    assert_eq!(client.send(button).await, 200);
    // One whose link has to be made, by a provider that tells too much.
    let echo = json!({"error": {"code": "BAD", "message": format!("{NAME} {LINK}")}});
    for (number, status) in [500, 400].into_iter().enumerate() {
        let other = format!("{LOOKED_AT}-{number}");
        let link = json!({"userId": other, "country": "DO"});
        capa_answers(capa, ResponseTemplate::new(status).set_body_json(&echo)).await;
        client.send(client.link(ACME.key).json(&link)).await;
        let user = client
            .http
            .get(format!("{}/v1/kyc/users/{other}", client.url));
        let user = user.header("partner-api-key", ACME.key).send().await;
        let user: Value = user.unwrap().json().await.unwrap();
        let token = user["startUrl"].as_str().unwrap().rsplit('/').next();
        let get = client
            .http
            .get(format!("{}/start/{}", client.url, token.unwrap()));
        assert!(client.send(get).await >= 502);
    }
    token
}

/// Signs in on the admin page with a wrong key and the right one, searches, and looks at all there is; gives the session's cookie and
/// all that was shown.
async fn admin_page(client: &Client) -> (String, String) {
    let [_, searched, _] = LOGGED_NOWHERE;
    let mut cookie = String::new();
    for key in [WRONG_KEY, ADMIN_KEY] {
        let post = client.http.post(format!("{}/admin/session", client.url));
        let post = post.header("origin", &client.url);
        let post = post.header("content-type", "application/x-www-form-urlencoded");
        let answer = post.body(format!("key={key}")).send().await.unwrap();
        assert_eq!(answer.status(), 303);
        if let Some(kept) = answer.headers().get("set-cookie") {
            cookie = kept.to_str().unwrap().split(';').next().unwrap().to_owned();
        }
    }
    let see = async |path: &str| {
        let get = client.http.get(format!("{}{path}", client.url));
        let answer = get.header("cookie", &cookie).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.text().await.unwrap()
    };
    let search = format!("/admin/users?country=XX&partner={searched}");
    let mut shown = String::new();
    for path in ["/admin", "/admin/users.csv", &search] {
        shown.push_str(&see(path).await);
    }
    for list in ["users", "deliveries"] {
        let page = see(&format!("/admin/{list}")).await;
        let rows = page.split("scope=\"row\"").skip(1);
        let paths = rows.map(|row| row.split("href=\"").nth(1).unwrap());
        for path in paths.map(|path| path.split('"').next().unwrap()) {
            shown.push_str(&see(path).await);
        }
        shown.push_str(&page);
    }
    (cookie, shown)
}

/// The forms in which a text could hide in a file or a log.
fn forms(marker: &str) -> [Vec<u8>; 3] {
    let percent = marker.replace('+', "%2B");
    [
        marker.as_bytes().to_vec(),
        hex::encode(marker).into_bytes(),
        percent.into_bytes(),
    ]
}

fn contains(haystack: &[u8], marker: &str) -> bool {
    let holds = |form: &Vec<u8>| {
        haystack
            .windows(form.len())
            .any(|window| window == form.as_slice())
    };
    forms(marker).iter().any(holds)
}

#[actix_web::test]
async fn markers_are_found_neither_in_the_log_at_trace_nor_in_the_database() {
    let folder = tempfile::tempdir().unwrap();
    let capa = MockServer::start().await;
    let mut environment = settings(&folder, &capa.uri());
    environment.push(("RUST_LOG".to_owned(), "trace".to_owned()));
    let (mut process, url) = Process::serve(environment).await;
    let client = Client { http: http(), url };
    traffic(&client, &capa).await;
    drop_in(&client, &capa).await;
    looks(&client, &capa).await;
    let token = start_pages(&client, &capa).await;
    let (cookie, shown) = admin_page(&client).await;
    let secrets = [ACME, OTHER].map(|partner| {
        [
            partner.key,
            partner.provider_key,
            partner.secret,
            partner.old_secret,
        ]
    });
    let mut markers = vec![
        TAX_ID, PHONE, BAD_TAX_ID, BAD_PHONE, NAME, EMAIL, ALIAS, WRONG_KEY, ADMIN_KEY,
    ];
    markers.extend(secrets.concat());
    let [unreadable, ..] = LOGGED_NOWHERE;
    markers.push(unreadable);
    for marker in markers.iter().chain(&[LINK, &token]) {
        assert!(!contains(shown.as_bytes(), marker), "{marker} is shown");
    }
    assert!(shown.contains(LOOKED_AT) && shown.contains("•••") && shown.contains("SHA-256"));
    let files = |running: &str| {
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            for marker in &markers {
                assert!(
                    !contains(&bytes, marker),
                    "{marker} is in {} {running}",
                    path.display()
                );
            }
        }
    };
    files("while it runs");
    process.terminate();
    assert_eq!(process.exit_status().await.code(), Some(0));
    files("after it has stopped");
    let log = process.stderr();
    assert!(
        log.contains("A delivery was stored.") && log.len() > 10_000,
        "it logs at trace: {log}"
    );
    let never_logged = LOGGED_NOWHERE
        .into_iter()
        .chain([LINK, LOOKED_AT, CREATED, &token, &cookie]);
    for marker in markers.iter().copied().chain(never_logged) {
        let line = log.lines().find(|line| contains(line.as_bytes(), marker));
        assert_eq!(line, None, "{marker} is in the log");
    }
}
