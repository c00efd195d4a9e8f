//! Creating a user at the provider: `POST users` (`reference/userpartnercontrollerv2_createuser`), passed on as it comes.
//!
//! The body is personal data, so nothing is read of it but the `externalUserId`, and nothing of the answer but the `userId`.

use reqwest::StatusCode;
use reqwest::header::{CONTENT_TYPE, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::client::{Client, Error, refusal};
use super::meter::Call;
use crate::kyc::link_request::{check_external_user_id, check_user_id};

/// What the provider answered, to be handed back unchanged.
pub struct Passed {
    /// Its status: a success or an error, and nothing else.
    pub status: u16,
    /// What it called its body.
    pub content_type: Option<String>,
    /// Its body, to the byte.
    pub body: Vec<u8>,
    /// What an error of it means.
    pub refusal: Option<Error>,
}

/// By which id the webhooks of a user will name it.
#[derive(Debug, PartialEq, Eq)]
pub struct Pair {
    /// The provider's id.
    pub user_id: String,
    /// The partner's own.
    pub external_user_id: String,
}

impl Client {
    /// Passes the body of a partner's request on, in the name of the partner whose key it is. Twice may make two users.
    ///
    /// # Errors
    /// When there is no answer that could be handed back: none came in time, it is too long, a redirect, or it repeats the
    /// key.
    pub async fn create_user(&self, key: &SecretString, body: Vec<u8>) -> Result<Passed, Error> {
        let call = self.pass_on(key, body);
        self.meter
            .count_by(Call::User, call, |passed| passed.refusal.as_ref())
            .await
    }

    async fn pass_on(&self, key: &SecretString, body: Vec<u8>) -> Result<Passed, Error> {
        let answer = self
            .call(key, "api/partner/v2/users", |url| {
                let json = HeaderValue::from_static("application/json");
                self.http
                    .post(url)
                    .header(CONTENT_TYPE, json)
                    .body(body.clone())
            })
            .await?;
        let whole = answer.status.is_success()
            || answer.status.is_client_error()
            || answer.status.is_server_error();
        if !whole {
            return Err(refusal(&answer, key));
        }
        let secret = key.expose_secret().as_bytes();
        if answer.body.windows(secret.len()).any(|part| part == secret) {
            let why = "it repeats the partner's key";
            return Err(Error::InvalidResponse(why.to_owned()));
        }
        let kind = answer.content_type.as_ref();
        let kind = kind.and_then(|kind| Some(kind.to_str().ok()?.to_owned()));
        let refused = !answer.status.is_success();
        Ok(Passed {
            status: answer.status.as_u16(),
            refusal: refused.then(|| refusal(&answer, key)),
            content_type: kind,
            body: answer.body,
        })
    }
}

impl Passed {
    /// Whether the provider refused the key that we sent for the partner, which the partner did not send.
    pub fn refuses_our_key(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED.as_u16()
    }

    /// What is learnt of a success that answers this request; nothing when either id is missing or none of ours could be it.
    pub fn teaches(&self, request: &Value) -> Option<Pair> {
        if self.refusal.is_some() {
            return None;
        }
        let external_user_id = request.get("externalUserId")?.as_str()?;
        let root: Value = serde_json::from_slice(&self.body).ok()?;
        let data = root.get("data").unwrap_or(&root);
        let user_id = data.get("userId")?.as_str()?;
        Some(Pair {
            user_id: check_user_id(user_id).ok()?,
            external_user_id: check_external_user_id(external_user_id).ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn passed(body: &str) -> Passed {
        Passed {
            status: 201,
            content_type: None,
            body: body.into(),
            refusal: None,
        }
    }

    #[test]
    fn the_pair_is_learnt_from_the_documented_envelope_and_from_the_bare_object() {
        let request = json!({"type": "INDIVIDUAL", "email": "a@b.example", "externalUserId": "c1"});
        for answer in [
            r#"{"success":true,"data":{"userId":"u1"}}"#,
            r#"{"userId":"u1"}"#,
        ] {
            let pair = Pair {
                user_id: "u1".to_owned(),
                external_user_id: "c1".to_owned(),
            };
            assert_eq!(passed(answer).teaches(&request), Some(pair));
        }
    }

    #[test]
    fn nothing_is_learnt_where_an_id_is_missing_or_no_id_or_the_provider_refused() {
        let good = r#"{"success":true,"data":{"userId":"u1"}}"#;
        for request in [
            json!({}),
            json!([]),
            json!("c1"),
            json!({"externalUserId": null}),
            json!({"externalUserId": 7}),
            json!({"externalUserId": ""}),
            json!({"externalUserId": " c1"}),
            json!({"externalUserId": "c\u{0}"}),
            json!({"externalUserId": "c".repeat(256)}),
        ] {
            assert_eq!(passed(good).teaches(&request), None, "{request}");
        }
        let request = json!({"externalUserId": "c1"});
        for answer in [
            "",
            "<html>",
            "[]",
            r#"{"data":{}}"#,
            r#"{"data":{"userId":7}}"#,
            r#"{"data":{"userId":".."}}"#,
            r#"{"data":{"userId":"a/b"}}"#,
        ] {
            assert_eq!(passed(answer).teaches(&request), None, "{answer}");
        }
        let refused = Passed {
            status: 409,
            refusal: Some(Error::UserNotFound),
            ..passed(good)
        };
        assert_eq!(refused.teaches(&request), None);
    }
}
