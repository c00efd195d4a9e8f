//! Tests of the link request rules: tables of good and bad values, a corpus of redirect URIs, and properties.
//!
//! Every table is run to its end and the misses are shown together, so that one run tells the whole damage.

use proptest::prelude::*;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use url::Url;

use super::redirect_uri::check;
use super::{COUNTRIES, LinkCall, LinkRequest, PROFESSIONS};

fn full_body() -> Value {
    json!({
        "userId": "2da954cd-2fda-49c2-ad77-6208c5ab71d6",
        "externalUserId": "customer-42",
        "country": "MX",
        "partnerRedirectUri": "HTTPS://Partner.Example",
        "personalInfo": {
            "profession": "Employee",
            "phoneNumber": "+524401234567",
            "birthCountry": "MX",
            "taxId": "LOZG7802117B9",
        },
        "forceNew": true,
    })
}

/// Sets one field of the full body, named by its path.
fn body_with(path: &str, value: Value) -> Value {
    let mut body = full_body();
    match path.split_once('.') {
        Some((outer, inner)) => body[outer][inner] = value,
        None => body[path] = value,
    }
    body
}

/// The samples of the provider's own `partner_api_v2.json`.
#[test]
fn a_body_made_for_the_provider_is_read_as_it_would_and_what_it_does_not_know_is_overlooked() {
    let user = "2da954cd-2fda-49c2-ad77-6208c5ab71d6";
    let mut direct = json!({
        "userId": user, "country": "DO", "partnerRedirectUri": "myapp://partner.com", "colour": null,
    });
    let request = LinkRequest::parse_as_provider(&direct).unwrap();
    assert_eq!(
        (&*request.user_id, request.call),
        (user, LinkCall::UserInBody)
    );
    direct["country"] = json!("MX");
    let faults = LinkRequest::parse_as_provider(&direct).unwrap_err();
    assert_eq!((&*faults[0].field, faults.len()), ("personalInfo", 1));
    direct["personalInfo"] = full_body()["personalInfo"].clone();
    direct["personalInfo"]["colour"] = json!("red");
    assert!(
        LinkRequest::parse_as_provider(&direct)
            .unwrap()
            .personal_info
            .is_some()
    );
    assert_eq!(
        codes(&direct).len(),
        2,
        "it has two fields that our own form refuses"
    );

    let request = LinkRequest::parse_as_provider_for("another", &direct).unwrap();
    assert_eq!(
        (&*request.user_id, request.call),
        ("another", LinkCall::UserInPath)
    );
    assert!(request.personal_info.is_none());
    for user_id in ["", "..", "a/b", "a b"] {
        let faults = LinkRequest::parse_as_provider_for(user_id, &direct).unwrap_err();
        assert_eq!((&*faults[0].field, faults[0].code), ("userId", "id_format"));
    }
}

fn codes(body: &Value) -> Vec<(String, &'static str)> {
    let faults = LinkRequest::parse(body).err().unwrap_or_default();
    faults.into_iter().map(|f| (f.field, f.code)).collect()
}

