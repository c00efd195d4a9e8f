//! `POST /webhooks/{partnerId}`: the provider's deliveries.

use actix_web::{HttpResponse, web};

use super::extract::SignedBody;
use crate::app::App;
use crate::error::{Code, CodeOnly, Error};
use crate::ingest;
use crate::kyc::verification::Outcome;

/// Answers 204 once the delivery is on the disk. Query parameters are nobody's concern here: the signature is.
pub async fn receive(body: SignedBody, app: web::Data<App>) -> Result<HttpResponse, CodeOnly> {
    let clock = app.clock.clone();
    let signed = body.into_signed();
    let place = app.partner_place(&signed.partner);
    let trust = app.trust_at(place);
    let received = app
        .db
        .write(move |conn| ingest::delivery(conn, &clock, trust, signed))
        .await
        .map_err(|error| CodeOnly(error.into()))?;
    let outcome = received.outcome;
    log::debug!(outcome = outcome.as_str(); "A delivery was stored.");
    if let Some(place) = place {
        app.metrics.delivered(place, outcome, app.clock.now());
        app.lookout.heard(place);
        app.lookout.wake(place);
        if received.over_the_cap {
            app.cap_reached(place);
        }
    }
    match outcome {
        Outcome::Unreadable => Err(CodeOnly(Error::new(Code::MalformedJson, ""))),
        _ => Ok(HttpResponse::NoContent().finish()),
    }
}
