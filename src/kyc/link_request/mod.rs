//! What a valid request for a KYC link is: the rules of `POST /v1/kyc/links`, and of the provider's own two paths, which
//! overlook what they do not know. Nothing else.
//!
//! Pure: no I/O, no clock, no provider call. A [`LinkRequest`] cannot be made but by parsing, and everything
//! in one has been checked. All faults are reported at once, and no fault message and no `Debug` output
//! ever repeats personal data, because both end up in logs. That a request is valid here does not mean that the
//! provider takes it: it may have no template for the country, or not know the user.
//!
//! | code | where | meaning |
//! | --- | --- | --- |
//! | `not_an_object` | the body | the body is JSON, but not an object |
//! | `unknown_field` | anywhere | a name that is not in the contract |
//! | `required` | any required field | absent or null |
//! | `wrong_type` | anywhere | another JSON type than the field has |
//! | `id_format` | `userId`, `externalUserId` | characters or length |
//! | `country_unsupported` | `country` | not one of [`COUNTRIES`] |
//! | `profession_unknown` | `personalInfo.profession` | not one of [`PROFESSIONS`] |
//! | `phone_format` | `personalInfo.phoneNumber` | not E.164 |
//! | `country_code` | `personalInfo.birthCountry` | not an ISO 3166-1 alpha-2 code |
//! | `rfc_format`, `rfc_date` | `personalInfo.taxId` | not the shape of an RFC; no such birth date |
//! | `redirect_too_long`, `redirect_characters`, `redirect_scheme`, `redirect_format`, `redirect_credentials`, `redirect_insecure` | `partnerRedirectUri` | see `redirect_uri.rs` |

mod fault;
mod redirect_uri;
#[cfg(test)]
mod tests;

use std::fmt;

use secrecy::SecretString;
use serde_json::{Map, Value};

pub use fault::Fault;

/// The countries the provider has link flows for, in the order of its page.
///
/// Source: `reference/userpartnercontrollerv2_createverificationlink`. Older copies have only MX and DO, so the list
/// has grown once already; a country in it can still be refused with `KYC_TEMPLATE_NOT_CONFIGURED_ERROR`.
pub const COUNTRIES: [&str; 39] = [
    "MX", "DO", "US", "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU",
    "IE", "IT", "LV", "LT", "LU", "MT", "NL", "PL", "PT", "RO", "SK", "SI", "ES", "SE", "IS", "LI",
    "NO", "CH", "GB", "MC", "SM", "AD", "VA",
];

/// The professions of the link flow, spelled as the provider spells them.
///
/// Source: `v1.0/reference/kycpartnercontrollerv2_generatedirectlink`. The direct submission endpoint has another
/// list in upper case (`v1.0/reference/userpartnercontrollerv2_createuserkyc`); the two must not be mixed.
pub const PROFESSIONS: [&str; 5] = [
    "Employee",
    "Public Servant",
    "Entrepreneur or Contractor",
    "Student",
    "Other",
];

const FIELDS: [&str; 6] = [
    "userId",
    "externalUserId",
    "country",
    "partnerRedirectUri",
    "personalInfo",
    "forceNew",
];
const PERSONAL_FIELDS: [&str; 4] = ["profession", "phoneNumber", "birthCountry", "taxId"];

/// How many characters of an unknown field's name a fault shows.
const SHOWN_NAME_CHARS: usize = 64;
/// How many unknown fields of one object are reported, so that a body of nothing but names makes no huge answer.
const SHOWN_UNKNOWN_FIELDS: usize = 16;

/// A checked request for a link.
///
/// `Debug` leaves out what may identify a person or carry a token: the partner's own id (often an e-mail address),
/// the redirect URI and the personal data.
#[derive(Clone)]
pub struct LinkRequest {
    /// The provider's id of the person; its samples are UUIDs, but no page promises that.
    pub user_id: String,
    /// The partner's own id of the person; `None` if not given, and then `user_id` stands for it.
    pub external_user_id: Option<String>,
    /// One of [`COUNTRIES`]: whose KYC template is used, not necessarily where the person lives.
    pub country: &'static str,
    /// Where the provider sends the person afterwards, as parsed and written out again, never as received.
    pub partner_redirect_uri: Option<String>,
    /// Always there for MX; may be there for other countries.
    pub personal_info: Option<PersonalInfo>,
    /// Whether to make a new link even if one is open or the user is verified.
    pub force_new: bool,
    /// How the provider is to be asked.
    pub call: LinkCall,
    /// The one attempt that the link is for, if not whichever it takes.
    pub attempt: Option<i64>,
}

