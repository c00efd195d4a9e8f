//! The program itself: its commands, exit codes, and how it stops.

use std::net::TcpListener;
use std::time::Duration;

use kyc_tracker::config::KeyHash;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::process::{Process, file, run};
use crate::support::{ACME, LINK, LINK_PATH, http, settings};

const GOOD: &str = r#"
[[partners]]
id = "acme"
provider_api_key = "capa_key_acme_0123456789"
webhook_secrets = ["whsec_acme_current_0123456789"]
api_keys = ["sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"]
"#;

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn unusable_settings_are_exit_code_2_and_one_line_with_the_key() {
    let folder = tempfile::tempdir().unwrap();
    for (settings, key) in [
        (format!("[server]\nbnid = \"x\"\n{GOOD}"), "server.bnid"),
        (
            GOOD.replace("webhook_secrets", "#webhook_secrets"),
            "partners[0].webhook_secrets",
        ),
        (
            GOOD.replace("whsec_acme_current_0123456789", ""),
            "partners[0].webhook_secrets",
        ),
        (
            GOOD.replace("whsec_acme_current_0123456789", "current"),
            "partners[0].webhook_secrets",
        ),
        (
            GOOD.replace("capa_key_acme_0123456789", "changeme"),
            "partners[0].provider_api_key",
        ),
        (GOOD.replace("sha256:", "sha1:"), "partners[0].api_keys"),
        ("[server".to_owned(), "bad.toml"),
        (String::new(), "partners"),
    ] {
        let path = file(folder.path(), "bad.toml", &settings);
        let path = path.to_str().unwrap();
        for arguments in [
            ["--config", path, "check-config"],
            ["serve", "--config", path],
        ] {
            let output = run(&arguments);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{key}: {said}");
            assert!(
                said.lines().count() == 1 && said.contains(key),
                "{key}: {said}"
            );
        }
    }
}

#[test]
fn good_settings_and_help_are_exit_code_0_and_wrong_use_is_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "good.toml", GOOD);
    let path = path.to_str().unwrap();
    for arguments in [
        &["--config", path, "check-config"][..],
        &["check-config", "--config", path],
        &["--help"],
        &["--version"],
        &["serve", "--help"],
        &["demo", "--help"],
        &["sandbox", "--help"],
        &["import", "--help"],
        &["key", "new", "--help"],
        &["webhook", "sign", "--help"],
        &["webhook", "explain", "--help"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(0), "{arguments:?}");
    }
    for arguments in [
        &[][..],
        &["fly"],
        &["serve", "--colour"],
        &["demo", "--port", "x"],
        &["key"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn a_new_key_comes_with_the_hash_that_belongs_in_the_settings() {
    for (kind, prefix) in [("--partner", "kyc_partner_"), ("--admin", "kyc_admin_")] {
        let said = text(&run(&["key", "new", kind]).stdout);
        let value = |label: &str| {
            said.lines()
                .find_map(|line| line.strip_prefix(label))
                .unwrap()
                .trim()
                .to_owned()
        };
        let key = value("key:");
        assert!(key.starts_with(prefix), "{said}");
        assert_eq!(value("config:"), KeyHash::of(&key).as_setting());
    }
}

#[test]
fn a_signature_is_made_and_a_wrong_one_explained() {
    let folder = tempfile::tempdir().unwrap();
    let secret = file(folder.path(), "secret", "whsec_example_not_real\n");
    let body = r#"{"type":"KYC","event":"VERIFIED_USER","externalUserId":"user-0001"}"#;
    let exact = file(folder.path(), "exact", body);
    let longer = file(folder.path(), "longer", &format!("{body}\n"));
    let secret = ["--secret-file", secret.to_str().unwrap()];
    let signed = run(&[
        "webhook",
        "sign",
        secret[0],
        secret[1],
        exact.to_str().unwrap(),
    ]);
    let signature = "b132133ea6a62a6973db324f6933271ef5077794862eb6f4c7abcdcfe0d39369";
    assert_eq!(text(&signed.stdout).trim(), signature);
    let explain = |body: &std::path::Path| {
        let body = body.to_str().unwrap();
        run(&[
            "webhook",
            "explain",
            "--signature",
            signature,
            secret[0],
            secret[1],
            body,
        ])
    };
    assert_eq!(explain(&exact).status.code(), Some(0));
    let wrong = explain(&longer);
    assert_eq!(wrong.status.code(), Some(1));
    assert!(text(&wrong.stdout).contains("line break"), "{wrong:?}");
}

#[test]
fn a_port_that_is_taken_is_exit_code_1_and_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let address = taken.local_addr().unwrap();
    let settings = format!(
        "[server]\nbind = \"{address}\"\n[database]\nurl = \"sqlite://{}/x.db\"\n{GOOD}",
        folder.path().display()
    );
    let path = file(folder.path(), "taken.toml", &settings);
    let output = run(&["serve", "--config", path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains(&address.to_string()),
        "{output:?}"
    );
}

#[test]
fn the_sandbox_stands_in_for_no_provider_but_one_on_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    for host in [
        "https://production-api.capa.fi",
        "https://staging-api.capa.fi",
        "https://127.0.0.1:1",
    ] {
        let settings = format!("[provider]\nbase_url = \"{host}\"\n{GOOD}");
        let path = file(folder.path(), "x.toml", &settings);
        let output = run(&["sandbox", "--config", path.to_str().unwrap()]);
        assert_ne!(output.status.code(), Some(0), "{host}");
        assert!(
            text(&output.stderr).contains("provider.base_url"),
            "{output:?}"
        );
    }
}

#[actix_web::test]
async fn a_request_that_was_taken_is_answered_before_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let capa = MockServer::start().await;
    let slow = ResponseTemplate::new(201)
        .set_body_json(json!({"data": {"kycLink": LINK}}))
        .set_delay(Duration::from_secs(1));
    Mock::given(any()).respond_with(slow).mount(&capa).await;
    let (mut process, url) = Process::serve(settings(&folder, &capa.uri())).await;
    let request = http()
        .post(format!("{url}/v1/kyc/links"))
        .header("partner-api-key", ACME.key)
        .json(&json!({"userId": "u1", "country": "DO"}));
    let answer = actix_web::rt::spawn(request.send());
    process
        .until(async |_| {
            let calls = capa.received_requests().await;
            // Before it there is the probe of the start.
            calls.filter(|calls| calls.iter().any(|call| call.url.path() == LINK_PATH))
        })
        .await;
    process.terminate();
    assert_eq!(answer.await.unwrap().unwrap().status(), 201);
    assert_eq!(process.exit_status().await.code(), Some(0));
}

