//! `POST /webhooks/{partnerId}`: the provider's deliveries.

use actix_web::{HttpResponse, web};

use super::extract::SignedBody;
use crate::app::App;
use crate::error::{Code, CodeOnly, Error};
use crate::ingest;
use crate::kyc::verification::Outcome;

/// Answers 204 once the delivery is on the disk. Query parameters are nobody's concern here: the signature is.
pub async fn receive(body: SignedBody, app: web::Data<App>) -> Result<HttpResponse, CodeOnly> {
    let (clock, confirm) = (app.clock.clone(), app.config.webhooks.policy);
    let signed = body.into_signed();
    let place = app.partner_place(&signed.partner);
    let outcome = app
        .db
        .write(move |conn| ingest::delivery(conn, &clock, confirm, signed))
        .await
        .map_err(|error| CodeOnly(error.into()))?;
    log::debug!(outcome = outcome.as_str(); "A delivery was stored.");
    if let Some(place) = place {
        app.metrics.delivered(place, outcome, app.clock.now());
        app.lookout.heard(place);
        app.lookout.wake();
    }
    match outcome {
        Outcome::Unreadable => Err(CodeOnly(Error::new(Code::MalformedJson, ""))),
        _ => Ok(HttpResponse::NoContent().finish()),
    }
}