/// The provider's two calls for a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkCall {
    /// The user stands in the body. Only this one takes `personalInfo`, which MX needs
    /// (`v1.0/reference/kycpartnercontrollerv2_generatedirectlink`).
    UserInBody,
    /// The user stands in the path. What Mexican rules want to know, the provider asks the person itself
    /// (`reference/userpartnercontrollerv2_createverificationlink`).
    UserInPath,
}

/// The forms in which a request can come.
#[derive(Clone, Copy)]
enum Form<'a> {
    /// Ours, where an unknown field is a fault.
    Ours,
    /// The provider's, with the user in the body.
    UserInBody,
    /// The provider's, with the user in the path, where `personalInfo` is as unknown as any other name.
    UserInPath(&'a str),
}

/// What Mexican rules want to know of a person: passed on to the provider, never stored, never logged.
#[derive(Clone)]
pub struct PersonalInfo {
    /// One of [`PROFESSIONS`].
    pub profession: &'static str,
    /// E.164 with its `+`.
    pub phone_number: SecretString,
    /// ISO 3166-1 alpha-2; any country, not only [`COUNTRIES`].
    pub birth_country: String,
    /// The RFC of a natural person; the provider's pages disagree on whether it is required, so it is not.
    pub tax_id: Option<SecretString>,
}

impl LinkRequest {
    /// Checks a decoded body and reports every fault in it, in the order of the fields above.
    ///
    /// Null counts as absent. Unknown fields come after the known ones of their object, at most 16 for each object.
    pub fn parse(body: &Value) -> Result<LinkRequest, Vec<Fault>> {
        LinkRequest::read(Form::Ours, body)
    }

    /// The same for a body that was made for the provider: unknown fields are overlooked. Our own fields, which the
    /// provider does not document, are taken all the same.
    pub fn parse_as_provider(body: &Value) -> Result<LinkRequest, Vec<Fault>> {
        LinkRequest::read(Form::UserInBody, body)
    }

    /// The same for the provider's call that has the user in its path.
    pub fn parse_as_provider_for(user_id: &str, body: &Value) -> Result<LinkRequest, Vec<Fault>> {
        LinkRequest::read(Form::UserInPath(user_id), body)
    }

    fn read(form: Form<'_>, body: &Value) -> Result<LinkRequest, Vec<Fault>> {
        let Some(object) = body.as_object() else {
            let message = "Send a JSON object as the body.";
            return Err(vec![Fault::new("", "not_an_object", message)]);
        };
        let mut faults = Vec::new();
        let mut fields = Fields::new(object, "", &mut faults);
        let user_id = match form {
            Form::UserInPath(user_id) => fields.checked("userId", user_id, check_user_id),
            Form::Ours | Form::UserInBody => fields.required_text("userId", check_user_id),
        };
        let external_user_id = fields.text("externalUserId", check_external_user_id);
        let country = fields.required_text("country", check_country);
        let partner_redirect_uri = fields.text("partnerRedirectUri", redirect_uri::check);
        let given = match form {
            Form::UserInPath(_) => None,
            Form::Ours | Form::UserInBody => Some(fields.object("personalInfo")),
        };
        let personal_info = match given {
            Some(Given::Absent) if country == Some("MX") => {
                fields.fault(
                    "personalInfo",
                    "required",
                    "Send personalInfo when the country is MX.",
                );
                None
            }
            None | Some(Given::Absent | Given::WrongType) => None,
            Some(Given::Value(object)) => PersonalInfo::parse(form, object, fields.faults),
        };
        let force_new = fields.boolean("forceNew").unwrap_or(false);
        fields.refuse_unknown(form, &FIELDS);

        match (user_id, country) {
            (Some(user_id), Some(country)) if faults.is_empty() => Ok(LinkRequest {
                user_id,
                external_user_id,
                country,
                partner_redirect_uri,
                personal_info,
                force_new,
                call: match form {
                    Form::UserInPath(_) => LinkCall::UserInPath,
                    Form::Ours | Form::UserInBody => LinkCall::UserInBody,
                },
                attempt: None,
            }),
            _ => Err(faults),
        }
    }
}