/// Asserts that each value in the field gives exactly the one fault, or none for an empty code.
fn assert_codes<V: Into<Value> + Clone>(path: &str, table: &[(V, &'static str)]) {
    let mut misses = Vec::new();
    for (value, code) in table {
        let value: Value = value.clone().into();
        let got = codes(&body_with(path, value.clone()));
        let want: Vec<_> = [*code]
            .into_iter()
            .filter(|code| !code.is_empty())
            .map(|code| (path.to_owned(), code))
            .collect();
        if got != want {
            misses.push(format!("{value}: expected {want:?}, got {got:?}"));
        }
    }
    assert!(misses.is_empty(), "{path}:\n{}", misses.join("\n"));
}

#[test]
fn a_full_body_is_taken_over_field_by_field() {
    let request = LinkRequest::parse(&full_body()).expect("the contract's own sample");
    assert_eq!(request.user_id, "2da954cd-2fda-49c2-ad77-6208c5ab71d6");
    assert_eq!(request.external_user_id.as_deref(), Some("customer-42"));
    assert_eq!(request.country, "MX");
    assert_eq!(
        request.partner_redirect_uri.as_deref(),
        Some("https://partner.example/")
    );
    assert!(request.force_new);
    let info = request.personal_info.expect("it was given");
    assert_eq!(info.profession, "Employee");
    assert_eq!(info.phone_number.expose_secret(), "+524401234567");
    assert_eq!(info.birth_country, "MX");
    let tax_id = info.tax_id.expect("it was given");
    assert_eq!(tax_id.expose_secret(), "LOZG7802117B9");
}

#[test]
fn two_fields_are_enough_outside_mexico() {
    let request = LinkRequest::parse(&json!({"userId": "u1", "country": "DO"})).expect("valid");
    assert!(request.external_user_id.is_none() && request.partner_redirect_uri.is_none());
    assert!(request.personal_info.is_none() && !request.force_new);
}

#[test]
fn null_counts_as_absent() {
    let body = json!({"userId": "u1", "country": "DE", "externalUserId": null, "personalInfo": null,
        "partnerRedirectUri": null, "forceNew": null});
    assert_eq!(codes(&body), []);
    assert_codes("personalInfo.taxId", &[(Value::Null, "")]);
    for field in [
        "userId",
        "country",
        "personalInfo",
        "personalInfo.profession",
        "personalInfo.phoneNumber",
        "personalInfo.birthCountry",
    ] {
        assert_codes(field, &[(Value::Null, "required")]);
    }
}

#[test]
fn a_body_that_is_no_object_is_one_fault_without_a_field() {
    for body in [
        json!(null),
        json!([]),
        json!([full_body()]),
        json!("x"),
        json!(1),
    ] {
        assert_eq!(codes(&body), [(String::new(), "not_an_object")], "{body}");
    }
}

#[test]
fn another_json_type_is_named_with_the_expected_one() {
    for (field, expected) in [
        ("userId", "a string"),
        ("externalUserId", "a string"),
        ("country", "a string"),
        ("partnerRedirectUri", "a string"),
        ("personalInfo", "an object"),
        ("personalInfo.profession", "a string"),
        ("personalInfo.phoneNumber", "a string"),
        ("personalInfo.birthCountry", "a string"),
        ("personalInfo.taxId", "a string"),
        ("forceNew", "true or false"),
    ] {
        for value in [json!(7), json!([]), json!(["MX"])] {
            let faults = LinkRequest::parse(&body_with(field, value)).expect_err(field);
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert_eq!(
                (faults[0].field.as_str(), faults[0].code),
                (field, "wrong_type")
            );
            assert!(faults[0].message.contains(expected), "{faults:?}");
        }
    }
    assert_codes(
        "forceNew",
        &[
            (json!("true"), "wrong_type"),
            (json!(1), "wrong_type"),
            (json!(false), ""),
        ],
    );
}

#[test]
fn an_unknown_field_is_a_fault_at_its_path_and_the_known_ones_are_listed() {
    for (path, known) in [("userID", "externalUserId"), ("personalInfo.rfc", "taxId")] {
        for value in [json!("x"), json!(null)] {
            let faults = LinkRequest::parse(&body_with(path, value)).expect_err(path);
            assert_eq!(
                (faults[0].field.as_str(), faults[0].code),
                (path, "unknown_field")
            );
            assert!(
                faults.len() == 1 && faults[0].message.contains(known),
                "{faults:?}"
            );
        }
    }
}

#[test]
fn the_name_of_an_unknown_field_is_cut_and_cannot_break_a_log_line() {
    let got = codes(&body_with(&"é".repeat(65), json!(1)));
    assert_eq!(got, [("é".repeat(64), "unknown_field")]);
    let got = codes(&body_with("a\nb\u{1b}", json!(1)));
    assert_eq!(got, [("a\u{fffd}b\u{fffd}".to_owned(), "unknown_field")]);
}

#[test]
fn a_body_of_nothing_but_names_gets_a_bounded_answer() {
    let mut body = full_body();
    for number in 0..1000 {
        body[format!("x{number:04}")] = json!(1);
    }
    let got = codes(&body);
    assert_eq!(got.len(), 16);
    assert_eq!(got[15].0, "x0015");
}

#[test]
fn a_user_id_is_a_harmless_path_segment() {
    let longest = "a".repeat(128);
    let too_long = "a".repeat(129);
    assert_codes(
        "userId",
        &[
            ("2da954cd-2fda-49c2-ad77-6208c5ab71d6", ""),
            ("a", ""),
            ("A.z_0~:@-", ""),
            (".a", ""),
            (longest.as_str(), ""),
            (too_long.as_str(), "id_format"),
            ("", "id_format"),
            (".", "id_format"),
            ("..", "id_format"),
            ("...", "id_format"),
            ("a/b", "id_format"),
            ("a%2Fb", "id_format"),
            ("a?b", "id_format"),
            ("a#b", "id_format"),
            ("a b", "id_format"),
            (" a", "id_format"),
            ("a\n", "id_format"),
            ("a\0", "id_format"),
            ("é", "id_format"),
            ("a+b", "id_format"),
        ],
    );
}

#[test]
fn an_external_id_is_any_text_without_control_characters_or_padding() {
    let longest = "é".repeat(255);
    let too_long = "é".repeat(256);
    assert_codes(
        "externalUserId",
        &[
            ("customer-42", ""),
            ("Zoë / 7?#%", ""),
            ("..", ""),
            ("a b", ""),
            (longest.as_str(), ""),
            (too_long.as_str(), "id_format"),
            ("", "id_format"),
            (" ", "id_format"),
            (" a", "id_format"),
            ("a ", "id_format"),
            ("a\u{a0}", "id_format"),
            ("\u{3000}a", "id_format"),
            ("a\nb", "id_format"),
            ("a\0b", "id_format"),
            ("a\u{85}b", "id_format"),
            ("a\u{7f}b", "id_format"),
        ],
    );
}

#[test]
fn the_countries_are_the_providers_and_only_in_upper_case() {
    assert_codes("country", &COUNTRIES.map(|code| (code, "")));
    let lower = COUNTRIES.map(|code| (code.to_ascii_lowercase(), "country_unsupported"));
    assert_codes("country", &lower);
    let others = [
        "", "BR", "AR", "Mx", "MEX", " MX", "MX ", "MX\n", "UK", "EU", "EL", "МХ",
    ];
    assert_codes("country", &others.map(|code| (code, "country_unsupported")));
    let mut sorted = COUNTRIES.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), 39);
}

