//! What callers send where a body is read by hand: these types only have schemas. That those say the same as the code that
//! reads the bodies is tried at the end.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::schema::{Schema, SchemaType};
use utoipa::openapi::{Object, OneOf, Ref, RefOr, Type};

use super::words::one_of;
use crate::kyc::link_request::{COUNTRIES, PROFESSIONS};
use crate::kyc::status::Status;

/// For whom a link is asked.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(
    description = "For whom a link is asked. `personalInfo` is required for MX. A null counts as absent."
)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct LinkRequest {
    /// The provider's id of the person, which it gave when the person was created there (`POST /api/partner/v2/users`). The
    /// demo takes any.
    #[schema(
        max_length = 128,
        pattern = r"^\.*[A-Za-z0-9_~:@-][A-Za-z0-9._~:@-]*$",
        examples("2da954cd-2fda-49c2-ad77-6208c5ab71d6")
    )]
    user_id: String,
    /// Your own id of the person: the one that you gave the provider, because its webhooks name no other. Without it
    /// `userId` stands for it.
    #[schema(
        max_length = 255,
        pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$",
        examples("customer-42")
    )]
    external_user_id: Option<String>,
    #[schema(schema_with = country)]
    country: String,
    /// Where the person goes afterwards: `https://`, or the scheme of your app; `http://` only on this machine. Never one that
    /// runs code or reads local data, such as `javascript:`, and none with credentials in it.
    #[schema(
        max_length = 2048,
        pattern = r"^[A-Za-z][A-Za-z0-9+.-]*://[!-\[\]-~]+$",
        examples("https://partner.example/done")
    )]
    partner_redirect_uri: Option<String>,
    personal_info: Option<PersonalInfo>,
    /// Whether to make a new link although one is open, or the user is verified. A verified user is `pending` from then on,
    /// until the new attempt is decided.
    #[schema(default = false, examples(false))]
    force_new: Option<bool>,
}

/// What Mexican rules want to know of a person. It is passed on to the provider, and never stored or logged.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct PersonalInfo {
    #[schema(schema_with = profession)]
    profession: String,
    /// E.164 with its plus sign.
    #[schema(pattern = r"^\+[1-9][0-9]{6,14}$", examples("+524401234567"))]
    phone_number: String,
    #[schema(schema_with = birth_country)]
    birth_country: String,
    /// The RFC of a natural person: four letters, a birth date as YYMMDD, three letters or digits.
    #[schema(
        pattern = r"^[A-Z]{4}([0-9]{2}((0[13578]|1[02])(0[1-9]|[12][0-9]|3[01])|(0[469]|11)(0[1-9]|[12][0-9]|30)|02(0[1-9]|1[0-9]|2[0-8]))|([02468][048]|[13579][26])0229)[A-Z0-9]{3}$",
        examples("LOZG7802117B9")
    )]
    tax_id: Option<String>,
}

/// Whose documents are asked for.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct BatchRequest {
    #[schema(max_items = 500, examples(json!(["2da954cd-2fda-49c2-ad77-6208c5ab71d6", "nobody"])))]
    user_ids: Vec<String>,
}

/// The status that an admin sets, and why.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used")]
pub struct OverrideRequest {
    status: Status,
    /// It is kept with the name of the admin.
    #[schema(
        max_length = 500,
        pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$",
        examples("Seen the papers.")
    )]
    reason: String,
}

/// A webhook of the provider's; it may hold more.
#[derive(ToSchema)]
#[serde(rename_all = "camelCase")]
#[expect(dead_code, reason = "only its schema is used")]
pub struct Webhook {
    /// Only `KYC` moves anybody.
    #[serde(rename = "type")]
    #[schema(examples("KYC"))]
    family: String,
    /// What happened: `CREATED_KYC`, `REVIEW_NEEDED_KYC`, `VERIFIED_USER`, `REJECTED_KYC`, or what we do not know.
    #[schema(examples("VERIFIED_USER"))]
    event: String,
    /// The partner's id of the user. An integer is read as the text of its digits.
    #[schema(schema_with = named_user)]
    external_user_id: Option<String>,
}

/// The component for the provider's call that has the user in its body.
pub const PROVIDER_LINK: &str = "ProviderLinkRequest";
/// The component for the provider's call that has the user in its path.
pub const PROVIDER_USERS_LINK: &str = "ProviderUsersLinkRequest";

/// Adds what no derive can say: that MX needs `personalInfo`, and the provider's two forms, which overlook what they do not
/// know.
pub fn complete(schemas: &mut BTreeMap<String, RefOr<Schema>>) {
    let mut forms = Vec::new();
    if let Some(RefOr::T(Schema::Object(ours))) = schemas.get_mut("LinkRequest") {
        let mut theirs = ours.clone();
        theirs.additional_properties = None;
        let mut in_path = theirs.clone();
        in_path
            .properties
            .retain(|name, _| !matches!(&**name, "userId" | "personalInfo"));
        in_path.required.retain(|name| name != "userId");
        let info = OneOf::builder().item(Ref::from_schema_name("ProviderPersonalInfo"));
        let info = info.item(Object::with_type(Type::Null)).build();
        theirs
            .properties
            .insert("personalInfo".to_owned(), Schema::OneOf(info).into());
        for form in [ours, &mut theirs] {
            form.extensions = Some(Extensions::from_iter([("allOf", mx_needs_personal_info())]));
        }
        forms.extend([(PROVIDER_LINK, theirs), (PROVIDER_USERS_LINK, in_path)]);
    }
    if let Some(RefOr::T(Schema::Object(ours))) = schemas.get("PersonalInfo") {
        let mut theirs = ours.clone();
        theirs.additional_properties = None;
        forms.push(("ProviderPersonalInfo", theirs));
    }
    let forms = forms
        .into_iter()
        .map(|(name, form)| (name.to_owned(), form.into()));
    schemas.extend(forms);
}

fn mx_needs_personal_info() -> Value {
    json!([{
        "if": {"properties": {"country": {"const": "MX"}}},
        "then": {"required": ["personalInfo"], "properties": {"personalInfo": {"type": "object"}}},
    }])
}

fn country() -> Object {
    let mut country = one_of(COUNTRIES);
    country.description =
        Some("Whose KYC template is used, not necessarily where the person lives.".to_owned());
    country.examples = vec![json!("DO")];
    country
}

fn named_user() -> Object {
    let types = [Type::String, Type::Integer, Type::Null];
    let mut user = Object::with_type(SchemaType::Array(types.into()));
    user.examples = vec![json!("customer-42")];
    user
}

fn profession() -> Object {
    one_of(PROFESSIONS)
}

fn birth_country() -> Object {
    let mut country = one_of(rust_iso3166::ALL_ALPHA2);
    country.description = Some("Any country, as an ISO 3166-1 alpha-2 code.".to_owned());
    country.examples = vec![json!("MX")];
    country
}
