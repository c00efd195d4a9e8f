//! Settings from text to `Config` or to the one line that says what is wrong.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use super::*;

mod environment;
mod webhook_secrets;

/// 2027-01-15, at eight in the morning.
const NOW: Timestamp = Timestamp(1_800_000_000_000_000);
const HASH_A: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111112";
const HASH_B: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222223";

/// A complete partner; what a test is about is replaced in it.
const PARTNER: &str = r#"
[[partners]]
id = "acme"
provider_api_key = "capa_key_bench_0123456789abcdef"
webhook_secrets = ["whsec_bench_0123456789abcdef", "demo_0123456789abcdef0123"]
api_keys = ["sha256:1111111111111111111111111111111111111111111111111111111111111112"]
"#;

const ADMIN: &str = r#"
[[admins]]
name = "ops"
api_key = "sha256:2222222222222222222222222222222222222222222222222222222222222223"
"#;

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn load(text: &str, env: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let env = env
        .iter()
        .map(|(name, value)| (name.to_string(), value.to_string()));
    Config::load(Some(file(text).path()), env)
}

fn error(text: &str, env: &[(&str, &str)]) -> String {
    match load(text, env) {
        Ok(_) => "no error".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn secrets_of(partner: &Partner) -> Vec<&str> {
    partner
        .webhook_secrets
        .iter()
        .map(|webhook| webhook.secret.expose_secret())
        .collect()
}

#[test]
fn the_sample_of_the_contract_loads_with_real_secrets() {
    let text = format!(
        r#"
[server]
bind = "127.0.0.1:8080"
public_url = "http://127.0.0.1:8080"
[database]
url = "sqlite://data/kyc.db"            # or postgres://user:pass@host/db
[provider]
base_url = "https://staging-api.capa.fi"   # production: https://production-api.capa.fi
timeout = "10s"
[links]
reuse_for = "12h"
[webhooks]
confirm = "on_conflict"
{PARTNER}{ADMIN}"#
    );
    let config = load(&text, &[]).unwrap();
    assert_eq!(config.partners[0].id, "acme");
    assert_eq!(config.partners[0].webhook_secrets.len(), 2);
    assert_eq!(
        config.partners[0].api_keys,
        [KeyHash::parse(HASH_A).unwrap()]
    );
    assert_eq!(config.admins[0].api_key.as_setting(), HASH_B);
    assert_eq!(config.webhooks.policy.as_str(), "on_conflict");
    let only_here = "server.public_url: leads to this machine only, and so does every startUrl";
    assert_eq!(config.warnings(NOW), [only_here]);
}

#[test]
fn a_partner_alone_gets_every_default() {
    let config = load(PARTNER, &[]).unwrap();
    assert_eq!(config.server.bind.to_string(), "127.0.0.1:8080");
    assert_eq!(config.server.public_url.as_str(), "http://127.0.0.1:8080/");
    assert_eq!(config.server.workers, 0);
    assert_eq!(config.server.max_connections, 8000);
    assert_eq!(config.server.shutdown_timeout, Duration::from_secs(10));
    assert!(!config.server.public_metrics);
    assert_eq!(config.log.format, LogFormat::Text);
    assert_eq!(config.log.filter, "info");
    assert_eq!(config.database.path, Path::new("data/kyc.db"));
    assert_eq!(
        config.provider.base_url.as_str(),
        "https://staging-api.capa.fi/"
    );
    assert_eq!(config.provider.timeout, Duration::from_secs(10));
    assert_eq!(config.links.reuse_for, Duration::from_secs(12 * 60 * 60));
    assert!(config.admins.is_empty());
}

#[test]
fn the_environment_wins_over_the_file_and_is_read_as_the_type_of_the_key() {
    let text = format!("server.bind = \"127.0.0.1:1\"\nserver.workers = 3\n{PARTNER}");
    let config = load(
        &text,
        &[
            ("KYC__SERVER__BIND", "[::1]:2"),
            ("KYC__server__Workers", "4"),
            ("KYC__SERVER__PUBLIC_METRICS", "true"),
            ("KYC__LOG__FORMAT", "json"),
            ("KYC__DATABASE__URL", "sqlite:///var/lib/x.db"),
            ("KYC__PARTNERS__0__PROVIDER_API_KEY", "0123"),
            (
                "KYC__PARTNERS__0__WEBHOOK_SECRETS",
                r#"["0000111122223333", "0000111122224444"]"#,
            ),
            ("KYC_WEBHOOK_SECRET", "not ours"),
            ("PATH", "/bin"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.bind.to_string(), "[::1]:2");
    assert_eq!(config.server.workers, 4);
    assert!(config.server.public_metrics);
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.database.path, Path::new("/var/lib/x.db"));
    assert_eq!(config.partners[0].provider_api_key.expose_secret(), "0123");
    assert_eq!(
        secrets_of(&config.partners[0]),
        ["0000111122223333", "0000111122224444"]
    );
}

#[test]
fn the_environment_alone_can_add_partners_admins_and_single_list_elements() {
    let other = "sha256:3333333333333333333333333333333333333333333333333333333333333334";
    let env = [
        ("KYC__PARTNERS__0__ID", "acme"),
        (
            "KYC__PARTNERS__0__PROVIDER_API_KEY",
            "capa_key_0123456789abcdef",
        ),
        (
            "KYC__PARTNERS__0__WEBHOOK_SECRETS",
            "[whsec_0123456789abcdef",
        ),
        (
            "KYC__PARTNERS__0__WEBHOOK_SECRETS__1",
            "whsec_fedcba9876543210ffff",
        ),
        ("KYC__PARTNERS__0__API_KEYS__0", HASH_A),
        ("KYC__PARTNERS__1__ID", "beta"),
        (
            "KYC__PARTNERS__1__PROVIDER_API_KEY",
            "capa_key_fedcba9876543210",
        ),
        (
            "KYC__PARTNERS__1__WEBHOOK_SECRETS",
            "whsec_0123456789abcdef",
        ),
        ("KYC__PARTNERS__1__API_KEYS", other),
        ("KYC__ADMINS__0__NAME", "ops"),
        ("KYC__ADMINS__0__API_KEY", HASH_B),
    ];
    let config = Config::load(
        None,
        env.map(|(name, value)| (name.to_owned(), value.to_owned())),
    )
    .unwrap();
    assert_eq!(config.partners.len(), 2);
    assert_eq!(
        secrets_of(&config.partners[0]),
        ["[whsec_0123456789abcdef", "whsec_fedcba9876543210ffff"]
    );
    assert_eq!(config.partners[1].api_keys[0].as_setting(), other);
    assert_eq!(config.admins[0].name, "ops");
}

#[test]
fn every_secret_can_come_from_a_file() {
    let provider_key = file("capa_key_from_file_0123\r\n");
    let webhook = file("whsec_one_0123456789abcdef\n\nwhsec_two_0123456789abcdef\r\n");
    let keys = file(&format!("{HASH_A}\n"));
    let admin = file(&format!("{HASH_B}\n"));
    std::fs::set_permissions(admin.path(), std::fs::Permissions::from_mode(0o644)).unwrap();
    let text = format!(
        "[[partners]]\nid = \"acme\"\nprovider_api_key_file = {:?}\nwebhook_secrets_file = {:?}\n[[admins]]\nname = \"ops\"\napi_key_file = {:?}\n",
        provider_key.path(),
        webhook.path(),
        admin.path()
    );
    let keys = keys.path().to_str().unwrap();
    let config = load(&text, &[("KYC__PARTNERS__0__API_KEYS_FILE", keys)]).unwrap();
    assert_eq!(
        config.partners[0].provider_api_key.expose_secret(),
        "capa_key_from_file_0123"
    );
    assert_eq!(
        secrets_of(&config.partners[0]),
        ["whsec_one_0123456789abcdef", "whsec_two_0123456789abcdef"]
    );
    assert_eq!(config.partners[0].api_keys[0].as_setting(), HASH_A);
    assert_eq!(config.admins[0].api_key.as_setting(), HASH_B);
    let warnings = config.warnings(NOW);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].starts_with("admins[0].api_key_file: "),
        "{warnings:?}"
    );
}

#[test]
fn what_is_allowed_but_odd_is_warned_about() {
    let text = PARTNER.replace(
        "\"demo_0123456789abcdef0123\"",
        "\"capa_key_bench_0123456789abcdef\", \"0123456789abcdef\"",
    );
    let outside = [
        ("KYC__SERVER__PUBLIC_URL", "https://kyc.example"),
        ("KYC__PROVIDER__BASE_URL", "https://production-api.capa.fi"),
    ];
    let warnings = load(&text, &outside).unwrap().warnings(NOW);
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(
        warnings[0].starts_with("partners[0].webhook_secrets[1]: is the same as provider_api_key")
    );
    assert!(warnings[1].starts_with("partners[0].webhook_secrets[2]: is shorter than 24 bytes"));
}

#[test]
fn every_fault_in_the_file_is_one_line_that_names_the_key() {
    let second = PARTNER.replace("acme", "beta");
    let beta = second.replace("bench_", "beta_");
    let gamma = beta.replace("demo_", "gamma_");
    let with = |from: &str, to: &str| PARTNER.replacen(from, to, 1);
    let top = |line: &str| format!("{line}\n{PARTNER}");
    let id = "\"acme\"";
    let key = "\"capa_key_bench_0123456789abcdef\"";
    let secrets = "[\"whsec_bench_0123456789abcdef\", \"demo_0123456789abcdef0123\"]";
    let hash = &format!("{HASH_A:?}");
    let empty_hash = format!("{:?}", KeyHash::of("").as_setting());
    let sample_hash = format!(
        "{:?}",
        KeyHash::of("ChangeMe".to_lowercase().as_str()).as_setting()
    );
    let rows: Vec<(String, &str)> = vec![
        (String::new(), "partners: none is configured"),
        (
            top("server.bnid = \"x\""),
            "server.bnid: unknown key; known here: bind, public_url, workers, max_connections, shutdown_timeout, public_metrics",
        ),
        (
            top("sever.bind = \"x\""),
            "sever: unknown key; known here: server, log, database",
        ),
        (
            top("database.path = \"x\""),
            "database.path: unknown key; known here: url",
        ),
        (
            top("server.workers = \"many\""),
            "server.workers: has the wrong type: must be a whole number, 0 or more",
        ),
        (
            top("server.workers = -1"),
            "server.workers: has the wrong type: must be a whole number",
        ),
        (
            top("server.workers = 5000"),
            "server.workers: must be at most 512",
        ),
        (
            top("server.max_connections = 0"),
            "server.max_connections: must be from 1 to 100000",
        ),
        (
            top("server.bind = \"localhost\""),
            "server.bind: is not an address with a port",
        ),
        (
            top("server = 5"),
            "server: has the wrong type: must be a table",
        ),
        (
            top("server.public_url = \"kyc.example\""),
            "server.public_url: is not a URL",
        ),
        (
            top("server.public_url = \"ftp://kyc.example\""),
            "server.public_url: must begin with https:// or http://",
        ),
        (
            top("server.public_url = \"https://kyc.example/?a\""),
            "server.public_url: must not have a query",
        ),
        (
            top("server.public_url = \"https://kyc.example/kyc\""),
            "server.public_url: must not have a path",
        ),
        (
            top("server.public_metrics = 1"),
            "server.public_metrics: has the wrong type: must be true or false",
        ),
        (
            top("server.shutdown_timeout = \"1h\""),
            "server.shutdown_timeout: must be from 1s to 5m",
        ),
        (
            top("log.format = \"xml\""),
            "log.format: must be one of: text, json",
        ),
        (
            top("log.filter = \"inffo\""),
            "log.filter: has a level that is none of",
        ),
        (
            top("log.filter = \"info,kyc_tracker=loud\""),
            "log.filter: has a level that is none of",
        ),
        (
            top("database.url = \"postgres://u:p@h/d\""),
            "database.url: PostgreSQL is not supported by this build yet",
        ),
        (
            top("database.url = \"mysql://h/d\""),
            "database.url: must begin with sqlite://",
        ),
        (
            top("database.url = \"sqlite://\""),
            "database.url: must name a file",
        ),
        (
            top("database.url = \"sqlite://:memory:\""),
            "database.url: must name a file; a database in memory",
        ),
        (
            top("database.url = \" sqlite://a.db\""),
            "database.url: begins or ends with a space",
        ),
        (
            top("database.url = \"sqlite://a.db \""),
            "database.url: begins or ends with a space",
        ),
        (
            top("database.url = \"sqlite://a.db?mode=ro\""),
            "database.url: must be a plain path",
        ),
        (
            top("provider.base_url = \"http://api.capa.fi\""),
            "provider.base_url: must begin with https://",
        ),
        (
            top("provider.base_url = \"http://127.0.0.1.evil.example\""),
            "provider.base_url: must begin with https://",
        ),
        (
            top("provider.base_url = \"https://u:p@api.capa.fi\""),
            "provider.base_url: must not have a user name",
        ),
        (
            top("provider.base_url = \"https://api.capa.fi/#x\""),
            "provider.base_url: must not have a query",
        ),
        (
            top("provider.base_url = \"https://staging-api.capa.fi/api/partner/v2\""),
            "provider.base_url: must not have a path",
        ),
        (
            top("provider.environment = \"test\""),
            "provider.environment: must be one of: production, staging, sandbox",
        ),
        (
            top("provider.base_url = \"https://capa.example\""),
            "provider.environment: is missing, and the host of provider.base_url does not tell",
        ),
        (
            top("provider.timeout = \"61s\""),
            "provider.timeout: must be from 1s to 60s",
        ),
        (
            top("provider.timeout = \"soon\""),
            "provider.timeout: is not a length of time",
        ),
        (
            top("provider.timeout = 10"),
            "provider.timeout: has the wrong type: must be a text",
        ),
        (
            top("links.reuse_for = \"31d\""),
            "links.reuse_for: must be from 1m to 30d",
        ),
        (
            top("links.new_per_day = 0"),
            "links.new_per_day: must be from 1 to 10000 links",
        ),
        (
            top("limits.requests_per_second = 0"),
            "limits.requests_per_second: must be from 1 to 1000000 requests; where nobody is to be limited, leave it out",
        ),
        (
            top("limits.burst = 1000001"),
            "limits.burst: must be from 1 to 1000000 requests",
        ),
        (
            top("limits.burst = \"many\""),
            "limits.burst: has the wrong type: must be a whole number, 0 or more",
        ),
        (
            top("webhooks.confirm = \"sometimes\""),
            "webhooks.confirm: must be one of: never, on_conflict, before_final",
        ),
        (with("id = \"acme\"\n", ""), "partners[0].id: is missing"),
        (
            with(id, "\"Acme\""),
            "partners[0].id: must begin with a-z or 0-9",
        ),
        (
            with(id, "\"\""),
            "partners[0].id: must begin with a-z or 0-9",
        ),
        (
            with("provider_api_key", "#"),
            "partners[0].provider_api_key: is missing",
        ),
        (with(key, "\"\""), "partners[0].provider_api_key: is empty"),
        (
            with(key, "\"…\""),
            "partners[0].provider_api_key: is a sample value",
        ),
        (
            with(key, "\"Your-Key-Here\""),
            "partners[0].provider_api_key: is a sample value",
        ),
        (
            with(key, "\"<the key>\""),
            "partners[0].provider_api_key: is a sample value",
        ),
        (
            with(key, "\"zwei worte\""),
            "partners[0].provider_api_key: must be visible ASCII",
        ),
        (
            with("webhook_secrets", "#"),
            "partners[0].webhook_secrets: is missing",
        ),
        (with(secrets, "[]"), "partners[0].webhook_secrets: is empty"),
        (
            with(secrets, "\"just_one_0123456789abcdef\""),
            "partners[0].webhook_secrets: has the wrong type: must be a list",
        ),
        (
            with("demo_0123456789abcdef0123", "previous"),
            "partners[0].webhook_secrets[1]: is a sample value",
        ),
        (
            with("demo_0123456789abcdef0123", "aaaaaaaaaaaaaaaaaaaa"),
            "partners[0].webhook_secrets[1]: is a sample value",
        ),
        (
            with("demo_0123456789abcdef0123", "0123456789abcde"),
            "partners[0].webhook_secrets[1]: is shorter than 16 bytes",
        ),
        (
            with("demo_0123456789abcdef0123", "whsec_bench_0123456789abcdef"),
            "partners[0].webhook_secrets[1]: is the same as partners[0].webhook_secrets[0]",
        ),
        (with("api_keys", "#"), "partners[0].api_keys: is missing"),
        (with(hash, ""), "partners[0].api_keys: is empty"),
        (
            with(hash, "\"kyc_partner_x\""),
            "partners[0].api_keys[0]: is not sha256: and 64 hex digits",
        ),
        (
            with(hash, "\"sha256:11\""),
            "partners[0].api_keys[0]: is not sha256: and 64 hex digits",
        ),
        (
            with(hash, &empty_hash),
            "partners[0].api_keys[0]: is the hash of an empty or sample key",
        ),
        (
            with(hash, &sample_hash),
            "partners[0].api_keys[0]: is the hash of an empty or sample key",
        ),
        (
            format!("{PARTNER}{PARTNER}"),
            "partners[1].id: is the same as partners[0].id",
        ),
        (
            format!("{PARTNER}{second}"),
            "partners[1].provider_api_key: is the same as partners[0].provider_api_key; a provider account has one",
        ),
        (
            format!("{PARTNER}{beta}"),
            "partners[1].webhook_secrets[1]: is the same as partners[0].webhook_secrets[1]; with one secret for two partners",
        ),
        (
            format!("{PARTNER}{gamma}"),
            "partners[1].api_keys[0]: is the same as partners[0].api_keys[0]; a key has one owner",
        ),
        (
            format!("{PARTNER}{}", ADMIN.replace(HASH_B, HASH_A)),
            "admins[0].api_key: is the same as partners[0].api_keys[0]; a key has one owner",
        ),
        (
            format!("{PARTNER}{ADMIN}{ADMIN}"),
            "admins[1].name: is the same as admins[0].name",
        ),
        (
            format!("{PARTNER}{}", ADMIN.replace("ops", " ")),
            "admins[0].name: must not be empty",
        ),
        (
            with("id =", "provider_api_key_file = \"/x\"\nid ="),
            "partners[0].provider_api_key: is given twice, here and by partners[0].provider_api_key_file",
        ),
        (
            with(
                "provider_api_key = ",
                "provider_api_key_file = \"/nowhere/key\"\n#",
            ),
            "partners[0].provider_api_key_file: cannot read /nowhere/key: No such file",
        ),
        (top("\"a\\nb\" = 1"), "a\\nb: unknown key"),
    ];
    for (text, expected) in rows {
        let line = error(&text, &[]);
        assert!(
            line.starts_with(expected),
            "expected {expected:?}\n     got {line:?}\n    for {text}"
        );
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[test]
fn every_fault_in_the_environment_names_the_key_or_the_variable() {
    let rows: &[(&[(&str, &str)], &str)] = &[
        (
            &[("KYC__SERVER__BNID", "x")],
            "server.bnid: unknown key; known here: bind, public_url, workers, max_connections, shutdown_timeout, public_metrics (from KYC__SERVER__BNID)",
        ),
        (
            &[("KYC__SERVER__BIND", "x")],
            "server.bind: is not an address with a port, such as 127.0.0.1:8080 or [::1]:8080 (from KYC__SERVER__BIND)",
        ),
        (
            &[("KYC__SERVER__WORKERS", "two")],
            "KYC__SERVER__WORKERS: must be a whole number",
        ),
        (
            &[("KYC__SERVER_BIND", "x")],
            "server_bind: unknown key; known here: server, log",
        ),
        (
            &[("KYC__LIMITS__REQUESTS_PER_SECOND", "0")],
            "limits.requests_per_second: must be from 1 to 1000000 requests; where nobody is to be limited, leave it out (from KYC__LIMITS__REQUESTS_PER_SECOND)",
        ),
        (&[("KYC__", "x")], "KYC__: is not a key: two underscores"),
        (
            &[("KYC__SERVER____BIND", "x")],
            "KYC__SERVER____BIND: is not a key",
        ),
        (
            &[("KYC__SERVER", "x")],
            "server: has the wrong type: must be a table (from KYC__SERVER)",
        ),
        (
            &[("KYC__SERVER__BIND__0", "x")],
            "KYC__SERVER__BIND__0: server.bind is not a list",
        ),
        (
            &[("KYC__SERVER__BIND__X", "x")],
            "KYC__SERVER__BIND__X: server.bind has no keys below it",
        ),
        (
            &[("KYC__PARTNERS__ID", "x")],
            "KYC__PARTNERS__ID: partners is a list: a number is needed",
        ),
        (
            &[("KYC__PARTNERS__2__ID", "x")],
            "KYC__PARTNERS__2__ID: partners has 1 elements, so the next number is 1",
        ),
        (
            &[("KYC__PARTNERS__1__ID", "beta")],
            "partners[1].provider_api_key: is missing",
        ),
        (
            &[("KYC__PARTNERS__0__API_KEYS", "[1")],
            "partners[0].api_keys[0]: is not sha256:",
        ),
        (
            &[("KYC__PARTNERS__0__API_KEYS", "[1, x]")],
            "KYC__PARTNERS__0__API_KEYS: is not a list",
        ),
        (
            &[("KYC__PARTNERS__0__API_KEYS", "[\"a\"]\nb = [1]")],
            "KYC__PARTNERS__0__API_KEYS: is not a list",
        ),
        (
            &[("KYC__PARTNERS__0__API_KEYS", "[1]")],
            "partners[0].api_keys[0]: has the wrong type: must be a text",
        ),
        (
            &[("KYC__server__BIND", "a"), ("KYC__SERVER__BIND", "b")],
            "KYC__SERVER__BIND: names the same key as KYC__server__BIND",
        ),
        (
            &[("KYC__PARTNERS__0__PROVIDER_API_KEY_FILE", "/x")],
            "partners[0].provider_api_key: is given twice",
        ),
    ];
    for (env, expected) in rows {
        let line = error(PARTNER, env);
        assert!(
            line.starts_with(expected),
            "expected {expected:?}\n     got {line:?}\n    for {env:?}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let line = Config::load(Some(Path::new("/nowhere/kyc.toml")), [])
        .unwrap_err()
        .to_string();
    assert!(
        line.starts_with("/nowhere/kyc.toml: cannot be read: "),
        "{line}"
    );
    let line = error("[server]\n\nbind = = 1", &[]);
    assert!(line.contains(": line 3 is not valid TOML: "), "{line}");
}

#[test]
fn no_error_and_no_debug_output_shows_a_secret() {
    const SECRET: &str = "S3CR3T-0123, expected `x`";
    let quoted = format!("{SECRET:?}");
    for key in [
        "server",
        "server.bind",
        "server.public_url",
        "server.workers",
        "log.format",
        "log.filter",
        "database.url",
        "provider.base_url",
        "provider.timeout",
        "provider.environment",
        "links.reuse_for",
        "links.new_per_day",
        "webhooks.confirm",
        "partners",
        "admins",
    ] {
        let line = error(&format!("{key} = {quoted}"), &[]);
        assert!(!line.contains("S3CR3T"), "{line}");
        assert!(line.contains(key), "{line}");
        let variable = format!("KYC__{}", key.replace('.', "__").to_uppercase());
        let line = error(PARTNER, &[(&variable, SECRET)]);
        assert!(!line.contains("S3CR3T"), "{line}");
    }
    for key in ["id", "provider_api_key", "webhook_secrets", "api_keys"] {
        for value in [
            quoted.clone(),
            format!("[{quoted}]"),
            format!("[[{quoted}]]"),
            format!("{{ a = {quoted} }}"),
            SECRET.to_owned(),
            format!("\"{SECRET}"),
            format!("{quoted} {SECRET}"),
            format!("[{quoted}, 5]"),
        ] {
            let line = error(&format!("[[partners]]\n{key} = {value}\n"), &[]);
            assert!(!line.contains("S3CR3T"), "{line}");
            assert_ne!(line, "no error");
        }
    }
    let debug = format!("{:?}", load(&format!("{PARTNER}{ADMIN}"), &[]).unwrap());
    for secret in ["capa_key_bench", "whsec_bench", "demo_0123", &HASH_A[7..40]] {
        assert!(!debug.contains(secret), "{debug}");
    }
    assert_eq!(
        format!("{:?}", KeyHash::parse(HASH_A).unwrap()),
        "KeyHash(11111111…)"
    );
}

/// A setting, or one in an example, with the line above it.
fn settings_in_defaults() -> Vec<(String, &'static str)> {
    let lines: Vec<&str> = DEFAULTS.lines().collect();
    let is_key = |line: &&str| {
        let (key, rest) = line.strip_prefix('#').unwrap_or(line).split_once(" = ")?;
        let plain = key
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        (plain && !rest.is_empty() && !key.is_empty()).then(|| key.to_owned())
    };
    let keys = lines
        .windows(2)
        .filter_map(|pair| Some((is_key(&pair[1])?, pair[0])));
    keys.collect()
}

#[test]
fn every_key_of_the_default_file_has_a_comment_above_it() {
    let settings = settings_in_defaults();
    assert!(settings.len() > 15);
    for (key, above) in settings {
        assert!(above.starts_with("# "), "{key} stands below {above:?}");
    }
}

#[test]
fn every_known_key_stands_in_the_default_file() {
    let settings = settings_in_defaults();
    for place in [
        "server", "log", "database", "provider", "links", "webhooks", "checks", "limits",
        "partners", "admins",
    ] {
        let list = matches!(place, "partners" | "admins");
        let text = if list {
            format!("[[{place}]]\n? = 1")
        } else {
            format!("[{place}]\n? = 1")
        };
        let line = error(&text.replace('?', "no_such_key"), &[]);
        let (_, known) = line
            .split_once("known here: ")
            .unwrap_or_else(|| panic!("{line}"));
        for key in known.split(", ") {
            assert!(
                settings.iter().any(|(name, _)| name == key),
                "{place}.{key} is not explained"
            );
        }
    }
}

#[test]
fn the_examples_of_the_default_file_are_refused_until_filled_in() {
    let mut text = String::new();
    for line in DEFAULTS.lines().filter(|line| !line.contains("_file = ")) {
        let example = line.strip_prefix('#').filter(|rest| !rest.starts_with(' '));
        text.push_str(example.unwrap_or(line));
        text.push('\n');
    }
    assert!(error(&text, &[]).starts_with("partners[0].provider_api_key: is a sample value"));
    let filled = text
        .replace("\"…\"", "\"capa_key_0123456789abcdef\"")
        .replace(
            "\"current\", \"previous\"",
            "\"whsec_0123456789abcdef0123\"",
        )
        .replacen("sha256:<64 hex>", HASH_A, 1)
        .replacen("sha256:<64 hex>", HASH_B, 1);
    assert_eq!(error(&filled, &[]), "no error");
}
