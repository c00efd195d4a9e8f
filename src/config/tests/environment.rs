//! Which environment of the provider the settings name, and what does not go together with it.

use super::*;

fn environment(base_url: &str, named: Option<&str>) -> String {
    let mut env = vec![("KYC__PROVIDER__BASE_URL", base_url)];
    env.extend(named.map(|named| ("KYC__PROVIDER__ENVIRONMENT", named)));
    match load(PARTNER, &env) {
        Ok(config) => config.provider.environment.as_str().to_owned(),
        Err(error) => error.key().to_owned(),
    }
}

#[test]
fn the_host_of_the_provider_tells_its_environment_and_any_other_host_must_name_it() {
    for (host, expected) in [
        ("https://production-api.capa.fi", "production"),
        ("https://Production-API.capa.fi./", "production"),
        ("https://staging-api.capa.fi", "staging"),
        ("http://127.0.0.1:8081", "sandbox"),
        ("http://localhost:8081", "sandbox"),
        ("http://[::1]:8081", "sandbox"),
        ("https://capa.example", "provider.environment"),
        (
            "https://production-api.capa.fi.example",
            "provider.environment",
        ),
    ] {
        assert_eq!(environment(host, None), expected, "{host}");
        assert_eq!(environment(host, Some("staging")), "staging", "{host}");
    }
}

/// The keys that are warned about with these settings.
fn warned(env: &[(&str, &str)]) -> Vec<String> {
    let warnings = load(PARTNER, env).unwrap().warnings(NOW);
    let key = |warning: &String| warning.split(": ").next().unwrap().to_owned();
    warnings.iter().map(key).collect()
}

const NONE: [&str; 0] = [];

#[test]
fn a_provider_for_tests_behind_a_public_address_is_warned_about() {
    let public = ("KYC__SERVER__PUBLIC_URL", "https://kyc.example");
    let base_url = |url| ("KYC__PROVIDER__BASE_URL", url);
    let staging = base_url("https://staging-api.capa.fi");
    let production = base_url("https://production-api.capa.fi");
    let sandbox = base_url("http://127.0.0.1:1");
    assert_eq!(warned(&[public, staging]), ["provider.environment"]);
    assert_eq!(warned(&[public, sandbox]), ["provider.environment"]);
    assert_eq!(warned(&[public, production]), NONE);
    let inside = ("KYC__SERVER__PUBLIC_URL", "http://kyc.internal");
    assert_eq!(warned(&[inside, staging]), NONE);
    let local = ("KYC__SERVER__PUBLIC_URL", "https://localhost");
    assert_eq!(warned(&[local, sandbox]), NONE);
    let called = ("KYC__PROVIDER__ENVIRONMENT", "sandbox");
    assert_eq!(
        warned(&[inside, production, called]),
        ["provider.environment"]
    );
}

#[test]
fn webhooks_that_are_never_checked_are_warned_about_where_people_are_real() {
    let production = ("KYC__PROVIDER__BASE_URL", "https://production-api.capa.fi");
    let public = ("KYC__SERVER__PUBLIC_URL", "https://kyc.example");
    let all = ("KYC__WEBHOOKS__CONFIRM", "never");
    let one = |policy| ("KYC__PARTNERS__0__CONFIRM", policy);
    assert_eq!(warned(&[production, public]), NONE);
    assert_eq!(warned(&[production, public, all]), ["webhooks.confirm"]);
    let of_partner = warned(&[production, public, one("never")]);
    assert_eq!(of_partner, ["partners[0].confirm"]);
    let overruled = warned(&[production, public, all, one("before_final")]);
    assert_eq!(overruled, NONE);
    let sandbox = ("KYC__PROVIDER__BASE_URL", "http://127.0.0.1:1");
    assert_eq!(warned(&[sandbox, all]), NONE);
}
