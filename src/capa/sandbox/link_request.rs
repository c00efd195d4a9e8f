//! What a request for a link has to look like.
//!
//! Pure checks over parsed JSON, in the order a reader of the provider's page would make them. The rules are those of
//! `reference/userpartnercontrollerv2_createverificationlink` (country, redirect),
//! `v1.0/reference/kycpartnercontrollerv2_generatedirectlink` (`personalInfo`) and `docs/faq` (tax id).

use serde_json::{Map, Value};
use url::Url;

use super::refusal::Refusal;
use crate::kyc::link_request::{COUNTRIES, PROFESSIONS};
use crate::kyc::loopback::is_loopback;

/// Schemes that would run or read something when the page's link is followed.
const REFUSED_SCHEMES: [&str; 6] = ["javascript", "data", "file", "blob", "vbscript", "about"];

/// A request for a link that passed every check.
pub(super) struct LinkRequest {
    pub(super) country: String,
    pub(super) redirect_uri: Option<String>,
    pub(super) personal_info: Option<Value>,
}

impl LinkRequest {
    /// Reads the body of the route with the user in its path, which takes no `personalInfo`.
    pub(super) fn read(body: &Map<String, Value>) -> Result<Self, Refusal> {
        let country = text(body, "country").filter(|country| COUNTRIES.contains(country));
        Ok(Self {
            country: country
                .ok_or(Refusal::invalid_input(
                    "country must be one of the 39 supported codes",
                ))?
                .to_owned(),
            redirect_uri: redirect_uri(body)?,
            personal_info: None,
        })
    }

    /// Reads the body of the older route, where Mexico needs `personalInfo`.
    ///
    /// Whether it is checked for another country is not documented; here it only has to be an object.
    pub(super) fn read_with_info(body: &Map<String, Value>) -> Result<Self, Refusal> {
        let mut request = Self::read(body)?;
        let info = body.get("personalInfo").filter(|info| !info.is_null());
        match info {
            None if request.country == "MX" => {
                return Err(Refusal::invalid_input("MX needs personalInfo"));
            }
            None => {}
            Some(Value::Object(fields)) if request.country == "MX" => check_personal_info(fields)?,
            Some(Value::Object(_)) => {}
            Some(_) => return Err(Refusal::invalid_input("personalInfo must be an object")),
        }
        request.personal_info = info.cloned();
        Ok(request)
    }
}

/// A string of the object that is there and not empty.
pub(super) fn text<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    object
        .get(name)?
        .as_str()
        .filter(|text| !text.trim().is_empty())
}

fn redirect_uri(body: &Map<String, Value>) -> Result<Option<String>, Refusal> {
    let given = match body.get("partnerRedirectUri") {
        None | Some(Value::Null) => return Ok(None),
        Some(given) => given.as_str().and_then(|text| Url::parse(text).ok()),
    };
    let allowed = given.filter(|url| {
        let scheme_allowed = match url.scheme() {
            "https" => true,
            "http" => is_loopback(url),
            scheme => !REFUSED_SCHEMES.contains(&scheme),
        };
        scheme_allowed && url.username().is_empty() && url.password().is_none()
    });
    match allowed {
        Some(url) => Ok(Some(url.into())),
        None => Err(Refusal::invalid_input(
            "partnerRedirectUri must be https or an app scheme, without credentials",
        )),
    }
}

fn check_personal_info(info: &Map<String, Value>) -> Result<(), Refusal> {
    if !text(info, "profession").is_some_and(|profession| PROFESSIONS.contains(&profession)) {
        return Err(Refusal::invalid_input(
            "personalInfo.profession is not on the list",
        ));
    }
    if !text(info, "phoneNumber").is_some_and(is_phone_number) {
        return Err(Refusal::invalid_input(
            "personalInfo.phoneNumber must be international, with +",
        ));
    }
    let birth_country = text(info, "birthCountry");
    if birth_country.is_none_or(|code| rust_iso3166::from_alpha2(code).is_none()) {
        return Err(Refusal::invalid_input(
            "personalInfo.birthCountry must be an ISO 3166-1 alpha-2 code",
        ));
    }
    match info.get("taxId") {
        None | Some(Value::Null) => Ok(()),
        Some(tax_id) if tax_id.as_str().is_some_and(is_tax_id) => Ok(()),
        Some(_) => Err(Refusal::invalid_input(
            "personalInfo.taxId must be an RFC of 13 characters",
        )),
    }
}

/// E.164: a plus and 7 to 15 digits, the first not zero.
fn is_phone_number(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0')
    })
}

/// `^[A-Z]{4}\d{6}[A-Z0-9]{3}$`, which refuses a CURP and a company's RFC (`docs/faq`).
fn is_tax_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 13
        && bytes[..4].iter().all(u8::is_ascii_uppercase)
        && bytes[4..10].iter().all(u8::is_ascii_digit)
        && bytes[10..]
            .iter()
            .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::{is_phone_number, is_tax_id, redirect_uri};
    use serde_json::json;

    #[test]
    fn the_documented_tax_ids_pass_and_a_curp_does_not() {
        assert!(is_tax_id("LOZG7802117B9") && is_tax_id("PEGJ900314X9A"));
        for wrong in [
            "LOZG780211HDFRRN09",
            "ABC7802117B9",
            "lozg7802117b9",
            "LOZG7802117B9\n",
            "LÑZG780211B9",
        ] {
            assert!(!is_tax_id(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_phone_number_needs_its_plus() {
        assert!(is_phone_number("+524401234567"));
        for wrong in ["524401234567", "+52 440 123", "+0123456789", "+"] {
            assert!(!is_phone_number(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_redirect_that_could_run_or_leak_is_refused() {
        for (uri, allowed) in [
            ("https://app.example/done?a=1", true),
            ("myapp://kyc/done", true),
            ("http://127.0.0.1:3000/", true),
            ("http://app.example/", false),
            ("JavaScript:alert(1)", false),
            ("data:text/html,x", false),
            ("https://me:secret@app.example/", false),
            ("not a uri", false),
        ] {
            let body = json!({ "partnerRedirectUri": uri });
            let body = body.as_object().expect("an object");
            assert_eq!(redirect_uri(body).is_ok(), allowed, "{uri}");
        }
    }
}