#[actix_web::test]
async fn the_three_lines_of_the_demo_lead_from_pending_to_verified() {
    let mut process = Process::start(&["demo", "--port", "0", "--sandbox-port", "0"], &[]);
    let greeting = process
        .until(async |process| Some(process.stdout()).filter(|said| said.contains("\nData ")))
        .await;
    let lines: Vec<&str> = greeting
        .lines()
        .map(str::trim)
        .filter(|line| line.starts_with("curl"))
        .collect();
    let url = |line: &str| {
        let mut words = line.split_whitespace();
        words
            .find(|word| word.starts_with("http"))
            .unwrap()
            .to_owned()
    };
    let quoted = |line: &str, flag: &str| {
        line.split(flag)
            .nth(1)
            .and_then(|rest| rest.split('\'').nth(1).map(str::to_owned))
    };
    let client = http();
    let key = quoted(lines[0], "-H").unwrap();
    let (name, key) = key.split_once(": ").unwrap();
    let link = client
        .post(url(lines[0]))
        .header(name, key)
        .header("content-type", "application/json");
    let link = link
        .body(quoted(lines[0], "-d").unwrap())
        .send()
        .await
        .unwrap();
    assert_eq!(link.json::<Value>().await.unwrap()["status"], "pending");
    assert_eq!(
        client.post(url(lines[1])).send().await.unwrap().status(),
        200
    );
    let status = async |_: &Process| {
        let user = client
            .get(url(lines[2]))
            .header(name, key)
            .send()
            .await
            .unwrap();
        let user: Value = user.json().await.unwrap();
        (user["final"] == true).then_some(user)
    };
    assert_eq!(process.until(status).await["status"], "verified");
    process.terminate();
    assert_eq!(process.exit_status().await.code(), Some(0));
}

#[test]
fn a_settings_file_that_is_not_there_is_exit_code_2_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing.toml");
    let missing = missing.to_str().unwrap();
    for arguments in [
        ["check-config", "--config", missing],
        ["--config", missing, "serve"],
    ] {
        let output = run(&arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.lines().count() == 1 && said.contains(missing),
            "{said}"
        );
    }
}
