//! The provider's own record of what it could not deliver, and where it delivers to.
//!
//! After a standstill it names the users about whom something was sent and not received. Rows do not say whom they are
//! about, so each KYC row costs a call of its own (`reference/webhooknotificationpartnerv2controller_listnotifications`,
//! `…_getnotification`).

use chrono::DateTime;
use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::client::{Client, Error};
use super::meter::Call;
use super::payload::KYC;
use crate::kyc::status::Status;

/// Rows of one page; the provider allows no more.
pub const PAGE: usize = 100;

/// The states of a notification that will never reach us by itself.
pub const LOST: [&str; 2] = ["FAILED", "NOT_SENT"];

/// One row of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The provider's id of it; it stands in no webhook.
    pub id: String,
    /// When it last changed, in microseconds; `None` where that could not be read.
    pub updated_at: Option<i64>,
    /// Whether it may be about a user's KYC.
    pub is_kyc: bool,
}

impl Client {
    /// A page of the notifications in that state, after the first `skip`. Fewer rows than [`PAGE`] are the last ones.
    ///
    /// # Errors
    /// The provider's failures.
    pub async fn notifications(
        &self,
        key: &SecretString,
        status: &str,
        skip: usize,
    ) -> Result<Vec<Row>, Error> {
        let path = "api/partner/v2/webhook-notifications";
        let call = async {
            let answer = self.ask(key, path, |mut url| {
                url.query_pairs_mut()
                    .append_pair("status", status)
                    .append_pair("skip", &skip.to_string())
                    .append_pair("limit", &PAGE.to_string());
                self.http.get(url)
            });
            rows(&answer.await?)
        };
        self.meter.count(Call::Notifications, call).await
    }

    /// Whom a KYC notification is about, by the partner's own id; `None` when it is of another family, names nobody, or is
    /// gone.
    ///
    /// # Errors
    /// The provider's failures.
    pub async fn notified_user(
        &self,
        key: &SecretString,
        id: &str,
    ) -> Result<Option<String>, Error> {
        let call = async {
            let answer = self.ask(key, "api/partner/v2/webhook-notifications", |mut url| {
                // The id is the provider's own, and still no part of a path until it is escaped.
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.push(id);
                }
                self.http.get(url)
            });
            match answer.await {
                Ok(answer) => subject(&answer),
                Err(Error::UserNotFound) => Ok(None),
                Err(error) => Err(error),
            }
        };
        self.meter.count(Call::Notifications, call).await
    }

    /// Tells the provider where to send this partner's webhooks, all of them, in the place of any address before
    /// (`reference/webhook-settings`).
    ///
    /// # Errors
    /// The provider's refusals and failures.
    pub async fn register_webhook(&self, key: &SecretString, to: &Url) -> Result<(), Error> {
        let body = serde_json::json!({ "url": to.as_str() });
        self.ask(key, "api/partner/v2/webhook-settings", |url| {
            self.http.put(url).json(&body)
        })
        .await?;
        Ok(())
    }
}

/// What both answers have in common: the content, in an envelope or bare.
#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct List {
    data: Vec<RawRow>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawRow {
    id: String,
    event_type: Option<String>,
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct Notification {
    payload: Option<Payload>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    r#type: Option<String>,
    external_user_id: Option<String>,
}

fn rows(answer: &[u8]) -> Result<Vec<Row>, Error> {
    let list: Envelope<List> = serde_json::from_slice(answer).map_err(|_| unusable())?;
    let row = |row: RawRow| {
        let time = |text: String| DateTime::parse_from_rfc3339(&text).ok();
        let event = row.event_type.unwrap_or_default();
        Row {
            id: row.id,
            updated_at: row
                .updated_at
                .and_then(time)
                .map(|time| time.timestamp_micros()),
            // Names have been added without notice, so one of the usual form may be about a user too.
            is_kyc: Status::from_event(&event).is_some() || event.ends_with("_KYC"),
        }
    };
    Ok(list.data.data.into_iter().map(row).collect())
}

fn subject(answer: &[u8]) -> Result<Option<String>, Error> {
    let found: Envelope<Notification> = serde_json::from_slice(answer).map_err(|_| unusable())?;
    let about = found.data.payload;
    let about = about.filter(|payload| payload.r#type.as_deref() == Some(KYC));
    Ok(about.and_then(|payload| payload.external_user_id))
}

fn unusable() -> Error {
    Error::InvalidResponse("its notifications are not the documented JSON".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_list_is_read_and_kyc_rows_are_told_apart() {
        let answer = br#"{"success":true,"data":{"count":3,"total":42,"data":[
            {"id":"n1","status":"FAILED","eventType":"VERIFIED_USER","retryAttempts":5,"manualRetryCount":1,
             "createdAt":"2026-01-15T10:30:00.000Z","updatedAt":"2026-01-15T10:35:00.000Z"},
            {"id":"n2","eventType":"COMPLETED_ON_RAMP","updatedAt":"soon"},{"id":"n3","eventType":"PAUSED_KYC"}]}}"#;
        let rows = rows(answer).unwrap();
        let seen: Vec<_> = rows
            .iter()
            .map(|row| (row.id.as_str(), row.is_kyc, row.updated_at.is_some()))
            .collect();
        assert_eq!(
            seen,
            [
                ("n1", true, true),
                ("n2", false, false),
                ("n3", true, false)
            ]
        );
        for broken in ["", "{}", r#"{"data":[]}"#, r#"{"data":{"data":[{}]}}"#] {
            assert!(super::rows(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_notification_names_its_user_only_in_the_kyc_family() {
        let answer = |payload: &str| {
            format!(r#"{{"success":true,"data":{{"id":"n","payload":{payload}}}}}"#)
        };
        let of = |payload: &str| subject(answer(payload).as_bytes()).unwrap();
        let kyc = r#"{"type":"KYC","event":"VERIFIED_USER","externalUserId":"user-0001"}"#;
        assert_eq!(of(kyc).as_deref(), Some("user-0001"));
        assert_eq!(of(r#"{"type":"KYC","event":"VERIFIED_USER"}"#), None);
        assert_eq!(
            of(r#"{"type":"TRANSACTION","externalUserId":"user-0001"}"#),
            None
        );
        assert_eq!(of("null"), None);
    }
}