impl fmt::Debug for LinkRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkRequest")
            .field("user_id", &self.user_id)
            .field("country", &self.country)
            .field("personal_info", &self.personal_info)
            .field("force_new", &self.force_new)
            .finish_non_exhaustive()
    }
}

impl PersonalInfo {
    fn parse(
        form: Form<'_>,
        object: &Map<String, Value>,
        faults: &mut Vec<Fault>,
    ) -> Option<PersonalInfo> {
        let mut fields = Fields::new(object, "personalInfo.", faults);
        let profession = fields.required_text("profession", check_profession);
        let phone_number = fields.required_text("phoneNumber", check_phone);
        let birth_country = fields.required_text("birthCountry", check_birth_country);
        let tax_id = fields.text("taxId", check_rfc);
        fields.refuse_unknown(form, &PERSONAL_FIELDS);
        Some(PersonalInfo {
            profession: profession?,
            phone_number: phone_number?,
            birth_country: birth_country?,
            tax_id,
        })
    }
}

impl fmt::Debug for PersonalInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Profession and birth country are personal data too, though they are no secrets by type.
        f.write_str("PersonalInfo(…)")
    }
}

/// Why a value of the right JSON type is refused; [`Fields`] makes a [`Fault`] of it by adding the path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    /// One sentence that says what to do; it never repeats the value.
    pub(crate) message: String,
}

fn refuse<T>(code: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    let message = message.into();
    Err(Refusal { code, message })
}

enum Given<'a> {
    Absent,
    WrongType,
    Value(&'a Map<String, Value>),
}

/// Reads the fields of one object and collects what is wrong with them.
struct Fields<'a, 'f> {
    object: &'a Map<String, Value>,
    prefix: &'static str,
    faults: &'f mut Vec<Fault>,
}

impl<'a, 'f> Fields<'a, 'f> {
    fn new(
        object: &'a Map<String, Value>,
        prefix: &'static str,
        faults: &'f mut Vec<Fault>,
    ) -> Self {
        Fields {
            object,
            prefix,
            faults,
        }
    }

    fn fault(&mut self, name: &str, code: &'static str, message: impl Into<String>) {
        let field = format!("{}{name}", self.prefix);
        self.faults.push(Fault::new(field, code, message));
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name).filter(|value| !value.is_null())
    }

    fn text<T>(&mut self, name: &str, check: fn(&str) -> Result<T, Refusal>) -> Option<T> {
        let Some(text) = self.value(name)?.as_str() else {
            self.fault(name, "wrong_type", format!("Send {name} as a string."));
            return None;
        };
        self.checked(name, text, check)
    }

    fn checked<T>(
        &mut self,
        name: &str,
        text: &str,
        check: fn(&str) -> Result<T, Refusal>,
    ) -> Option<T> {
        match check(text) {
            Ok(checked) => Some(checked),
            Err(refusal) => {
                self.fault(name, refusal.code, refusal.message);
                None
            }
        }
    }

    fn required_text<T>(&mut self, name: &str, check: fn(&str) -> Result<T, Refusal>) -> Option<T> {
        if self.value(name).is_none() {
            self.fault(
                name,
                "required",
                format!("Send {name}; it is a required string."),
            );
        }
        self.text(name, check)
    }

    fn boolean(&mut self, name: &str) -> Option<bool> {
        let value = self.value(name)?.as_bool();
        if value.is_none() {
            self.fault(name, "wrong_type", format!("Send {name} as true or false."));
        }
        value
    }

    fn object(&mut self, name: &str) -> Given<'a> {
        match self.value(name) {
            None => Given::Absent,
            Some(Value::Object(object)) => Given::Value(object),
            Some(_) => {
                self.fault(name, "wrong_type", format!("Send {name} as an object."));
                Given::WrongType
            }
        }
    }

    /// Takes a name with a null as unknown all the same: most often it is a misspelt optional field.
    fn refuse_unknown(&mut self, form: Form<'_>, known: &[&str]) {
        if !matches!(form, Form::Ours) {
            return;
        }
        let unknown = self
            .object
            .keys()
            .filter(|name| !known.contains(&name.as_str()));
        for name in unknown.take(SHOWN_UNKNOWN_FIELDS) {
            // A line break in a name must not start a new line in somebody's log.
            let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
            let shown: String = name.chars().take(SHOWN_NAME_CHARS).map(printable).collect();
            let message = format!(
                "Remove this field or correct its name; known here: {}.",
                known.join(", ")
            );
            self.fault(&shown, "unknown_field", message);
        }
    }
}

