//! The clients in `examples/`, run as a user would run them: against the demo, and against a service that has bad moments.
//! Where a language is not installed its tests are left out and say so, but never where `CI=true`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::json;
use wiremock::matchers::{header, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::support::http;
use crate::support::process::Process;

/// The client in one of its languages.
#[derive(Clone, Copy, Debug)]
struct Example {
    /// What runs it; nothing where it runs by itself.
    interpreter: Option<&'static str>,
    file: &'static str,
    /// What must be there for it to run.
    needs: &'static [&'static str],
}

const SHELL: Example = Example {
    interpreter: Some("sh"),
    file: "examples/verify.sh",
    needs: &["sh", "curl"],
};
const NODE: Example = Example {
    interpreter: Some("node"),
    file: "examples/verify.mjs",
    needs: &["node"],
};
const PYTHON: Example = Example {
    interpreter: Some("python3"),
    file: "examples/verify.py",
    needs: &["python3"],
};
const RUST: Example = Example {
    interpreter: None,
    file: "verify",
    needs: &[],
};

impl Example {
    /// None, and a word about it, where it cannot run here.
    fn found(self) -> Option<Example> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let there =
            |name: &&str| std::env::split_paths(&path).any(|folder| folder.join(name).exists());
        let missing: Vec<&str> = self
            .needs
            .iter()
            .copied()
            .filter(|name| !there(name))
            .collect();
        let built = self.interpreter.is_some() || self.path().exists();
        if missing.is_empty() && built {
            return Some(self);
        }
        let reason = if built {
            format!("{missing:?} is missing")
        } else {
            "`cargo build --example verify` has not been run".to_owned()
        };
        let strict = std::env::var_os("CI").is_some_and(|value| value == "true");
        assert!(!strict, "{}: {reason}", self.file);
        eprintln!("SKIPPED {}: {reason}", self.file);
        None
    }

    /// Cargo builds examples beside the program, for the same tests.
    fn path(self) -> PathBuf {
        match self.interpreter {
            Some(_) => Path::new(env!("CARGO_MANIFEST_DIR")).join(self.file),
            None => Path::new(env!("CARGO_BIN_EXE_kyc-tracker"))
                .with_file_name("examples")
                .join(self.file),
        }
    }

    /// Starts it with these arguments, to call the service with that URL.
    fn start(self, url: &str, arguments: &[&str]) -> Process {
        let mut command = match self.interpreter {
            Some(interpreter) => {
                let mut command = Command::new(interpreter);
                command.arg(self.path());
                command
            }
            None => Command::new(self.path()),
        };
        // Nothing else, so that neither a proxy nor a setting of whoever tests gets between.
        command.env_clear().args(arguments);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        Process::begin(command, &[("KYC_TRACKER_URL".to_owned(), url.to_owned())])
    }
}

/// The demo, with the URLs of the service and of the sandbox.
async fn demo() -> (Process, String, String) {
    let mut demo = Process::start(&["demo", "--port", "0", "--sandbox-port", "0"], &[]);
    let greeting = demo
        .until(async |demo| Some(demo.stdout()).filter(|said| said.contains("\nData ")))
        .await;
    let mut urls = greeting
        .split([' ', ',', '\n'])
        .filter(|word| word.starts_with("http://"))
        .map(|word| word.trim_end_matches('.').to_owned());
    let (service, sandbox) = (urls.next().unwrap(), urls.next().unwrap());
    (demo, service, sandbox)
}

/// Where the stub of a service sends its user.
const START_URL: &str = "https://kyc.example/start/abc";

/// Runs it against the demo until the user has been verified, then rejected, and with wrong use.
async fn plays(example: Example) {
    let Some(example) = example.found() else {
        return;
    };
    let (_demo, service, sandbox) = demo().await;
    for (verdict, code, last) in [
        ("verify", 0, "status: verified"),
        ("reject", 1, "status: rejected"),
    ] {
        let user = format!("{verdict}-me");
        let mut client = example.start(&service, &[&user, "DO"]);
        let link = client
            .until(async |client| {
                let said = client.stdout();
                let link = said.lines().next()?.strip_prefix("startUrl: ")?;
                said.contains('\n').then(|| link.to_owned())
            })
            .await;
        assert!(link.starts_with(&format!("{service}/start/")), "{link}");
        let click = format!("{sandbox}/sandbox/users/{user}/{verdict}");
        assert_eq!(http().post(click).send().await.unwrap().status(), 200);
        let ended = client.exit_status().await;
        let said = client.stdout();
        assert_eq!(ended.code(), Some(code), "{said}{}", client.stderr());
        assert_eq!(said.lines().last(), Some(last), "{said}");
    }
    for arguments in [&[][..], &["u1"], &["u1", "DO", "x"]] {
        let mut client = example.start(&service, arguments);
        assert_eq!(client.exit_status().await.code(), Some(2), "{arguments:?}");
        assert!(
            client.stderr().starts_with("usage: "),
            "{}",
            client.stderr()
        );
        assert_eq!(client.stdout(), "");
    }
    let mut client = example.start(&service, &["u1", "XX"]);
    assert_eq!(client.exit_status().await.code(), Some(3));
    let said = client.stderr();
    assert!(said.starts_with("invalid_request: Mend"), "{said}");
}