#[test]
fn personal_info_is_required_for_mexico_only() {
    let mut body = full_body();
    body.as_object_mut()
        .expect("an object")
        .remove("personalInfo");
    let missing = [("personalInfo".to_owned(), "required")];
    assert_eq!(codes(&body), missing);
    for country in COUNTRIES.into_iter().filter(|code| *code != "MX") {
        body["country"] = json!(country);
        assert_eq!(codes(&body), [], "{country}");
    }
}

#[test]
fn personal_info_is_checked_whatever_the_country_is() {
    for (country, own_fault) in [
        (json!("MX"), None),
        (json!("DE"), None),
        (json!("??"), Some("country_unsupported")),
        (json!(null), Some("required")),
        (json!(5), Some("wrong_type")),
    ] {
        let mut body = body_with("country", country);
        body["personalInfo"] = json!({});
        let mut want: Vec<_> = own_fault
            .map(|code| ("country".to_owned(), code))
            .into_iter()
            .collect();
        for name in ["profession", "phoneNumber", "birthCountry"] {
            want.push((format!("personalInfo.{name}"), "required"));
        }
        assert_eq!(codes(&body), want);
    }
}

#[test]
fn personal_info_is_not_missed_while_the_country_is_unknown() {
    let got = codes(&json!({"userId": "u1", "country": "mx"}));
    assert_eq!(got, [("country".to_owned(), "country_unsupported")]);
    assert_eq!(
        codes(&json!({"userId": "u1"})),
        [("country".to_owned(), "required")]
    );
}

#[test]
fn a_profession_is_one_of_five_in_this_spelling() {
    assert_codes("personalInfo.profession", &PROFESSIONS.map(|p| (p, "")));
    let bad = [
        "",
        "EMPLOYEE",
        "employee",
        "Employee ",
        "Nurse",
        "Public  Servant",
        "Entrepreneur",
    ];
    assert_codes(
        "personalInfo.profession",
        &bad.map(|p| (p, "profession_unknown")),
    );
}

#[test]
fn a_phone_number_is_e164_in_ascii() {
    let good = [
        "+524401234567",
        "+1234567",
        "+123456789012345",
        "+49301234567",
    ];
    assert_codes("personalInfo.phoneNumber", &good.map(|p| (p, "")));
    let bad = [
        "",
        "+",
        "+123456",
        "+1234567890123456",
        "+0234567890",
        "524401234567",
        "0052440123456",
        "+52 440 123 4567",
        "+52-440-1234567",
        "+5244012345a7",
        "+524401234567\n",
        " +524401234567",
        "++5244012345",
        "+５２４４０１２３",
        "+٥٢٤٤٠١٢٣",
    ];
    assert_codes(
        "personalInfo.phoneNumber",
        &bad.map(|p| (p, "phone_format")),
    );
}

#[test]
fn a_birth_country_is_any_iso_code_in_upper_case() {
    let good = ["MX", "BR", "US", "SS", "AQ", "TW", "GB", "GR"];
    assert_codes("personalInfo.birthCountry", &good.map(|c| (c, "")));
    let bad = [
        "", "mx", "Mx", "MEX", "484", "XX", "ZZ", "UK", "EU", "SU", "M", "MX ", "МХ",
    ];
    assert_codes(
        "personalInfo.birthCountry",
        &bad.map(|c| (c, "country_code")),
    );
}