pub(crate) fn check_user_id(text: &str) -> Result<String, Refusal> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._~:@-".contains(&byte);
    // The id becomes a path segment of the provider's URL, where "." and ".." would name another resource.
    let only_dots = text.bytes().all(|byte| byte == b'.');
    if (1..=128).contains(&text.len()) && text.bytes().all(allowed) && !only_dots {
        return Ok(text.to_owned());
    }
    refuse(
        "id_format",
        "Use 1 to 128 characters of A-Z, a-z, 0-9 and . _ ~ : @ -, and not only dots.",
    )
}

pub(crate) fn check_external_user_id(text: &str) -> Result<String, Refusal> {
    let padded = text.trim().len() != text.len();
    if (1..=255).contains(&text.chars().count()) && !text.contains(char::is_control) && !padded {
        return Ok(text.to_owned());
    }
    refuse(
        "id_format",
        "Use 1 to 255 characters without control characters and without white space at either end.",
    )
}

pub(crate) fn check_country(text: &str) -> Result<&'static str, Refusal> {
    match COUNTRIES.into_iter().find(|code| *code == text) {
        Some(code) => Ok(code),
        None => refuse(
            "country_unsupported",
            format!(
                "Use one of these codes in upper case: {}.",
                COUNTRIES.join(", ")
            ),
        ),
    }
}

fn check_profession(text: &str) -> Result<&'static str, Refusal> {
    match PROFESSIONS.into_iter().find(|known| *known == text) {
        Some(known) => Ok(known),
        None => refuse(
            "profession_unknown",
            format!(
                "Use exactly one of these, in this spelling: {}.",
                PROFESSIONS.join(", ")
            ),
        ),
    }
}

fn check_phone(text: &str) -> Result<SecretString, Refusal> {
    if let [b'+', b'1'..=b'9', rest @ ..] = text.as_bytes()
        && (6..=14).contains(&rest.len())
        && rest.iter().all(u8::is_ascii_digit)
    {
        return Ok(text.into());
    }
    refuse(
        "phone_format",
        "Use the international form: a plus sign, then 7 to 15 digits of which the first is not 0, and nothing else.",
    )
}

fn check_birth_country(text: &str) -> Result<String, Refusal> {
    // The upper case is checked here, so that it does not hang on how the list's crate compares.
    if text.bytes().all(|byte| byte.is_ascii_uppercase())
        && let Some(country) = rust_iso3166::from_alpha2(text)
    {
        return Ok(country.alpha2.to_owned());
    }
    refuse(
        "country_code",
        "Use a two-letter ISO 3166-1 code in upper case, such as MX.",
    )
}

/// Follows the pattern of `docs/faq`: natural persons only, and no Ñ or & though real RFCs may have them.
fn check_rfc(text: &str) -> Result<SecretString, Refusal> {
    let bytes = text.as_bytes();
    let upper_or_digit = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    let is_rfc = bytes.len() == 13
        && bytes[..4].iter().all(u8::is_ascii_uppercase)
        && bytes[4..10].iter().all(u8::is_ascii_digit)
        && bytes[10..].iter().all(upper_or_digit);
    if !is_rfc {
        return refuse(
            "rfc_format",
            "Use the RFC of a person: 4 letters, 6 digits, then 3 letters or digits, all in upper case.",
        );
    }
    let number = |at: usize| u32::from(bytes[at] - b'0') * 10 + u32::from(bytes[at + 1] - b'0');
    if is_date_of_either_century(number(4), number(6), number(8)) {
        return Ok(text.into());
    }
    refuse(
        "rfc_date",
        "Correct the 6 digits of the RFC: they are a birth date as YYMMDD.",
    )
}

/// Whether the date exists in 19YY or in 20YY; an RFC does not say which of them is meant.
fn is_date_of_either_century(year: u32, month: u32, day: u32) -> bool {
    let is_leap =
        |year: u32| year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let days = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(1900 + year) || is_leap(2000 + year) => 29,
        2 => 28,
        _ => return false,
    };
    (1..=days).contains(&day)
}
