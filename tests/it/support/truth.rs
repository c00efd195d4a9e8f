//! What the faked provider answers when it is asked where users stand.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// Where the provider says where a user stands.
pub const DETAILS_PATH: &str = "/api/partner/v2/kyc/details";

/// The provider's truth; clones share it.
#[derive(Clone, Default)]
pub struct Truth(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    users: HashMap<String, Value>,
    failure: Option<ResponseTemplate>,
}

impl Truth {
    /// The latest session of the user has this result.
    pub fn says(&self, user_id: &str, result: &str, session: &str) {
        let number: u32 = session.trim_start_matches('s').parse().unwrap();
        self.answers(
            user_id,
            json!({
                "aipriseSummary": {"verificationResult": result}, "clientReferenceId": user_id,
                "clientReferenceData": {"personalInfo": {"taxId": "LOZG7802117B9"}},
                "verificationSessionId": session, "createdAt": format!("2026-11-23T1{number}:00:00.000Z"),
                "idInfo": {"fullName": "A Person"},
            }),
        );
    }

    /// The answer about the user has this content.
    pub fn answers(&self, user_id: &str, data: Value) {
        let mut told = self.0.lock().unwrap();
        told.users.insert(user_id.to_owned(), data);
    }

    /// Whoever is asked about, this is the answer.
    pub fn fails_with(&self, answer: ResponseTemplate) {
        self.0.lock().unwrap().failure = Some(answer);
    }

    /// The provider is well again.
    pub fn recovers(&self) {
        self.0.lock().unwrap().failure = None;
    }

    /// Lets the faked provider answer so.
    pub async fn mount(&self, capa: &MockServer) {
        let details = Mock::given(method("GET")).and(path(DETAILS_PATH));
        details.respond_with(self.clone()).mount(capa).await;
    }
}

impl Respond for Truth {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let told = self.0.lock().unwrap();
        if let Some(failure) = &told.failure {
            return failure.clone();
        }
        let asked = request.url.query_pairs().find(|(name, _)| name == "userId");
        let user = asked.and_then(|(_, user_id)| told.users.get(user_id.as_ref()));
        match user {
            Some(data) => {
                ResponseTemplate::new(200).set_body_json(json!({"status": "ok", "data": data}))
            }
            None => ResponseTemplate::new(404).set_body_json(
                json!({"success": false, "error": {"code": "NOT_FOUND_ERROR", "message": "Requested verification was not found"}}),
            ),
        }
    }
}
