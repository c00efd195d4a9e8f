//! `POST /v1/kyc/links`.

use actix_web::http::header::{ETAG, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::connection::beside;
use super::documents::LinkedUserDocument;
use super::etag;
use super::extract::{Caller, IdempotencyKey, JsonBody, NoParameters, Query};
use crate::app::App;
use crate::error::{Error, REPLAYED};
use crate::issue;
use crate::kyc::link_request::LinkRequest;
use crate::once::{self, Once};

/// The user, with the link to hand out.
#[derive(Serialize, ToSchema)]
#[schema(as = Link)]
pub struct LinkDocument {
    #[serde(flatten)]
    user: LinkedUserDocument,
    /// Whether the link was open already.
    #[schema(examples(false))]
    resumed: bool,
}

/// Answers 201 with a new link or 200 with the open one, or what it answered before to the same `Idempotency-Key`.
///
/// The link is issued beside the request, because one that the provider is making would be lost with it.
pub async fn create(
    http: HttpRequest,
    app: web::Data<App>,
    caller: Caller,
    _: Query<NoParameters>,
    key: IdempotencyKey,
    body: JsonBody,
) -> Result<HttpResponse, Error> {
    let request = LinkRequest::parse(&body.0).map_err(Error::invalid_request)?;
    let issued = beside(&http, async move {
        let partner = caller.partner();
        let Some(key) = key.0 else {
            let issued = issue::link_for(&caller, partner, request, None).await?;
            return Ok((issued, false));
        };
        let once = Once::new(partner, key, body.0);
        once::link_for(&caller, partner, request, once).await
    });
    let (issued, replayed) = issued.await?;
    let mut answer = if issued.resumed {
        HttpResponse::Ok()
    } else {
        HttpResponse::Created()
    };
    if replayed {
        answer.insert_header(REPLAYED);
    }
    let location = format!("/v1/kyc/users/{}", issued.user.user_id);
    Ok(answer
        .insert_header((LOCATION, location))
        .insert_header((ETAG, etag::of(&issued.user).to_string()))
        .json(LinkDocument {
            resumed: issued.resumed,
            user: LinkedUserDocument::new(&app.start_pages, issued.user),
        }))
}
