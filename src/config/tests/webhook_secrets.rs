//! Webhook secrets: what makes one unusable, and what may stand beside it.

use super::*;

const SECRET: &str = "whsec_bench_0123456789abcdef";
/// `printf %s whsec_bench_0123456789abcdef | sha256sum | cut -c 1-8`
const DEFAULT_LABEL: &str = "982fe164";
const NONE: [&str; 0] = [];

/// A partner with these elements in its list of webhook secrets.
fn with(list: &str) -> String {
    PARTNER.replace(
        r#""whsec_bench_0123456789abcdef", "demo_0123456789abcdef0123""#,
        list,
    )
}

fn secrets(list: &str) -> Vec<WebhookSecret> {
    let config = load(&with(list), &[]).unwrap();
    config.partners[0].webhook_secrets.clone()
}

#[test]
fn a_secret_that_was_pasted_wrongly_is_refused_from_the_settings_and_from_a_file() {
    for wrong in [
        " whsec_0123456789abcdef",
        "whsec_0123456789abcdef ",
        "whsec_01234 56789abcdef",
        "whsec_0123456789abcdef\t",
        "whsec_0123\u{a0}456789abcdef",
        "whsec_0123\u{0}456789abcdef",
        "whsec_0123\u{85}456789abcdef",
        "\u{feff}whsec_0123456789abcdef",
        "whsec_0123456789abcdef\u{feff}",
        "\"whsec_0123456789abcdef\"",
        "'whsec_0123456789abcdef",
        "whsec_0123456789abcdef'",
        "“whsec_0123456789abcdef”",
    ] {
        let key = "partners[0].webhook_secrets[0]: ";
        let quoted = toml::Value::from(wrong).to_string();
        let line = error(&with(&quoted), &[]);
        assert!(line.starts_with(key), "{wrong:?}: {line}");
        let line = error(&with(&format!("{{ secret = {quoted} }}")), &[]);
        let in_table = "partners[0].webhook_secrets[0].secret: ";
        assert!(line.starts_with(in_table), "{wrong:?}: {line}");
        let kept = file(&format!("{wrong}\nwhsec_fedcba9876543210\n"));
        let list = format!("webhook_secrets_file = {:?}\n#", kept.path());
        let line = error(&PARTNER.replace("webhook_secrets", &list), &[]);
        assert!(line.starts_with(key), "{wrong:?}: {line}");
        assert!(!line.contains("0123"), "{line}");
    }
    // Inside, a quote may be part of a secret.
    assert_eq!(secrets(r#""whsec_0123'456789\"abcdef""#).len(), 1);
}

#[test]
fn a_secret_may_be_a_table_with_a_label_and_a_last_day() {
    let kept = file("whsec_two_0123456789abcdef\n");
    let list = format!(
        r#"{{ secret = "{SECRET}", label = "2026-11", until = "2026-12-31" }}, "demo_0123456789abcdef0123",
           {{ secret_file = {:?} }}"#,
        kept.path()
    );
    let secrets = secrets(&list);
    assert_eq!(secrets[0].secret.expose_secret(), SECRET);
    assert_eq!(secrets[0].label(), "2026-11");
    let new_year: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
    assert_eq!(secrets[0].until, Some(new_year));
    assert!(secrets[0].is_valid(Timestamp(new_year.0 - 1)) && !secrets[0].is_valid(new_year));
    assert_eq!((&secrets[1].label, secrets[1].until), (&None, None));
    assert_eq!(
        secrets[2].secret.expose_secret(),
        "whsec_two_0123456789abcdef"
    );
}

#[test]
fn without_a_label_it_is_called_by_the_beginning_of_its_hash() {
    assert_eq!(secrets(&format!("{SECRET:?}"))[0].label(), DEFAULT_LABEL);
    assert_eq!(WebhookSecret::new(SECRET.into()).label(), DEFAULT_LABEL);
}

#[test]
fn a_label_is_visible_short_and_of_one_secret_of_its_partner() {
    let other = "demo_0123456789abcdef0123";
    let long = "x".repeat(65);
    for label in ["", "two words", "tab\\t", "é", &long, SECRET] {
        let list = format!(r#"{{ secret = "{SECRET}", label = "{label}" }}"#);
        let line = error(&with(&list), &[]);
        let key = "partners[0].webhook_secrets[0].label: ";
        assert!(line.starts_with(key), "{label}: {line}");
    }
    for list in [
        format!(r#"{{ secret = "{SECRET}", label = "a" }}, {{ secret = "{other}", label = "a" }}"#),
        format!(r#""{SECRET}", {{ secret = "{other}", label = "{DEFAULT_LABEL}" }}"#),
        format!(r#"{{ secret = "{other}", label = "{DEFAULT_LABEL}" }}, "{SECRET}""#),
    ] {
        let line = error(&with(&list), &[]);
        let same = "partners[0].webhook_secrets[1].label: is the same as partners[0].webhook_secrets[0].label;";
        assert!(line.starts_with(same), "{line}");
    }
    let two =
        format!(r#"{{ secret = "{SECRET}", label = "a" }}, {{ secret = "{other}", label = "b" }}"#);
    assert_eq!(secrets(&two).len(), 2);
}

#[test]
fn a_table_with_a_fault_is_one_line_that_names_the_key() {
    let secret = "secret = \"whsec_0123456789abcdef\"";
    for (element, expected) in [
        ("{ label = \"a\" }", "[0].secret: is missing"),
        (
            &format!("{{ {secret}, lable = \"a\" }}"),
            "[0].lable: unknown key; known here: secret, secret_file, label, until",
        ),
        (
            &format!("{{ {secret}, until = \"2026-02-30\" }}"),
            "[0].until: must be a day such as 2026-12-31",
        ),
        (
            &format!("{{ {secret}, until = \"31.12.2026\" }}"),
            "[0].until: must be a day such as 2026-12-31",
        ),
        (
            &format!("{{ {secret}, label = 7 }}"),
            "[0].label: has the wrong type: must be a text",
        ),
        ("{ secret = \"previous\" }", "[0].secret: is a sample value"),
        (
            "7",
            "[0]: has the wrong type: must be a text, or a table with secret, label and until",
        ),
    ] {
        let line = error(&with(element), &[]);
        let expected = format!("partners[0].webhook_secrets{expected}");
        assert!(line.starts_with(&expected), "{element}: {line}");
    }
}

#[test]
fn secrets_whose_time_has_passed_are_warned_about() {
    let dated = |until: &str| format!(r#"{{ secret = "{SECRET}", until = "{until}" }}"#);
    let warned = |list: String| {
        let warnings = load(&with(&list), &[]).unwrap().warnings(NOW);
        let of_secrets = |warning: &String| warning.contains("webhook_secrets");
        warnings.into_iter().filter(of_secrets).collect::<Vec<_>>()
    };
    let valid = r#""demo_0123456789abcdef0123""#;
    assert_eq!(warned(dated("2027-01-15")), NONE);
    let one = warned(format!("{}, {valid}", dated("2027-01-14")));
    assert!(
        one.len() == 1 && one[0].starts_with("partners[0].webhook_secrets[0]: "),
        "{one:?}"
    );
    let all = warned(dated("2027-01-14"));
    assert_eq!(all.len(), 2, "{all:?}");
    assert!(all[1].starts_with("partners[0].webhook_secrets: ") && all[1].contains(" acme "));
}
