//! What is wrong with a request.

/// One thing wrong with a request; becomes one entry of `errors[]` in the 422 answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The path of the field, such as `personalInfo.taxId`; empty for the body itself.
    pub field: String,
    /// A code of the table above; stable, for programs.
    pub code: &'static str,
    /// One sentence that says what to do; it never repeats the value.
    pub message: String,
}

impl Fault {
    /// Every code there is: those of the table above, and three of bodies that are read elsewhere.
    pub const CODES: [&str; 20] = [
        "not_an_object",
        "unknown_field",
        "required",
        "wrong_type",
        "id_format",
        "country_unsupported",
        "profession_unknown",
        "phone_format",
        "country_code",
        "rfc_format",
        "rfc_date",
        "redirect_too_long",
        "redirect_characters",
        "redirect_scheme",
        "redirect_format",
        "redirect_credentials",
        "redirect_insecure",
        "too_many",
        "not_allowed",
        "length",
    ];

    /// A fault of the field at that path.
    pub fn new(field: impl Into<String>, code: &'static str, message: impl Into<String>) -> Fault {
        Fault {
            field: field.into(),
            code,
            message: message.into(),
        }
    }
}