/// One answer of a service, for one request of that kind.
async fn answers(service: &MockServer, kind: &str, answer: ResponseTemplate) {
    let mock = match kind {
        "create" => Mock::given(method("POST")).and(path("/v1/kyc/links")),
        tag => Mock::given(method("GET"))
            .and(path("/v1/kyc/users/u1"))
            .and(query_param("wait", "60"))
            .and(header("if-none-match", tag)),
    };
    let mock = mock.and(header("partner-api-key", "demo_partner_key"));
    mock.respond_with(answer)
        .up_to_n_times(1)
        .expect(1)
        .mount(service)
        .await;
}

/// Runs it against a service that is away at times and tells the client to come again later.
async fn is_patient(example: Example) {
    let Some(example) = example.found() else {
        return;
    };
    let service = MockServer::start().await;
    let later = |status: u16, code: &str| {
        let problem = json!({"code": code, "detail": "Later.", "status": status}).to_string();
        let answer = ResponseTemplate::new(status).insert_header("retry-after", "1");
        answer.set_body_raw(problem, "application/problem+json")
    };
    let user = |status: &str, decided: bool, tag: &str| {
        let user =
            json!({"userId": "u1", "status": status, "final": decided, "startUrl": START_URL});
        ResponseTemplate::new(200)
            .insert_header("etag", tag)
            .set_body_json(user)
    };
    let unchanged = ResponseTemplate::new(304).insert_header("etag", "\"1.2\"");
    answers(&service, "create", later(503, "overloaded")).await;
    answers(&service, "create", user("pending", false, "\"1.2\"")).await;
    answers(&service, "\"1.2\"", later(429, "rate_limited")).await;
    answers(&service, "\"1.2\"", unchanged).await;
    answers(&service, "\"1.2\"", user("submitted", false, "\"1.3\"")).await;
    answers(&service, "\"1.3\"", user("verified", true, "\"1.4\"")).await;
    let began = Instant::now();
    let mut client = example.start(&service.uri(), &["u1", "DO"]);
    let ended = client.exit_status().await;
    assert_eq!(
        ended.code(),
        Some(0),
        "{}{}",
        client.stdout(),
        client.stderr()
    );
    assert!(
        began.elapsed() >= Duration::from_secs(2),
        "it came again too soon"
    );
    let said = client.stdout();
    let expected = [
        &format!("startUrl: {START_URL}"),
        "status: submitted",
        "status: verified",
    ];
    assert!(said.lines().eq(expected), "{said}");
    let requests = service.received_requests().await.unwrap();
    let key = |number: usize| requests[number].headers.get("idempotency-key").cloned();
    assert!(key(0).is_some(), "it sends none");
    assert_eq!(key(0), key(1), "another try has another key");
    assert_eq!(requests.len(), 6);
}

/// Runs it with a key that the service does not take.
async fn says_why(example: Example) {
    let Some(example) = example.found() else {
        return;
    };
    let service = MockServer::start().await;
    let problem = json!({"code": "unauthorized", "detail": "Send a key."}).to_string();
    let answer = ResponseTemplate::new(StatusCode::UNAUTHORIZED);
    let answer = answer.set_body_raw(problem, "application/problem+json");
    answers(&service, "create", answer).await;
    let mut client = example.start(&service.uri(), &["u1", "DO"]);
    assert_eq!(client.exit_status().await.code(), Some(3));
    assert_eq!(client.stderr().trim_end(), "unauthorized: Send a key.");
    assert_eq!(client.stdout(), "");
}

#[actix_web::test]
async fn the_shell_client_waits_for_the_verdict_and_says_it() {
    plays(SHELL).await;
}

#[actix_web::test]
async fn the_node_client_waits_for_the_verdict_and_says_it() {
    plays(NODE).await;
}

#[actix_web::test]
async fn the_python_client_waits_for_the_verdict_and_says_it() {
    plays(PYTHON).await;
}

#[actix_web::test]
async fn the_rust_client_waits_for_the_verdict_and_says_it() {
    plays(RUST).await;
}

#[actix_web::test]
async fn no_client_gives_up_or_hammers_while_the_service_is_away() {
    for example in [SHELL, NODE, PYTHON, RUST] {
        is_patient(example).await;
    }
}

#[actix_web::test]
async fn each_client_says_why_it_was_refused() {
    for example in [SHELL, NODE, PYTHON, RUST] {
        says_why(example).await;
    }
}
