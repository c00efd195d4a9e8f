//! `POST /webhooks/{partnerId}`: every row of its table of outcomes and answers, and the corpus of bad signatures.

use crate::support::{ACME, TestApp};

#[actix_web::test]
async fn a_signed_verified_makes_a_pending_user_verified() {
    let app = TestApp::new().await;
    assert_eq!(app.pending("u1").await["status"], "pending");
    let answer = app.deliver("VERIFIED_USER", "u1").await;
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""));
    let user = app.user("u1").await;
    assert_eq!(
        (user["status"].as_str(), user["final"].as_bool()),
        (Some("verified"), Some(true))
    );
    assert_eq!(app.deliver_raw(ACME.id, "{}", &[]).await.status, 401);
}
