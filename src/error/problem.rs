//! The body of an error, where it has our shape.

use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{Object, Type};

use super::{Error, ProviderSays};
use crate::db;
use crate::kyc::link_request::Fault;

/// What went wrong (RFC 9457). Programs go by `code`, people by `detail`.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem<'a> {
    /// Always `about:blank`: the code says more.
    #[serde(rename = "type")]
    kind: &'static str,
    /// What the code means.
    title: &'static str,
    /// The HTTP status again.
    status: u16,
    /// What to do about it.
    detail: &'a str,
    /// Stable, for programs.
    code: &'static str,
    /// The id of the request, as in the header `x-request-id`: say it when you ask us.
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    request_id: &'a str,
    /// All that is wrong with the request, of `invalid_request`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<FaultBody<'a>>,
    /// What the provider gave as its reason, of `provider_rejected`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ProviderSays, required = false)]
    provider: Option<&'a ProviderSays>,
    /// What ails the store, where `/readyz` says `store_unavailable`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = db::Trouble, required = false)]
    reason: Option<&'static str>,
}

/// One thing that is wrong with a request.
#[derive(Serialize, ToSchema)]
#[schema(as = Fault)]
struct FaultBody<'a> {
    /// The path of the field; empty for the body itself.
    #[schema(examples("personalInfo.taxId"))]
    field: &'a str,
    #[schema(schema_with = fault_code)]
    code: &'a str,
    /// What to do about it.
    #[schema(examples("Correct the 6 digits of the RFC: they are a birth date as YYMMDD."))]
    message: &'a str,
}

fn fault_code() -> Object {
    Object::builder()
        .schema_type(Type::String)
        .description(Some("Stable, for programs."))
        .enum_values(Some(Fault::CODES))
        .build()
}

impl Error {
    /// The body, with the id of the request it answers.
    pub fn problem(&self, request_id: &str) -> String {
        let (status, code, title) = self.0.code.row();
        let problem = Problem {
            kind: "about:blank",
            title,
            status,
            detail: &self.0.detail,
            code,
            request_id,
            errors: self
                .0
                .faults
                .iter()
                .map(|fault| FaultBody {
                    field: &fault.field,
                    code: fault.code,
                    message: &fault.message,
                })
                .collect(),
            provider: self.0.provider.as_ref(),
            reason: self.0.reason,
        };
        serde_json::to_string(&problem).unwrap_or_default()
    }
}