#[test]
fn a_tax_id_has_the_shape_of_a_persons_rfc() {
    let good = ["LOZG7802117B9", "PEGJ900314X9A", "XXXX000101000"];
    assert_codes("personalInfo.taxId", &good.map(|t| (t, "")));
    let bad = [
        "",
        "lozg7802117b9",
        "LOZG7802117b9",
        "LOZ7802117B9",
        "LOZG7802117B",
        "LOZG7802117B99",
        "LOZG780211HDFXXX09",
        "LOZG7802117B9\n",
        " LOZG7802117B9",
        "LOZG-7802117B9",
        "LOÑG7802117B",
        "LOÑG7802117B9",
        "LO&G7802117B9",
        "LOZG78O2117B9",
        "LOZG7802117B-",
        "LOZG７８02117",
    ];
    assert_codes("personalInfo.taxId", &bad.map(|t| (t, "rfc_format")));
}

#[test]
fn the_digits_of_a_tax_id_are_a_date_of_either_century() {
    let with_date = |date: &str| format!("LOZG{date}7B9");
    let good = [
        "000101", "991231", "000229", "040229", "960229", "780228", "780430", "780131",
    ];
    assert_codes("personalInfo.taxId", &good.map(|d| (with_date(d), "")));
    let bad = [
        "780001", "781301", "780100", "780132", "780431", "780631", "780931", "781131", "780229",
        "010229", "990229", "000230", "960230", "000000", "999999",
    ];
    assert_codes(
        "personalInfo.taxId",
        &bad.map(|d| (with_date(d), "rfc_date")),
    );
}

#[test]
fn all_faults_are_reported_at_once_in_the_order_of_the_fields() {
    let body = json!({
        "aaa": 1,
        "userId": "..",
        "externalUserId": "",
        "country": "mx",
        "partnerRedirectUri": "http://partner.example/",
        "personalInfo": {
            "profession": "Nurse",
            "phoneNumber": "5512345678",
            "birthCountry": "mx",
            "taxId": "LOZG7813117B9",
            "curp": "x",
        },
        "forceNew": "yes",
        "zzz": null,
    });
    let want = [
        ("userId", "id_format"),
        ("externalUserId", "id_format"),
        ("country", "country_unsupported"),
        ("partnerRedirectUri", "redirect_insecure"),
        ("personalInfo.profession", "profession_unknown"),
        ("personalInfo.phoneNumber", "phone_format"),
        ("personalInfo.birthCountry", "country_code"),
        ("personalInfo.taxId", "rfc_date"),
        ("personalInfo.curp", "unknown_field"),
        ("forceNew", "wrong_type"),
        ("aaa", "unknown_field"),
        ("zzz", "unknown_field"),
    ];
    assert_eq!(
        codes(&body),
        want.map(|(field, code)| (field.to_owned(), code))
    );
}

#[test]
fn every_message_is_a_sentence() {
    let bodies = [
        json!(1),
        json!({"x": 1}),
        json!({"userId": 1, "country": "MX", "forceNew": 1}),
    ];
    for fault in bodies.iter().flat_map(|body| {
        LinkRequest::parse(body)
            .err()
            .unwrap_or_default()
            .into_iter()
    }) {
        let first = fault.message.chars().next();
        assert!(first.is_some_and(char::is_uppercase) && fault.message.ends_with('.'));
    }
}

