//! `POST /admin/sign-out`: ends the session, here and in the browser.

use actix_web::HttpResponse;
use actix_web::http::header::HeaderName;

use super::visitor::Act;
use super::{go_on, sign_in};

/// Signs out. Nothing of what the browser kept of us stays there. (`"cookies"` would take those of every service below the
/// same registered domain along.)
pub async fn sign_out(act: Act) -> HttpResponse {
    act.visitor.sessions.end(&act.visitor.token);
    let mut answer = go_on("/admin/sign-in");
    sign_in::keep(&act.visitor, &mut answer, "");
    let clear = HeaderName::from_static("clear-site-data");
    let all = r#""cache", "storage""#;
    if let Ok(all) = all.parse() {
        answer.headers_mut().insert(clear, all);
    }
    answer
}