#[test]
fn debug_output_of_a_request_shows_no_personal_data() {
    let mut body = body_with(
        "partnerRedirectUri",
        json!("https://p.example/?token=t0k3n"),
    );
    body["personalInfo"]["profession"] = json!("Public Servant");
    body["personalInfo"]["birthCountry"] = json!("BR");
    body["externalUserId"] = json!("zoe@mail.example");
    let request = LinkRequest::parse(&body).expect("valid");
    let shown = format!("{request:?} {request:#?} {:?}", request.personal_info);
    for secret in ["5244", "LOZG", "Servant", "BR", "zoe", "t0k3n", "p.example"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(shown.contains("PersonalInfo(…)"));
}

/// Schemes listed apart from the code, so that a line lost there is seen here.
const NEVER: [&str; 23] = [
    "javascript",
    "data",
    "vbscript",
    "file",
    "blob",
    "about",
    "intent",
    "content",
    "ftp",
    "ws",
    "wss",
    "view-source",
    "filesystem",
    "jar",
    "mailto",
    "tel",
    "sms",
    "chrome",
    "resource",
    "android-app",
    "ios-app",
    "ms-msdt",
    "itms-services",
];

const LONG: &str = "redirect_too_long";
const CHARACTERS: &str = "redirect_characters";
const SCHEME: &str = "redirect_scheme";
const FORMAT: &str = "redirect_format";
const CREDENTIALS: &str = "redirect_credentials";
const INSECURE: &str = "redirect_insecure";

#[rustfmt::skip]
const CORPUS: &[(&str, Result<&str, &str>)] = &[
    // https, and what the parser makes of it.
    ("https://partner.example/done", Ok("https://partner.example/done")),
    ("https://partner.example", Ok("https://partner.example/")),
    ("https://partner.example?x=1", Ok("https://partner.example/?x=1")),
    ("https://partner.example#f", Ok("https://partner.example/#f")),
    ("HTTPS://PARTNER.Example/Done", Ok("https://partner.example/Done")),
    ("hTtPs://partner.example/", Ok("https://partner.example/")),
    ("https://partner.example:443/", Ok("https://partner.example/")),
    ("https://partner.example:8443/", Ok("https://partner.example:8443/")),
    ("https://partner.example:/", Ok("https://partner.example/")),
    ("https://partner.example:0/", Ok("https://partner.example:0/")),
    ("https://partner.example:080/", Ok("https://partner.example:80/")),
    ("https://partner.example:65536/", Err(FORMAT)),
    ("https://partner.example:x/", Err(FORMAT)),
    ("https://partner.example./", Ok("https://partner.example./")),
    ("https://partner.example/a/../b/./c", Ok("https://partner.example/b/c")),
    ("https://partner.example/%2e%2e/b", Ok("https://partner.example/b")),
    ("https://partner.example/../../b", Ok("https://partner.example/b")),
    ("https://partner.example//b", Ok("https://partner.example//b")),
    ("https://partner.example/%00", Ok("https://partner.example/%00")),
    ("https://partner.example/%0d%0aX:1", Ok("https://partner.example/%0d%0aX:1")),
    ("https://partner.example/%", Ok("https://partner.example/%")),
    ("https://partner.example/a?b=https://evil.example", Ok("https://partner.example/a?b=https://evil.example")),
    ("https://partner.example/a@b", Ok("https://partner.example/a@b")),
    ("https://partner.example/?a@b", Ok("https://partner.example/?a@b")),
    ("https://partner.example?a@b", Ok("https://partner.example/?a@b")),
    ("https://partner.example#@b", Ok("https://partner.example/#@b")),
    ("https://partner.example/?q='\"<>", Ok("https://partner.example/?q=%27%22%3C%3E")),
    ("https://partner.example/{a}|`\"", Ok("https://partner.example/%7Ba%7D|%60%22")),
    ("https://partner.example/javascript:alert(1)", Ok("https://partner.example/javascript:alert(1)")),
    ("https://localhost/", Ok("https://localhost/")),
    ("https://10.0.0.1/", Ok("https://10.0.0.1/")),
    ("https://[2001:DB8::1]/", Ok("https://[2001:db8::1]/")),
    ("https://0x7f.1/", Ok("https://127.0.0.1/")),
    ("https://a_b.example/", Ok("https://a_b.example/")),
    // Hosts: names in other scripts only as punycode, percent-encoding decoded, no odd characters.
    ("https://xn--e1awd7f.example/", Ok("https://xn--e1awd7f.example/")),
    ("https://XN--E1AWD7F.example/", Ok("https://xn--e1awd7f.example/")),
    ("https://xn--a.example/", Err(FORMAT)),
    ("https://p%61rtner.example/", Ok("https://partner.example/")),
    ("https://%C3%A9.example/", Ok("https://xn--9ca.example/")),
    ("https://partner%2Eexample/", Ok("https://partner.example/")),
    ("https://partner.example%2F.evil/", Err(FORMAT)),
    ("https://partner.example%40evil.example/", Err(FORMAT)),
    ("https://partner.example%00/", Err(FORMAT)),
    ("https://partner.example%0a/", Err(FORMAT)),
    ("https://partner.example%5c.evil/", Err(FORMAT)),
    ("https://%zz.example/", Err(FORMAT)),
    ("https://a<b.example/", Err(FORMAT)),
    ("https://a|b.example/", Err(FORMAT)),
    ("https://[::1/", Err(FORMAT)),
    ("https://[::g]/", Err(FORMAT)),
    ("https://256.0.0.1/", Err(FORMAT)),
    ("https://1.2.3.4.5/", Err(FORMAT)),
    ("https://example.1/", Err(FORMAT)),
    // What the parser would mend.
    ("https:/partner.example", Err(FORMAT)),
    ("https:partner.example", Err(FORMAT)),
    ("https:///partner.example", Err(FORMAT)),
    ("https:////partner.example", Err(FORMAT)),
    ("https://", Err(FORMAT)),
    ("https:///", Err(FORMAT)),
    ("https://?x", Err(FORMAT)),
    ("https://#x", Err(FORMAT)),
    ("https://:443/", Err(FORMAT)),
    ("https:", Err(FORMAT)),
    ("https", Err(FORMAT)),
    ("https:\\\\partner.example", Err(CHARACTERS)),
    ("https://partner.example\\@evil.example", Err(CHARACTERS)),
    ("https://evil.example\\.partner.example", Err(CHARACTERS)),
    ("https://partner.example/\\x", Err(CHARACTERS)),
    (" https://partner.example/", Err(CHARACTERS)),
    ("https://partner.example/ ", Err(CHARACTERS)),
    ("https://partner.example/a b", Err(CHARACTERS)),
    ("https://partner.example/\n", Err(CHARACTERS)),
    ("https://partner\t.example/", Err(CHARACTERS)),
    ("ht\ntps://partner.example/", Err(CHARACTERS)),
    ("https://partner.example/\0", Err(CHARACTERS)),
    ("https://partner.example/\x7f", Err(CHARACTERS)),
    ("\x01https://partner.example/", Err(CHARACTERS)),
    ("https://pärtner.example/", Err(CHARACTERS)),
    ("https://partner.example/é", Err(CHARACTERS)),
    ("https://раrtner.example/", Err(CHARACTERS)),
    ("https://partner。example/", Err(CHARACTERS)),
    ("https:\u{2215}\u{2215}partner.example/", Err(CHARACTERS)),
    // Credentials.
    ("https://user@partner.example/", Err(CREDENTIALS)),
    ("https://user:pw@partner.example/", Err(CREDENTIALS)),
    ("https://:pw@partner.example/", Err(CREDENTIALS)),
    ("https://@partner.example/", Err(CREDENTIALS)),
    ("https://:@partner.example/", Err(CREDENTIALS)),
    ("https://partner.example@evil.example/", Err(CREDENTIALS)),
    ("https://a@b@evil.example/", Err(CREDENTIALS)),
    ("http://user@localhost/", Err(CREDENTIALS)),
    ("myapp://user@done", Err(CREDENTIALS)),
    ("myapp://user:pw@done/x", Err(CREDENTIALS)),
    ("myapp://@done/x", Err(CREDENTIALS)),
    // http on loopback, by the parsed host.
    ("http://localhost/", Ok("http://localhost/")),
    ("http://localhost:3000/done?x#y", Ok("http://localhost:3000/done?x#y")),
    ("HTTP://LOCALHOST", Ok("http://localhost/")),
    ("http://l%6fcalhost/", Ok("http://localhost/")),
    ("http://127.0.0.1:8080/", Ok("http://127.0.0.1:8080/")),
    ("http://127.255.255.254/", Ok("http://127.255.255.254/")),
    ("http://127.1/", Ok("http://127.0.0.1/")),
    ("http://127.0.0.1./", Ok("http://127.0.0.1/")),
    ("http://2130706433/", Ok("http://127.0.0.1/")),
    ("http://0x7f000001/", Ok("http://127.0.0.1/")),
    ("http://0177.0.0.1/", Ok("http://127.0.0.1/")),
    ("http://[::1]:3000/", Ok("http://[::1]:3000/")),
    ("http://[0:0:0:0:0:0:0:1]/", Ok("http://[::1]/")),
    ("http://partner.example/", Err(INSECURE)),
    ("http://localhost.evil.example/", Err(INSECURE)),
    ("http://app.localhost/", Err(INSECURE)),
    ("http://localhost./", Err(INSECURE)),
    ("http://localhosts/", Err(INSECURE)),
    ("http://127.0.0.1.evil.example/", Err(INSECURE)),
    ("http://128.0.0.1/", Err(INSECURE)),
    ("http://126.255.255.255/", Err(INSECURE)),
    ("http://0.0.0.0/", Err(INSECURE)),
    ("http://0/", Err(INSECURE)),
    ("http://2130706432.evil.example/", Err(INSECURE)),
    ("http://3232235777/", Err(INSECURE)),
    ("http://192.168.1.1/", Err(INSECURE)),
    ("http://169.254.169.254/", Err(INSECURE)),
    ("http://[::]/", Err(INSECURE)),
    ("http://[::2]/", Err(INSECURE)),
    ("http://[::ffff:127.0.0.1]/", Err(INSECURE)),
    ("http://[::127.0.0.1]/", Err(INSECURE)),
    ("http:/localhost", Err(FORMAT)),
    ("http:///localhost", Err(FORMAT)),
    // App schemes.
    ("myapp://kyc/done", Ok("myapp://kyc/done")),
    ("myapp://", Ok("myapp://")),
    ("myapp:///done", Ok("myapp:///done")),
    ("MyApp://Kyc/Done?x=1#y", Ok("myapp://Kyc/Done?x=1#y")),
    ("com.example.app://done", Ok("com.example.app://done")),
    ("my-app+2://done:7/a/../b", Ok("my-app+2://done:7/b")),
    ("myapp://host%20x/", Ok("myapp://host%20x/")),
    ("myapp://localhost:99999/", Err(FORMAT)),
    ("myapp://a<b", Err(FORMAT)),
    ("myapp:done", Err(FORMAT)),
    ("myapp:/done", Err(FORMAT)),
    ("myapp:", Err(FORMAT)),
    ("my_app://done", Err(FORMAT)),
    ("1app://done", Err(FORMAT)),
    ("myapp://a b", Err(CHARACTERS)),
    // Not absolute.
    ("", Err(FORMAT)),
    ("/done", Err(FORMAT)),
    ("//partner.example/done", Err(FORMAT)),
    ("://partner.example", Err(FORMAT)),
    ("partner.example", Err(FORMAT)),
    ("partner.example:443", Err(FORMAT)),
    ("?x=https://partner.example", Err(FORMAT)),
    ("#", Err(FORMAT)),
    ("%68ttps://partner.example", Err(FORMAT)),
    ("java%73cript://partner.example", Err(FORMAT)),
    // Forbidden schemes.
    ("javascript:alert(1)", Err(SCHEME)),
    ("javascript://partner.example/%0aalert(1)", Err(SCHEME)),
    ("JaVaScRiPt:alert(1)", Err(SCHEME)),
    ("java\tscript:alert(1)", Err(CHARACTERS)),
    ("java\nscript://x", Err(CHARACTERS)),
    ("\x01javascript:alert(1)", Err(CHARACTERS)),
    (" javascript:alert(1)", Err(CHARACTERS)),
    ("data:text/html,<script>", Err(SCHEME)),
    ("data://text/html;base64,x", Err(SCHEME)),
    ("vbscript:x", Err(SCHEME)),
    ("file:///etc/passwd", Err(SCHEME)),
    ("FILE://host/x", Err(SCHEME)),
    ("blob:https://partner.example/1", Err(SCHEME)),
    ("about:blank", Err(SCHEME)),
    ("about://blank", Err(SCHEME)),
    ("intent://x#Intent;scheme=https;end", Err(SCHEME)),
    ("content://x/y", Err(SCHEME)),
    ("ftp://partner.example/", Err(SCHEME)),
    ("ws://localhost/", Err(SCHEME)),
    ("wss://partner.example/", Err(SCHEME)),
    ("view-source:https://partner.example", Err(SCHEME)),
    ("filesystem:https://partner.example/x", Err(SCHEME)),
    ("jar:https://partner.example!/x", Err(SCHEME)),
    ("mailto:a@b.example", Err(SCHEME)),
    ("mailto://a@b.example", Err(SCHEME)),
    ("tel:+524401234567", Err(SCHEME)),
    ("sms://+524401234567", Err(SCHEME)),
    ("chrome://settings", Err(SCHEME)),
    ("resource://x", Err(SCHEME)),
    ("android-app://com.example/https", Err(SCHEME)),
    ("ios-app://1/x", Err(SCHEME)),
];

#[test]
fn every_redirect_of_the_corpus_gets_its_verdict() {
    let mut misses = Vec::new();
    for (raw, want) in CORPUS {
        let got = check(raw).map_err(|refusal| refusal.code);
        if got.as_deref().map_err(|code| *code) != *want {
            misses.push(format!("{raw:?}: expected {want:?}, got {got:?}"));
        }
    }
    assert!(misses.is_empty(), "\n{}", misses.join("\n"));
}

#[test]
fn every_forbidden_scheme_is_refused_in_every_spelling() {
    for scheme in NEVER {
        for rest in [":x", "://x", "://partner.example/done", ":///x", ":"] {
            for spelt in [scheme.to_owned(), scheme.to_ascii_uppercase()] {
                let got = check(&format!("{spelt}{rest}")).map_err(|refusal| refusal.code);
                assert_eq!(got, Err(SCHEME), "{spelt}{rest}");
            }
        }
    }
}

#[test]
fn a_redirect_has_at_most_2048_bytes_before_and_after_encoding() {
    let of_length = |length: usize, fill: &str| {
        let head = "https://partner.example/";
        format!("{head}{}", fill.repeat(length - head.len()))
    };
    let code = |raw: &str| check(raw).err().map(|refusal| refusal.code);
    assert_eq!(code(&of_length(2048, "a")), None);
    assert_eq!(code(&of_length(2049, "a")), Some(LONG));
    assert_eq!(code(&of_length(2048, "\"")), Some(LONG));
    assert_eq!(
        code(&format!("https://a.example/{}", "é".repeat(1020))),
        Some(LONG)
    );
    assert_eq!(code(&format!("{}:x", "a".repeat(100_000))), Some(LONG));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
        any_redirect().prop_map(Value::from),
        proptest::sample::select(vec![
            "MX",
            "DO",
            "Employee",
            "+524401234567",
            "LOZG7802117B9"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 8, |inner| {
        let names: Vec<_> = super::FIELDS
            .iter()
            .chain(&super::PERSONAL_FIELDS)
            .collect();
        let name = prop_oneof![
            4 => proptest::sample::select(names).prop_map(|name| (*name).to_owned()),
            1 => ".*",
        ];
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            4 => prop::collection::btree_map(name, inner, 0..10)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// Pieces that are put together to URIs of which a good part is accepted and the rest is nearly right.
fn any_redirect() -> impl Strategy<Value = String> {
    let schemes = [&["https", "http", "HTTPS", "myapp", "a+b", ""][..], &NEVER].concat();
    let scheme = prop_oneof![
        6 => proptest::sample::select(vec!["https", "http", "myapp"]),
        1 => proptest::sample::select(schemes),
    ];
    let separator = prop_oneof![
        8 => Just("://"),
        1 => proptest::sample::select(vec![":", ":/", ":///", "//", ":\\\\", ":\t//"]),
    ];
    let host = prop_oneof![
        3 => proptest::sample::select(vec![
            "localhost", "LOCALHOST", "127.1", "[::1]", "2130706433", "0x7f.1", "p.example", "%61.example",
        ]).prop_map(str::to_owned),
        1 => "[!-~]{0,12}",
        1 => "(user|):?@?[a-z.]{0,12}:?[0-9]{0,6}",
    ];
    let path = prop_oneof![3 => "[/?#!-~]{0,24}", 1 => "(/|/\\.|/\\.\\.|//|%2e|[a-z]){0,8}", 1 => ".{0,6}"];
    (scheme, separator, host, "/?", path).prop_map(|(scheme, separator, host, slash, path)| {
        format!("{scheme}{separator}{host}{slash}{path}")
    })
}

fn assert_harmless(raw: &str) -> Result<(), TestCaseError> {
    let Ok(kept) = check(raw) else { return Ok(()) };
    let url = Url::parse(&kept).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(url.as_str(), &kept, "parsing it again changes it");
    prop_assert_eq!(
        check(&kept).ok(),
        Some(kept.clone()),
        "it is not accepted again"
    );
    prop_assert!(
        !NEVER.contains(&url.scheme()),
        "{} is forbidden",
        url.scheme()
    );
    prop_assert!(url.username().is_empty() && url.password().is_none());
    prop_assert!(kept.bytes().all(|byte| byte.is_ascii_graphic()));
    prop_assert!(kept.len() <= 2048 && kept.contains("://"));
    let host = url.host_str().unwrap_or_default();
    prop_assert!(url.scheme() != "https" || !host.is_empty());
    let loopback = host == "localhost" || host == "[::1]" || host.starts_with("127.");
    prop_assert!(
        url.scheme() != "http" || loopback,
        "{} is not loopback",
        host
    );
    Ok(())
}

proptest! {
    #[test]
    fn an_accepted_redirect_is_stable_and_harmless(raw in any_redirect()) {
        assert_harmless(&raw)?;
    }

    #[test]
    fn arbitrary_text_as_a_redirect_is_harmless_too(raw in prop_oneof!["\\PC*", any::<String>()]) {
        assert_harmless(&raw)?;
    }

    #[test]
    fn parse_never_panics_and_refuses_only_with_a_reason(body in any_json()) {
        if let Err(faults) = LinkRequest::parse(&body) {
            prop_assert!(!faults.is_empty());
        }
    }

    #[test]
    fn no_fault_repeats_a_planted_value(before in ".{0,5}", after in ".{0,5}", typed in any::<bool>()) {
        const PLANT: &str = "pl4ntedvalue";
        let text = json!(format!("{before}{PLANT}{after}"));
        let planted = if typed { text } else { json!([text]) };
        let mut body = full_body();
        for field in super::FIELDS.into_iter().filter(|field| *field != "personalInfo") {
            body[field] = planted.clone();
        }
        for field in super::PERSONAL_FIELDS {
            body["personalInfo"][field] = planted.clone();
        }
        for whole in [planted.clone(), body_with("personalInfo", planted.clone()), body] {
            let result = LinkRequest::parse(&whole);
            prop_assert!(result.is_err());
            let shown = format!("{result:?}");
            prop_assert!(!shown.contains(PLANT));
        }
    }

    #[test]
    fn digits_that_chrono_takes_for_either_century_are_the_accepted_dates(year in 0_u32..100, month in 0_u32..20, day in 0_u32..40) {
        let exists = |century: u32| {
            let year = i32::try_from(century + year).expect("small");
            chrono::NaiveDate::from_ymd_opt(year, month, day).is_some()
        };
        prop_assert_eq!(
            super::is_date_of_either_century(year, month, day),
            exists(1900) || exists(2000)
        );
    }
}
